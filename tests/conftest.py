"""What all tests share: an environment of their own, the ``bork`` program, and the rule about skipping.

A test that needs a real part of the machine says so: ``@pytest.mark.needs("root", "mkfs.xfs")``. Where the part is
missing, a developer sees a skip with the reason; continuous integration (CI=true) sees a failure, because there a
silent skip would look like proof. The same holds for ``pytest.skip`` in a test or fixture. A test that may be skipped
even there is marked ``@pytest.mark.may_skip("why")``.
"""

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import settings

CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")
SYSTEM_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])

# Examples are not timed: fsync on a busy disk says nothing about the code. In CI they are the same in every run, so
# that a failure there can be repeated; developers' runs look further.
settings.register_profile("bork", deadline=None, derandomize=CI)
settings.load_profile("bork")


# ---- real parts and skips ----------------------------------------------------------------------------------------


def _loop_devices() -> bool:
    if os.geteuid() != 0 or not Path("/dev/loop-control").exists():
        return False
    losetup = shutil.which("losetup", path=SYSTEM_PATH)
    return losetup is not None and subprocess.run([losetup, "--find"], capture_output=True, check=False).returncode == 0


_PARTS: Mapping[str, tuple[Callable[[], bool], str]] = {
    "root": (lambda: os.geteuid() == 0, "needs root"),
    "loop": (_loop_devices, "needs root and loop devices"),
}


def missing_part(name: str) -> str | None:
    """Why the machine cannot offer this part, or None if it can. ``name``: root, loop, or a program."""
    if name in _PARTS:
        is_there, reason = _PARTS[name]
        return None if is_there() else reason
    return None if shutil.which(name, path=SYSTEM_PATH) else f"needs the program {name}"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose parts are missing."""
    for marker in item.iter_markers("needs"):
        for name in marker.args:
            reason = missing_part(name)
            if reason is not None:
                pytest.skip(reason)


def _fail_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    if CI and report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{reason}\nWith CI=true a skipped test is a failure (see tests/conftest.py)."


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure in CI."""
    report = yield
    if item.get_closest_marker("may_skip") is None:
        _fail_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module that skips itself as a whole."""
    report = yield
    _fail_skipped(report)
    return report


# ---- counts ------------------------------------------------------------------------------------------------------

_COUNTS = "counts: "


@pytest.fixture
def count(record_property: Callable[[str, object], None]) -> Callable[[str, dict[str, int]], None]:
    """``count("crashes", {"states": 3})`` adds to the summary at the end of the run, from worker processes too."""
    return lambda subject, counts: record_property(_COUNTS + subject, counts)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say for each subject how much was looked at, in the tests that passed."""
    totals: dict[str, Counter[str]] = {}
    for report in terminalreporter.getreports("passed"):
        for name, counts in report.user_properties:
            if name.startswith(_COUNTS):
                totals.setdefault(name.removeprefix(_COUNTS), Counter()).update(counts)
    if totals:
        terminalreporter.write_sep("-", "what was looked at")
        failed = len(terminalreporter.getreports("failed"))
        terminalreporter.write_line(f"{failed} tests FAILED and are not counted" if failed else "0 lost archives")
    for subject, total in sorted(totals.items()):
        numbers = ", ".join(f"{number:,} {what.replace('_', ' ')}" for what, number in total.items())
        terminalreporter.write_line(f"{subject}: {numbers}")


# ---- fixtures ----------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory. The developer's own keys, caches and ``BORG_*`` settings stay out of every test."""
    for name in list(os.environ):
        if name.startswith(("BORG_", "BORK_", "XDG_")):
            monkeypatch.delenv(name)
    directory = tmp_path / "home"
    directory.mkdir()
    monkeypatch.setenv("HOME", str(directory))
    monkeypatch.setenv("PATH", SYSTEM_PATH)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("TZ", "UTC")
    return directory


class Bork(Protocol):
    """Runs ``bork`` in a process of its own, as a user would, in the environment of the test."""

    def __call__(
        self,
        *arguments: str | bytes | Path,
        cwd: Path | None = None,
        stdin: bytes = b"",
        exit_code: int | None = 0,
        within: Sequence[str] = (),
    ) -> subprocess.CompletedProcess[bytes]:
        """Fails the test if the exit code is not the expected one (``None``: any will do).

        ``within``: words in front of the command line, such as those that make it run on another host.
        """
        ...


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    """Bork sets its own: what a test makes after having run a command in this process must not depend on that."""
    os.umask(0o022)
    yield
    os.umask(0o022)


@pytest.fixture
def bork(home: Path, monkeypatch: pytest.MonkeyPatch) -> Bork:
    """The program, with a passphrase in its environment."""
    monkeypatch.setenv("BORK_PASSPHRASE", "correct horse battery staple")

    def run(
        *arguments: str | bytes | Path,
        cwd: Path | None = None,
        stdin: bytes = b"",
        exit_code: int | None = 0,
        within: Sequence[str] = (),
    ) -> subprocess.CompletedProcess[bytes]:
        command: list[str | bytes | Path] = [*within, sys.executable, "-m", "bork", *arguments]
        result = subprocess.run(command, cwd=cwd or home.parent, input=stdin, capture_output=True, check=False)
        if exit_code is not None and result.returncode != exit_code:
            said = os.fsdecode(result.stdout + result.stderr)
            pytest.fail(f"bork {arguments} ended with {result.returncode}, not {exit_code}:\n{said}")
        return result

    return run
