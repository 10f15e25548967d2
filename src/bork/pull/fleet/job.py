"""What is done for one host, step by step: pull, then prune, then compact. A generator; the runner runs the steps."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, NamedTuple

from bork.pull.fleet import commands, state
from bork.pull.fleet.durations import format_age
from bork.pull.fleet.events import HostResult
from bork.pull.fleet.state import Good, HostState

if TYPE_CHECKING:
    from bork.pull.fleet.commands import Step
    from bork.pull.fleet.hosts import Host

WARNING_CODES = (1, *range(100, 128))


class Ended(NamedTuple):
    """How a step ended."""

    exit_code: int | None  # negative: by that signal; None: it was not started
    error: str = ""  # what it said last
    result: dict[str, Any] | None = None
    is_late: bool = False

    @property
    def is_good(self) -> bool:
        return self.exit_code == 0 or self.exit_code in WARNING_CODES

    def reason(self, host: Host) -> str:
        """Why it failed, in one line."""
        if self.is_late:
            return f"it took longer than {format_age(host.timeout_s)} and was ended"
        if self.error:
            return self.error
        if self.exit_code is not None and self.exit_code < 0:
            return f"it was ended by {_signal(-self.exit_code)}"
        return f"it ended with exit code {self.exit_code}"


def work(
    host: Host, rsh: str, *, show_progress: bool, save: Callable[[HostState], None], known: HostState
) -> Generator[Step, Ended, HostResult]:
    """Yields what to run next and is sent how that ended. ``save`` is called whenever something is worth knowing."""
    known = known.begun(host.repository, time.time())
    save(known)
    ended = yield commands.pull(host, rsh, show_progress=show_progress)
    good = _good(ended, known.started or 0.0)
    if good is None:
        reason = ended.reason(host)
        if ended.is_good:
            reason = "it ended without an error, but did not say which archive it made"
        return _finish(host, known, save, commands.PULL, ended, reason)
    known = known.with_good(good)
    save(known)
    outcome = state.OK if ended.exit_code == 0 else state.WARNING
    last = ended
    for step in _afterwards(host):
        last = yield step
        if not last.is_good:
            return _finish(host, known, save, step.stage, last, f"{step.stage}: {last.reason(host)}", good)
        if last.exit_code != 0:
            outcome = state.WARNING
    save(known.finished(outcome, ended.exit_code, "", time.time()))
    return HostResult(host.name, outcome, last_stage(host), ended.exit_code, "", good)


def _afterwards(host: Host) -> list[Step]:
    steps = [commands.prune(host)] if host.keep else []
    return [*steps, commands.compact(host)] if host.compact else steps


def last_stage(host: Host) -> str:
    return commands.COMPACT if host.compact else commands.PRUNE if host.keep else commands.PULL


def _finish(
    host: Host,
    known: HostState,
    save: Callable[[HostState], None],
    stage: str,
    ended: Ended,
    reason: str,
    good: Good | None = None,
) -> HostResult:
    save(known.finished(state.ERROR, ended.exit_code, reason, time.time()))
    return HostResult(host.name, state.ERROR, stage, ended.exit_code, reason, good)


def _good(ended: Ended, started: float) -> Good | None:
    """The archive that a pull has made, from the document of its ``--json``."""
    if not ended.is_good or ended.result is None:
        return None
    try:
        archive = ended.result["archive"]
        stats = archive["stats"]
        sizes = [stats[key] for key in ("original_size", "compressed_size", "deduplicated_size", "nfiles")]
        name = archive["name"]
    except (KeyError, TypeError):
        return None
    if not isinstance(name, str) or not all(isinstance(size, int) for size in sizes):
        return None
    return Good(name, started, time.time(), *sizes)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
