"""Count the problems on their way to the user."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bork.operations.events import EventSink, LogLevel, Progress


class CountedProblems:
    """An EventSink that passes everything on to another, and counts problems by kind in ``counts``."""

    def __init__(self, sink: EventSink) -> None:
        self._sink = sink
        self.counts: dict[str, int] = {}
        self.lines = sink.lines
        self.data = sink.data
        self.cancelled = sink.cancelled

    def problem(self, kind: str, path: bytes, message: str) -> None:
        """Count, and pass on."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self._sink.problem(kind, path, message)

    def progress(self, progress: Progress) -> None:
        """Pass on."""
        self._sink.progress(progress)

    def log(self, level: LogLevel, message: str, msgid: str | None = None) -> None:
        """Pass on."""
        self._sink.log(level, message, msgid)

    @property
    def total(self) -> int:
        """All problems."""
        return sum(self.counts.values())
