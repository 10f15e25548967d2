"""A stage for each test, and the counts of all searches at the end of the run.

A test hands its counts over with the fixture ``count``; they travel in its report, from worker processes too.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.model.explore import Counts
from tests.model.stage import Stage

_PROPERTY = "interleavings: "
Count = Callable[[str, Counts], None]


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Trees to back up, and an empty repository."""
    (tmp_path / "stage").mkdir()
    stage = Stage(tmp_path / "stage")
    stage.prepare(monkeypatch)
    return stage


@pytest.fixture
def count(record_property: Callable[[str, object], None], stage: Stage) -> Count:
    """``count("pairs", counts)`` adds to the summary."""

    def add(subject: str, counts: Counts) -> None:
        numbers = {"orders": counts.orders, "states": counts.states, "ends": counts.ends, "judged": stage.judged}
        record_property(_PROPERTY + subject, {"searches": 1, **numbers, "runs": counts.runs})

    return add


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each subject."""
    totals: dict[str, Counter[str]] = {}
    for report in terminalreporter.getreports("passed"):
        for name, counts in report.user_properties:
            if name.startswith(_PROPERTY):
                totals.setdefault(name.removeprefix(_PROPERTY), Counter()).update(counts)
    if totals:
        terminalreporter.write_sep("-", "interleavings of several processes")
    for subject, total in sorted(totals.items()):
        terminalreporter.write_line(
            f"{subject}: {total['searches']} searches, {total['orders']:.2g} orders of operations in "
            f"{total['states']:,} states, {total['ends']:,} ends with {total['judged']:,} repositories judged, "
            f"real operations run {total['runs']:,} times"
        )
