"""Packs: sealed objects, and the sealed table of contents behind them. See docs/format/pack.md."""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.reference.binary import ID_LENGTH, Cursor, Refused
from tests.reference.codecs import LZMA, NONE, decompress
from tests.reference.sealed import HEADER_LENGTH, TAG_LENGTH, Seal

RECORD_LENGTH = 16
CHUNK_RECORD_LENGTH = 36
TRAILER_LENGTH = 32
TRAILER_MAGIC = b"KCAPKROB"
TOC_NONCE = 0xFFFFFFFF
PLAIN_LENGTH_MAX = 32 << 20
OBJECTS_MAX = 1 << 20
CHUNKS_PER_OBJECT_MAX = 4096
CONTENT, NODE, LIST = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Record:
    """What is said of one object outside of it. Its 16 bytes are the associated data of the object."""

    stored: int  # bytes in the pack: payload, padding, tag
    payload: int
    plain: int
    codec: int
    kind: int
    chunks: int

    def encode(self) -> bytes:
        """The 16 bytes."""
        lengths = b"".join(length.to_bytes(4, "little") for length in (self.stored, self.payload, self.plain))
        return lengths + bytes([self.codec, self.kind]) + self.chunks.to_bytes(2, "little")


@dataclass(frozen=True, slots=True)
class PackedObject:
    """One object of a pack."""

    number: int  # in its pack; its nonce
    offset: int  # of its first byte in the pack
    record: Record
    chunks: tuple[tuple[bytes, int], ...]  # ids and lengths, in the order of the plaintext

    def open(self, seal: Seal, sealed: bytes) -> bytes:
        """The plaintext of the object."""
        opened = seal.open(self.number, self.record.encode(), sealed)
        payload, padding = opened[: self.record.payload], opened[self.record.payload :]
        if any(padding):
            raise Refused("object: its padding is not zero")
        return decompress(self.record.codec, payload, self.record.plain)


def read_record(cursor: Cursor) -> Record:
    """The next 16 bytes."""
    stored, payload, plain = cursor.number(4), cursor.number(4), cursor.number(4)
    codec = cursor.known("codec", 1, range(NONE, LZMA + 1))
    kind = cursor.known("object kind", 1, [CONTENT, NODE, LIST])
    chunks = cursor.number(2)
    if plain > PLAIN_LENGTH_MAX or stored < payload + TAG_LENGTH or stored > PLAIN_LENGTH_MAX + TAG_LENGTH:
        raise Refused(f"{cursor.what}: the lengths of an object are impossible")
    if not 1 <= chunks <= CHUNKS_PER_OBJECT_MAX:
        raise Refused(f"{cursor.what}: an object of {chunks} chunks")
    return Record(stored, payload, plain, codec, kind, chunks)


def read_trailer(data: bytes) -> tuple[int, int]:
    """Length of the sealed table of contents, and number of objects, from the last 32 bytes of a pack."""
    cursor = Cursor(data, "pack trailer")
    length, objects = cursor.number(4), cursor.number(4)
    cursor.known("parity length", 8, [0])
    cursor.expect(bytes(8) + TRAILER_MAGIC)
    cursor.finish()
    if objects > OBJECTS_MAX:
        raise Refused("pack trailer: too many objects")
    return length, objects


def read_toc(seal: Seal, sealed: bytes, count: int, space: int) -> list[PackedObject]:
    """The objects of a pack; ``space`` is what they have to fill."""
    cursor = Cursor(seal.open(TOC_NONCE, count.to_bytes(4, "little"), sealed), "table of contents")
    records = [read_record(cursor) for _ in range(count)]
    objects, offset = [], HEADER_LENGTH
    for number, record in enumerate(records):
        chunks = tuple((cursor.take(ID_LENGTH), cursor.number(4)) for _ in range(record.chunks))
        if sum(length for _, length in chunks) != record.plain:
            raise Refused("table of contents: the chunks of an object do not add up to its length")
        objects.append(PackedObject(number, offset, record, chunks))
        offset += record.stored
    cursor.finish()
    if offset - HEADER_LENGTH != space:
        raise Refused("table of contents: the objects do not fill the pack")
    return objects


def spans(chunks: tuple[tuple[bytes, int], ...]) -> Iterator[tuple[bytes, int, int]]:
    """Id, first byte in the plaintext, and length of each chunk of an object."""
    start = 0
    for name, length in chunks:
        yield name, start, length
        start += length
