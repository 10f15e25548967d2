"""What a session says of itself: plain text, for who meets it. See docs/format/sessions.md."""

from __future__ import annotations

import json
from typing import Literal, NamedTuple, get_args

VERSION = 1
LENGTH_MAX = 4096  # bytes

Role = Literal["reader", "writer", "deleter", "compactor", "exclusive"]


class SessionRecord(NamedTuple):
    """Who is at work, and what it has seen."""

    role: Role
    generation: int  # the newest one that it saw when it began; -1: nobody knows
    waiting: bool = False  # it asks for its turn, and does nothing yet
    host: str = ""
    process: int = 0
    start_ns: int = 0  # by the clock of that host; for people

    def encode(self) -> bytes:
        """Canonical JSON: sorted keys, no spaces, ASCII."""
        return json.dumps(self._asdict() | {"version": VERSION}, sort_keys=True, separators=(",", ":")).encode("ascii")

    def __str__(self) -> str:
        return f"{self.role}, process {self.process} on {self.host}"


# A session that cannot be understood may be of a newer Bork: it works, and has seen nothing.
UNKNOWN = SessionRecord("writer", -1)


def decode(data: bytes) -> SessionRecord:
    """Read a session; ``UNKNOWN`` for what is none of ours, which is the careful answer."""
    try:
        values = json.loads(data[: LENGTH_MAX + 1].decode("ascii"))
        if values.pop("version") != VERSION:
            return UNKNOWN
        record = SessionRecord(**values)
        is_good = record.role in get_args(Role) and _has_types(record) and record.encode() == data
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return UNKNOWN
    return record if is_good else UNKNOWN


def _has_types(record: SessionRecord) -> bool:
    return all(type(value) is type(getattr(UNKNOWN, name)) for name, value in record._asdict().items())
