"""Adds up what the tests of this directory looked at, and says so at the end of the run.

A test hands its counts over with the fixture ``count``; they travel in its report, from worker processes too.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.scenarios import make_sources
from tests.crash.world import World

_PROPERTY = "counts: "


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A user with trees to back up."""
    make_sources(tmp_path)
    return World(tmp_path)


@pytest.fixture
def count(record_property: Callable[[str, object], None]) -> Callable[[str, dict[str, int]], None]:
    """``count("crashes", {"states": 3})`` adds to the summary."""
    return lambda subject, counts: record_property(_PROPERTY + subject, counts)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each subject."""
    totals: dict[str, Counter[str]] = {}
    for report in terminalreporter.getreports("passed"):
        for name, counts in report.user_properties:
            if name.startswith(_PROPERTY):
                totals.setdefault(name.removeprefix(_PROPERTY), Counter()).update(counts)
    failed = sum(report.nodeid.startswith("tests/crash/") for report in terminalreporter.getreports("failed"))
    end = f"{failed} tests FAILED and are not counted" if failed else "0 lost archives"
    if totals:
        terminalreporter.write_sep("-", "what was looked at")
    for subject, total in sorted(totals.items()):
        numbers = ", ".join(f"{number:,} {what.replace('_', ' ')}" for what, number in total.items())
        terminalreporter.write_line(f"{subject}: {numbers}; {end}")
