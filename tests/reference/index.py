"""Index objects: where every chunk of some packs is. See docs/format/index.md."""

from dataclasses import dataclass

from tests.reference.binary import ID_LENGTH, Cursor, Refused
from tests.reference.keys import Secrets
from tests.reference.pack import Record, read_record
from tests.reference.sealed import HEADER_LENGTH, INDEX, TAG_LENGTH, Seal, read_header

MAGIC = b"BORKTABL"
TABLE_HEADER_LENGTH = 64
SEGMENT_LENGTH = 1 << 20


@dataclass(frozen=True, slots=True)
class Place:
    """Where one chunk is."""

    pack: bytes
    number: int  # of the object in its pack: its nonce
    offset: int  # of the object in the pack
    record: Record
    start: int  # of the chunk in the plaintext of the object
    length: int


@dataclass(frozen=True, slots=True)
class Table:
    """What an index object says."""

    packs: dict[bytes, int]  # names and lengths
    superseded: tuple[bytes, ...]  # names of index objects
    copies: tuple[tuple[bytes, Place], ...]  # chunk id, and where a copy of it is


def open_index(secrets: Secrets, data: bytes) -> bytes:
    """The table in an index object: segments of 1 MiB, each sealed with the number of all."""
    header = read_header(data)
    if header.kind != INDEX:
        raise Refused("index: it is a file of another kind")
    seal, body, step = Seal(secrets, header), data[HEADER_LENGTH:], SEGMENT_LENGTH + TAG_LENGTH
    segments = [body[at : at + step] for at in range(0, len(body), step)]
    associated = len(segments).to_bytes(4, "little")
    return b"".join(seal.open(number, associated, segment) for number, segment in enumerate(segments))


def read_table(data: bytes) -> Table:
    """Read a table and check every record of it."""
    cursor = Cursor(data, "index")
    cursor.expect(MAGIC)
    cursor.known("version", 4, [1])
    packs_count, superseded_count, objects_count, chunks_count = (cursor.number(4) for _ in range(4))
    cursor.expect(bytes(TABLE_HEADER_LENGTH - 28))
    packs = [(cursor.take(ID_LENGTH), cursor.number(8)) for _ in range(packs_count)]
    superseded = tuple(cursor.take(ID_LENGTH) for _ in range(superseded_count))
    objects: list[tuple[int, int, int, Record]] = []  # pack, number in it, offset, record
    for _ in range(objects_count):
        pack, offset, record = cursor.number(4), cursor.number(4), read_record(cursor)
        last = objects[-1] if objects and objects[-1][0] == pack else None
        if pack >= packs_count or (last is None and any(pack <= before[0] for before in objects[-1:])):
            raise Refused("index: the objects are not in the order of the packs")
        if offset != (HEADER_LENGTH if last is None else last[2] + last[3].stored):
            raise Refused("index: an object does not follow the one before it")
        if offset + record.stored > packs[pack][1]:
            raise Refused("index: an object lies outside its pack")
        objects.append((pack, 0 if last is None else last[1] + 1, offset, record))
    copies: list[tuple[bytes, Place]] = []
    previous = (b"", -1)
    for _ in range(chunks_count):
        name, target, start, length = cursor.take(ID_LENGTH), cursor.number(4), cursor.number(4), cursor.number(4)
        if (name, target) <= previous:
            raise Refused("index: the chunks are not sorted")
        if target >= objects_count or start + length > objects[target][3].plain:
            raise Refused("index: a chunk lies outside its object")
        pack, number, offset, record = objects[target]
        copies.append((name, Place(packs[pack][0], number, offset, record, start, length)))
        previous = (name, target)
    cursor.finish()
    return Table(dict(packs), superseded, tuple(copies))
