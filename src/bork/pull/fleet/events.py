"""What the runner tells while it runs. The command line renders it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from bork.pull.fleet.state import Good

SKIPPED = "skipped"  # beside the outcomes of ``state``: another process is at work on the host


class HostResult(NamedTuple):
    """How it ended with one host."""

    host: str
    outcome: str  # OK, WARNING, ERROR of ``state``, or SKIPPED
    stage: str  # where it ended: pull, prune or compact
    exit_code: int | None = None  # of the child of that stage; None: it did not even start
    error: str = ""  # one line
    good: Good | None = None  # the archive of this run, if there is one


class Observer(Protocol):
    """Receives everything in one thread, which is not that of the caller of the runner."""

    def started(self, host: str, stage: str) -> None:
        """A child was started."""

    def record(self, host: str, record: dict[str, Any]) -> None:
        """A child has said something: an object of ``--log-json`` with a ``type``. Its other values are not checked."""

    def ended(self, result: HostResult) -> None:
        """A host is done."""

    def tick(self) -> None:
        """Nothing new, a few times a second."""
