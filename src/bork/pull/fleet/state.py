"""What is remembered of each host between runs: ``<state directory>/pull/NAME.json``, one small file a host.

``--due`` and ``bork status`` read nothing else, so a thousand hosts cost a thousand small reads and no repository. The
truth is in the repositories: a file that is missing or damaged means that nothing is known, never that all is well.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from typing import NamedTuple, cast

from bork.errors import CacheFault
from bork.storage.private import write_private

VERSION = 1
BYTES_MAX = 1 << 20
MOMENT_MAX = 2.0**33  # seconds: the year 2242
ERROR_CHARACTERS_MAX = 1000

# ``is_at_work`` holds a lock for a moment: that must not look like another run.
LOCK_TRIES = 4
LOCK_PAUSE_S = 0.02

OK, WARNING, ERROR, RUNNING = "ok", "warning", "error", "running"


class Good(NamedTuple):
    """A pull that made an archive. Times in seconds since 1970 by the clock of this machine, sizes in bytes."""

    archive: str
    start: float
    end: float
    original_size: int
    compressed_size: int
    deduplicated_size: int  # what was new in the repository
    files: int


class HostState(NamedTuple):
    """All that is known of one host. ``outcome`` and ``exit_code`` are those of the last run."""

    repository: str = ""
    started: float | None = None  # the last run, good or not
    ended: float | None = None
    outcome: str = ""  # OK, WARNING, ERROR, RUNNING; empty: it never ran
    exit_code: int | None = None
    error: str = ""
    failures: int = 0  # runs without an archive since the last good one
    good: Good | None = None  # the last
    previous: Good | None = None  # the one before

    def begun(self, repository: str, now: float) -> HostState:
        """Counts as a failure until the contrary is known: who is killed cannot say so any more."""
        failures = self.failures + 1
        return self._replace(repository=repository, started=now, ended=None, outcome=RUNNING, failures=failures)

    def with_good(self, good: Good) -> HostState:
        return self._replace(good=good, previous=self.good, failures=0)

    def finished(self, outcome: str, exit_code: int | None, error: str, now: float) -> HostState:
        error = error[:ERROR_CHARACTERS_MAX]
        return self._replace(outcome=outcome, exit_code=exit_code, error=error, ended=now)


class StateDirectory:
    """The files of all hosts. Names of hosts are file names: ``names.host`` has checked them."""

    def __init__(self, path: str) -> None:
        self.path = os.path.join(path, "pull")

    def prepare(self) -> None:
        """Raises: CacheFault, before anything is begun that could not be noted down."""
        try:
            os.makedirs(self.path, mode=0o700, exist_ok=True)
            if not os.access(self.path, os.W_OK | os.X_OK):
                raise PermissionError(13, "Permission denied")
        except OSError as error:
            raise CacheFault(self.path, error.strerror) from None

    def load(self, name: str, repository: str) -> HostState:
        """What is known of a host that is backed up to ``repository``; of another repository nothing holds."""
        try:
            with open(os.path.join(self.path, f"{name}.json"), "rb") as file:
                state = _decode(json.loads(file.read(BYTES_MAX)))
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return HostState()
        return state if state.repository == repository else HostState()

    def save(self, name: str, state: HostState) -> None:
        """Durably, whole or not at all. Raises: CacheFault."""
        path = os.path.join(self.path, f"{name}.json")
        data = json.dumps({"version": VERSION, **_values(state)}, indent=1).encode("ascii")
        try:
            write_private(path, data + b"\n")
        except OSError as error:
            raise CacheFault(path, error.strerror) from None

    def lock_host(self, name: str) -> int | None:
        """A descriptor that holds the lock of a host until it is closed; None: somebody else has it."""
        return self._lock(f"{name}.lock")

    def is_at_work(self, name: str) -> bool:
        """Whether somebody holds the lock of a host."""
        try:
            fd = os.open(os.path.join(self.path, f"{name}.lock"), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def lock_compaction(self, repository: str) -> int | None:
        """The same for the right to compact a repository."""
        return self._lock(f"@{hashlib.sha256(os.fsencode(repository)).hexdigest()[:32]}.lock")

    def _lock(self, name: str) -> int | None:
        path = os.path.join(self.path, name)
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise CacheFault(path, error.strerror) from None
        for _ in range(LOCK_TRIES):
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(LOCK_PAUSE_S)
            else:
                return fd
        os.close(fd)
        return None


def _values(state: HostState) -> dict[str, object]:
    goods = {name: good and good._asdict() for name, good in (("good", state.good), ("previous", state.previous))}
    return state._asdict() | goods


def _decode(data: object) -> HostState:
    """Raises ValueError, TypeError, KeyError for what was not written by ``save``."""
    if not isinstance(data, dict) or data.pop("version") != VERSION:
        raise ValueError
    for key in ("good", "previous"):
        if data[key] is not None:
            data[key] = Good(**data[key])
            _require(data[key].archive, str)
            for moment in (data[key].start, data[key].end):
                _require_moment(moment)
            for number in (data[key].original_size, data[key].deduplicated_size, data[key].files):
                _require(number, int)
    state = HostState(**data)
    for text in (state.repository, state.outcome, state.error):
        _require(text, str)
    for moment in (state.started, state.ended):
        if moment is not None:
            _require_moment(moment)
    _require(state.failures, int)
    return state


def _require_moment(value: object) -> None:
    _require(value, int, float)
    if not 0 <= cast("float", value) < MOMENT_MAX:  # no number at all is none of both
        raise ValueError


def _require(value: object, *kinds: type) -> None:
    if not isinstance(value, kinds):
        raise TypeError
