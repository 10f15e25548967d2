"""Count the problems on their way to the user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bork.repository.layout import PackId

if TYPE_CHECKING:
    from bork.operations.events import EventSink, LogLevel, Progress


class CountedProblems:
    """An EventSink that passes everything on to another, and counts problems by kind in ``counts``.

    ``packs``: the names of the packs that problems were about.
    """

    def __init__(self, sink: EventSink) -> None:
        self._sink = sink
        self.counts: dict[str, int] = {}
        self.packs: set[PackId] = set()
        self.lines = sink.lines
        self.data = sink.data
        self.cancelled = sink.cancelled

    def problem(self, kind: str, path: bytes, message: str) -> None:
        """Count, and pass on."""
        if (pack := _pack(path)) is not None:
            self.packs.add(pack)
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


def _pack(path: bytes) -> PackId | None:
    """``packs/0f/0f3a...`` is the path of a problem of a check."""
    first, _, rest = path.partition(b"/")
    digits = rest.rpartition(b"/")[2]
    return PackId(bytes.fromhex(digits.decode("ascii"))) if first == b"packs" and len(digits) == 64 else None
