"""Messages: a header, a body (one encoded map), and data (raw bytes), with limits that hold before anything is read.

The data of a message is not a value of its body, so that a pack is neither copied nor looked at on its way.
"""

from __future__ import annotations

import struct
import zlib
from mmap import mmap
from typing import TYPE_CHECKING, NamedTuple

from bork.protocol.codec import Malformed, Value, decode, encode

if TYPE_CHECKING:
    from typing_extensions import Buffer

HEADER = struct.Struct(">IIII")  # length of the body, length of the data, checksum of both, checksum of these three
HEADER_LENGTH = HEADER.size
BODY_MAX = 1 << 20  # bytes
DATA_MAX = 128 << 20  # bytes; the longest object is a pack of 64 MiB with one chunk more, or an index of 68 MiB
# Longer data is not part of the checksum: packs and indexes are verified by their names where they arrive, and ranges
# of packs by who opens them. A CRC-32 of all of it would cost as much as the transport.
CHECKED_MAX = 1 << 20  # bytes
_PAGES_MIN = 1 << 20  # bytes; longer data is received into pages, which a local store writes without a copy


class Message(NamedTuple):
    """What arrived, or is to be sent."""

    body: dict[str, Value]
    data: Buffer = b""

    def data_length(self) -> int:
        return memoryview(self.data).nbytes


def encode_start(body: dict[str, Value], data: Buffer) -> bytes:
    """Everything of a message that comes before its data. Raises: ValueError, if it breaks a limit: a bug of ours."""
    encoded = encode(body)
    length = memoryview(data).nbytes
    if len(encoded) > BODY_MAX or length > DATA_MAX:
        raise ValueError(f"a message of {len(encoded)} and {length} bytes is too long")
    lengths = struct.pack(">III", len(encoded), length, _checksum(encoded, data))
    return lengths + struct.pack(">I", zlib.crc32(lengths)) + encoded


def _checksum(body: Buffer, data: Buffer) -> int:
    checksum = zlib.crc32(body)
    return zlib.crc32(data, checksum) if memoryview(data).nbytes <= CHECKED_MAX else checksum


class Inbox:
    """Takes a message apart as its bytes arrive. Put bytes into ``room()``, then say how many to ``filled``.

    Memory: what a message really sends, of its data not more than ``data_max``; a claim costs nothing.
    """

    def __init__(self, *, body_max: int = BODY_MAX, data_max: int = DATA_MAX) -> None:
        self._body_max, self._data_max = body_max, data_max
        self._begin()

    def _begin(self) -> None:
        self._header: tuple[int, int, int] | None = None
        self._body = bytearray()
        self._data: Buffer = b""
        self._room = memoryview(bytearray(HEADER_LENGTH))
        self._whole = self._room

    @property
    def is_empty(self) -> bool:
        """Whether no message has begun."""
        return self._header is None and len(self._room) == HEADER_LENGTH

    @property
    def expected(self) -> int:
        """Bytes that the message which has begun still takes, as far as that is known."""
        if self._header is None:
            return len(self._room)
        return len(self._room) + (self._header[1] if self._whole.obj is self._body else 0)

    def room(self) -> memoryview:
        """Where the next bytes go. Never empty."""
        return self._room

    def filled(self, count: int) -> Message | None:
        """The message, if it is complete now. Raises: Malformed; nothing can be read from this stream any more."""
        self._room = self._room[count:]
        while not len(self._room):
            if self._header is None:
                self._open()
            elif self._whole.obj is self._body and self._header[1]:
                self._data = _buffer(self._header[1])
                self._whole = self._room = memoryview(self._data)
            else:
                return self._close()
        return None

    def _open(self) -> None:
        data = bytes(self._whole)
        body_length, data_length, checksum, own = HEADER.unpack(data)
        if zlib.crc32(data[:-4]) != own:
            raise Malformed("a header with a wrong checksum")
        if not 1 <= body_length <= self._body_max:
            raise Malformed(f"a body of {body_length} bytes")
        if data_length > self._data_max:
            raise Malformed(f"data of {data_length} bytes")
        self._header = (body_length, data_length, checksum)
        self._body = bytearray(body_length)
        self._whole = self._room = memoryview(self._body)

    def _close(self) -> Message:
        assert self._header is not None
        body, data, checksum = bytes(self._body), self._data, self._header[2]
        self._begin()
        if _checksum(body, data) != checksum:
            raise Malformed("a message with a wrong checksum")
        value = decode(body)
        if not isinstance(value, dict):
            raise Malformed("a body that is no map")
        return Message(value, data)


def _buffer(length: int) -> Buffer:
    return bytearray(length) if length < _PAGES_MIN else mmap(-1, length)
