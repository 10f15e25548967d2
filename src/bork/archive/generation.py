"""A generation: what compactions have condemned and not yet deleted, and whose commits do not count any more.

See docs/format/sessions.md.
"""

from __future__ import annotations

import struct
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from bork.errors import IntegrityError, UnsupportedFormat
from bork.repository.layout import HeadId, PackId, SessionId

if TYPE_CHECKING:
    from collections.abc import Mapping

MAGIC = b"BORKGENR"
VERSION = 1
_HEADER = struct.Struct("<8sIIII8x")  # magic, version, packs, fenced sessions, honoured heads
_PACK = struct.Struct("<Q32s")


class Generation(NamedTuple):
    """``number`` 0 is the beginning, before any compaction; it has no object."""

    number: int = 0
    condemned: Mapping[PackId, int] = MappingProxyType({})  # and the generation that condemned it first
    fenced: frozenset[SessionId] = frozenset()  # sessions that stopped without a word: what they commit later is void
    honoured: frozenset[HeadId] = frozenset()  # heads of such sessions that were there before, and stand

    def encode(self) -> bytes:
        """The plain bytes: everything sorted. 40 bytes a pack."""
        parts = [_HEADER.pack(MAGIC, VERSION, len(self.condemned), len(self.fenced), len(self.honoured))]
        parts += [_PACK.pack(number, pack) for pack, number in sorted(self.condemned.items())]
        return b"".join([*parts, *sorted(self.fenced), *sorted(self.honoured)])


def decode(number: int, data: bytes) -> Generation:
    """Read what was sealed as generation ``number``. Raises: UnsupportedFormat, IntegrityError."""
    if len(data) < _HEADER.size or data[:8] != MAGIC:
        raise _malformed(number, "a generation", f"{len(data)} other bytes")
    _, version, packs, fenced, honoured = _HEADER.unpack_from(data)
    if version != VERSION:
        raise UnsupportedFormat(f"The generation {number}", version, VERSION)
    if len(data) != _HEADER.size + packs * _PACK.size + 32 * (fenced + honoured):
        raise _malformed(number, "as many records as it says", f"{len(data)} bytes")
    fenced_at = _HEADER.size + packs * _PACK.size
    honoured_at = fenced_at + 32 * fenced
    generation = Generation(
        number,
        {PackId(pack): first for first, pack in _PACK.iter_unpack(data[_HEADER.size : fenced_at])},
        frozenset(SessionId(data[at : at + 32]) for at in range(fenced_at, honoured_at, 32)),
        frozenset(HeadId(data[at : at + 32]) for at in range(honoured_at, len(data), 32)),
    )
    if generation.encode() != data or not all(0 < first <= number for first in generation.condemned.values()):
        raise _malformed(number, "its canonical form", "another")
    return generation


def _malformed(number: int, expected: str, found: str) -> IntegrityError:
    return IntegrityError("the generation", f"gc/{number:016x}", expected, found)
