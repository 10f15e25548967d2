"""The values of an archive for ``--format`` and for the JSON of ``bork list``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from bork.cli.formats import FIXED
from bork.cli.output.text import printable
from bork.cli.times import LocalTime, iso

if TYPE_CHECKING:
    from bork.operations.heads import ArchiveEntry

_ALWAYS_IN_JSON = ("archive", "barchive", "id", "name", "start", "time")
_TIMES = frozenset(("start", "time", "end"))
_VERBATIM = frozenset(("barchive", "bcomment"))


class ArchiveValues(Mapping[str, object]):
    """What a format string finds under its keys, computed when it asks: text without control characters."""

    def __init__(self, entry: ArchiveEntry) -> None:
        head = entry.head
        end_ns = head.time_ns + head.end_ns - head.start_ns
        self._times_ns = {"start": head.time_ns, "time": head.time_ns, "end": end_ns}
        self._command_line = head.command_line
        self._values: dict[str, Callable[[], object]] = {
            "archive": lambda: head.name,
            "name": lambda: head.name,
            "barchive": lambda: head.name,
            "comment": lambda: head.comment,
            "bcomment": lambda: head.comment,
            "id": entry.id.hex,
            "tam": lambda: "verified",  # a head that is not authentic is not opened at all
            "start": lambda: LocalTime(head.time_ns),
            "time": lambda: LocalTime(head.time_ns),
            "end": lambda: LocalTime(end_ns),
            "command_line": self._quoted_command_line,
            "hostname": lambda: head.hostname,
            "username": lambda: head.username,
        }

    def as_json(self, keys: set[str]) -> dict[str, object]:
        """The keys that are always there, and those of ``keys`` that are known."""
        wanted = [*_ALWAYS_IN_JSON, *(key for key in keys if key in self._values)]
        return {key: self._json(key) for key in wanted}

    def _json(self, key: str) -> object:
        if key in _TIMES:
            return iso(self._times_ns[key])
        return list(self._command_line) if key == "command_line" else self._values[key]()

    def _quoted_command_line(self) -> str:
        import shlex  # late: one key needs it

        return shlex.join(self._command_line)

    def __getitem__(self, key: str) -> object:
        if key in FIXED:
            return FIXED[key]
        value = self._values[key]()
        return printable(value) if isinstance(value, str) and key not in _VERBATIM else value

    def __iter__(self) -> Iterator[str]:
        return iter((*self._values, *FIXED))

    def __len__(self) -> int:
        return len(self._values) + len(FIXED)
