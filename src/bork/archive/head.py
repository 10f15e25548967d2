"""The head of an archive: one small JSON object, sealed and stored last. Where a head is, a complete archive is.

A reader accepts exactly what ``ArchiveHead.encode`` writes: an unknown field, another order, or a number where a text
belongs is a refusal, not a guess. See docs/format/archive.md.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from bork.errors import IntegrityError, UnsupportedFormat

VERSION = 1
LENGTH_MAX = 16 << 20  # bytes; a head is about 1 KiB, and as long as its command line

Chunker = (
    tuple[str, int, int, int] | tuple[str, int, int]
)  # ("gear", min_exp, max_exp, avg_exp), ("fixed", block, header)


class ArchiveStats(NamedTuple):
    """Sizes in bytes, as counted when the archive was made."""

    items: int
    files: int
    chunks: int  # references to chunks, by all files
    original_size: int
    compressed_size: int
    deduplicated_size: int  # what it added to the repository


class ArchiveHead(NamedTuple):
    """What an archive says of itself. Times are nanoseconds since 1970, UTC."""

    name: str
    root: bytes  # 32: id of the root of its tree of items
    chunker: Chunker
    hostname: str
    username: str
    cwd: str
    comment: str
    command_line: tuple[str, ...]
    time_ns: int  # the time that the user gave it; normally start_ns
    start_ns: int  # by the clock; what changed at or after it is read again by the next backup
    end_ns: int
    roots: tuple[bytes, ...]  # paths that were backed up, as given
    stats: ArchiveStats
    sequence: int  # one more than that of every archive seen at the commit
    ledger: bytes  # 32: BLAKE3 of the sorted object names of all archives seen at the commit
    session: str | None = None  # reserved
    generation: int = 0  # reserved

    def encode(self) -> bytes:
        """Canonical JSON: sorted keys, no spaces, ASCII. Text that is not UTF-8 is kept as lone surrogates."""
        values: dict[str, object] = self._asdict()
        values.update(
            version=VERSION,
            root=self.root.hex(),
            roots=[path.hex() for path in self.roots],
            ledger=self.ledger.hex(),
            stats=self.stats._asdict(),
        )
        return json.dumps(values, sort_keys=True, separators=(",", ":")).encode("ascii")


def decode(data: bytes, where: str) -> ArchiveHead:
    """Read a head that has been opened. ``where`` is for messages.

    Raises: UnsupportedFormat, if a newer Bork wrote it; IntegrityError.
    """
    values = _parse(data, where)
    version = values.pop("version", None)
    if type(version) is int and version > VERSION:
        raise UnsupportedFormat(f"The archive head {where}", version, VERSION)
    if version != VERSION:
        raise _malformed(where, f"version {VERSION}", repr(version))
    try:
        head = _Fields(values).head()
    except (KeyError, TypeError, ValueError) as fault:
        raise _malformed(where, "the fields of an archive head", str(fault)) from None
    if head.encode() != data:
        raise _malformed(where, "its canonical form", "another")
    return head


def _parse(data: bytes, where: str) -> dict[str, object]:
    if len(data) > LENGTH_MAX:
        raise _malformed(where, f"at most {LENGTH_MAX} bytes", f"{len(data)} bytes")
    try:
        values = json.loads(data.decode("ascii"))
    except (ValueError, RecursionError):
        raise _malformed(where, "JSON", "something else") from None
    if not isinstance(values, dict):
        raise _malformed(where, "a JSON object", type(values).__name__)
    return values


def _malformed(where: str, expected: str, found: str) -> IntegrityError:
    return IntegrityError("the archive head", where, expected, found[:200])


class _Fields:
    """Takes fields out of a decoded object, each with its type; at the end none may be left."""

    def __init__(self, values: dict[str, object]) -> None:
        self._values = values

    def head(self) -> ArchiveHead:
        stats = _Fields(self._object("stats"))
        head = ArchiveHead(
            name=self._text("name"),
            root=self._digest("root"),
            chunker=_chunker(self._list("chunker")),
            hostname=self._text("hostname"),
            username=self._text("username"),
            cwd=self._text("cwd"),
            comment=self._text("comment"),
            command_line=tuple(_is_text(word) for word in self._list("command_line")),
            time_ns=self._integer("time_ns"),
            start_ns=self._integer("start_ns"),
            end_ns=self._integer("end_ns"),
            roots=tuple(bytes.fromhex(_is_text(path)) for path in self._list("roots")),
            stats=ArchiveStats(*map(stats._count, ArchiveStats._fields)),
            sequence=self._count("sequence"),
            ledger=self._digest("ledger"),
            session=self._optional_text("session"),
            generation=self._count("generation"),
        )
        for left in (*self._values, *stats._values):
            raise ValueError(f'the unknown field "{left}"')
        return head

    def _take(self, name: str) -> object:
        try:
            return self._values.pop(name)
        except KeyError:
            raise KeyError(f"no field {name}") from None

    def _text(self, name: str) -> str:
        return _is_text(self._take(name))

    def _optional_text(self, name: str) -> str | None:
        value = self._take(name)
        return None if value is None else _is_text(value)

    def _digest(self, name: str) -> bytes:
        value = bytes.fromhex(self._text(name))
        if len(value) != 32:
            raise ValueError(f"{name} of {len(value)} bytes")
        return value

    def _integer(self, name: str) -> int:
        return _is_integer(self._take(name))

    def _count(self, name: str) -> int:
        value = self._integer(name)
        if value < 0:
            raise ValueError(f"{name} {value}")
        return value

    def _list(self, name: str) -> list[object]:
        value = self._take(name)
        if not isinstance(value, list):
            raise TypeError(f"{name} {value!r}")
        return value

    def _object(self, name: str) -> dict[str, object]:
        value = self._take(name)
        if not isinstance(value, dict):
            raise TypeError(f"{name} {value!r}")
        return value


def _is_text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} instead of a text")
    value.encode("utf-8", "surrogateescape")  # ValueError: a surrogate that stands for no byte
    return value


def _is_integer(value: object) -> int:
    if type(value) is not int or not -(1 << 63) <= value < 1 << 63:
        raise TypeError(f"{value!r} instead of a number")
    return value


_FIXED_MAX = 8 << 20  # bytes; see docs/format/archive.md, "Chunkers"


def _chunker(value: list[object]) -> Chunker:
    if bool in map(type, value):  # which matches int()
        raise TypeError(f"the chunker {value!r}")
    match value:
        case ["gear", int(low), int(high), int(average)] if 6 <= low <= average <= high <= 23:
            return ("gear", low, high, average)
        case ["fixed", int(block), int(header)] if 64 <= block <= _FIXED_MAX and 0 <= header <= _FIXED_MAX:
            return ("fixed", block, header)
        case _:
            raise ValueError(f"the chunker {value!r}")
