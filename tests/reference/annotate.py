"""A hex dump that explains every byte of a small repository of mode ``none``. docs/format/hexdump.md shows one."""

import json
from collections.abc import Iterator
from pathlib import Path

from tests.reference import msgpack
from tests.reference.binary import Cursor
from tests.reference.codecs import NONE
from tests.reference.item import FIELDS, SLICE_LENGTH
from tests.reference.keys import public_secrets
from tests.reference.pack import CONTENT, NODE, TRAILER_LENGTH, PackedObject
from tests.reference.repository import Repository
from tests.reference.sealed import HEAD, HEADER_LENGTH, TAG_LENGTH

KINDS = {1: "data", 2: "metadata", 3: "index", 4: "archive head"}
OBJECT_KINDS = {1: "content", 2: "tree node", 3: "content list"}
COLUMNS = 16


class Dump:
    """Lines of ``offset  bytes  meaning``."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at, self.lines = data, 0, list[str]()

    def field(self, length: int, meaning: str) -> bytes:
        """The next bytes, with what they mean."""
        taken = self.data[self.at : self.at + length]
        for start in range(0, length, COLUMNS):
            row = taken[start : start + COLUMNS].hex(" ")
            self.lines.append(f"{self.at + start:06x}  {row:<47}  {meaning if start == 0 else ''}".rstrip())
        self.at += length
        return taken

    def number(self, length: int, meaning: str) -> int:
        """The next integer; ``{}`` in the meaning is its value."""
        value = int.from_bytes(self.data[self.at : self.at + length], "little")
        self.field(length, meaning.format(value))
        return value

    def title(self, text: str) -> None:
        """A line without bytes."""
        self.lines.append(f"------  {text}")


def annotate(path: Path) -> str:
    """All objects of a repository, in the order in which they were stored."""
    repository = Repository(path, lambda: b"")
    if repository.secrets != public_secrets(repository.config.id):
        raise ValueError("only mode none can be read without opening it")
    texts = [f"config\n\n{(path / 'config').read_text('ascii')}"]
    packs = sorted(repository.names("packs"), key=lambda name: (kind_of(repository, name), name))
    for name in packs:
        data = repository.get("packs", name)
        texts.append(f"packs/{name.hex()[:2]}/{name.hex()}\n\n" + annotate_pack(repository, name, data))
    indexes = repository.names("indexes")
    texts += [f"indexes/{name.hex()}\n\n" + annotate_index(repository.get("indexes", name)) for name in indexes]
    for head in repository.archives():
        data = (path / "archives" / head.object_name.hex()).read_bytes()
        texts.append(f"archives/{head.object_name.hex()}\n\n" + annotate_head(data))
    return "\n".join(texts)


def kind_of(repository: Repository, pack: bytes) -> int:
    """Data packs are stored before metadata packs."""
    return repository.get("packs", pack)[9]


def header(dump: Dump) -> int:
    """The 64 bytes that every sealed file begins with."""
    dump.field(8, 'magic "BORKPACK"')
    dump.number(1, "version {}")
    kind = dump.data[dump.at]
    dump.number(1, "kind {}: " + KINDS[kind])
    dump.number(1, "suite {}: plain bytes and a keyed BLAKE3 tag")
    dump.number(1, "parity scheme {}: none")
    dump.number(2, "key epoch {}")
    dump.field(2, "reserved")
    dump.field(16, "first half of the repository id")
    dump.field(32, "salt")
    return kind


def annotate_pack(repository: Repository, name: bytes, data: bytes) -> str:
    """Header, objects, table of contents, trailer."""
    dump = Dump(data)
    header(dump)
    objects = repository.table_of_contents(name)
    for each in objects:
        dump.title(f"object {each.number}: {OBJECT_KINDS[each.record.kind]}, codec {each.record.codec}")
        payload(dump, each)
        if padding := each.record.stored - each.record.payload - TAG_LENGTH:
            dump.field(padding, "padding")
        dump.field(TAG_LENGTH, f"tag: nonce {each.number}, associated data: the record below")
    dump.title("table of contents")
    for _ in objects:
        record(dump)
    for each in objects:
        for _ in each.chunks:
            dump.field(32, "chunk id")
            dump.number(4, "length of the chunk: {}")
    dump.field(TAG_LENGTH, "tag: nonce 4,294,967,295, associated data: the number of objects")
    dump.title("trailer")
    dump.number(4, "length of the table of contents with its tag: {}")
    dump.number(4, "objects: {}")
    dump.number(8, "length of parity: {}")
    dump.field(8, "reserved")
    dump.field(8, 'magic "KCAPKROB"')
    assert dump.at == len(data)
    return "\n".join(dump.lines) + "\n"


def record(dump: Dump) -> None:
    """The 16 bytes of an object in a table of contents or an index."""
    dump.number(4, "stored bytes: {}")
    dump.number(4, "payload bytes: {}")
    dump.number(4, "plain bytes: {}")
    dump.number(1, "codec {}")
    dump.number(1, "kind {}: " + OBJECT_KINDS[dump.data[dump.at]])
    dump.number(2, "chunks: {}")


def payload(dump: Dump, each: PackedObject) -> None:
    """The bytes of an object, as far as they can be read as they stand."""
    if each.record.codec != NONE:
        dump.field(each.record.payload, "payload, compressed")
    elif each.record.kind == NODE and dump.data[dump.at] == 1:
        leaf(dump, dump.at + each.record.payload)
    else:
        shown = repr(dump.data[dump.at : dump.at + each.record.payload])[1:]
        dump.field(each.record.payload, shown if each.record.kind == CONTENT else "payload")


def leaf(dump: Dump, end: int) -> None:
    """A leaf of an item tree."""
    dump.number(1, "node kind {}: leaf")
    dump.number(1, "node version {}")
    while dump.at < end:
        varint(dump, "bytes of the path shared with the one before: {}")
        length = varint(dump, "further bytes of the path: {}")
        dump.field(length, f"path {dump.data[dump.at : dump.at + length]!r}")
        length = varint(dump, "bytes of the body: {}")
        body(dump, dump.data[dump.at : dump.at + length])


def varint(dump: Dump, meaning: str) -> int:
    """A varint and its meaning."""
    cursor = Cursor(dump.data[dump.at :], "varint")
    value = cursor.varint()
    dump.field(cursor.at, meaning.format(value))
    return value


def body(dump: Dump, data: bytes) -> None:
    """The fields of an item."""
    fields = msgpack.decode(data)
    assert isinstance(fields, dict)
    dump.field(1 if len(fields) < 16 else 3, f"map of {len(fields)} fields")
    for number, value in fields.items():
        name, encoded = FIELDS[number][0], msgpack.encode(number) + msgpack.encode(value)
        if name == "slices" and isinstance(value, bytes):
            dump.field(len(encoded) - len(value), f"field {number}, slices: {len(value)} bytes")
            for _ in range(0, len(value), SLICE_LENGTH):
                dump.field(32, "slice: chunk id")
                dump.number(4, "slice: offset {}")
                dump.number(4, "slice: length {}")
        else:
            shown = f"{value:#o}" if name == "mode" and isinstance(value, int) else f"{value!r}"
            dump.field(len(encoded), f"field {number}, {name}: {shown}")


def annotate_index(data: bytes) -> str:
    """A sealed file of one segment."""
    dump = Dump(data)
    header(dump)
    dump.title("segment 0: the table")
    dump.field(8, 'magic "BORKTABL"')
    dump.number(4, "version {}")
    packs = dump.number(4, "packs: {}")
    superseded = dump.number(4, "superseded indexes: {}")
    objects = dump.number(4, "objects: {}")
    chunks = dump.number(4, "chunks: {}")
    dump.field(HEADER_LENGTH - 28, "reserved")
    for number in range(packs):
        dump.field(32, f"pack {number}: name")
        dump.number(8, f"pack {number}: length {{}}")
    for number in range(superseded):
        dump.field(32, f"superseded index {number}")
    for number in range(objects):
        dump.number(4, f"object {number}: in pack {{}}")
        dump.number(4, f"object {number}: at offset {{}}")
        record(dump)
    for _ in range(chunks):
        dump.field(32, "chunk id")
        dump.number(4, "in object {}")
        dump.number(4, "at offset {} of its plaintext")
        dump.number(4, "length {}")
    dump.field(TAG_LENGTH, "tag: nonce 0, associated data: the number of segments")
    assert dump.at == len(data)
    return "\n".join(dump.lines) + "\n"


def annotate_head(data: bytes) -> str:
    """A sealed file that holds JSON."""
    dump = Dump(data)
    assert header(dump) == HEAD
    for text in json_parts(data[HEADER_LENGTH : -TAG_LENGTH - TRAILER_LENGTH]):
        dump.field(len(text), text if len(text) <= 60 else text[:57] + "...")
    dump.field(TAG_LENGTH, "tag: nonce 0, associated data: the name of this object")
    dump.field(32, "BLAKE3 of all bytes before")
    assert dump.at == len(data)
    return "\n".join(dump.lines) + "\n"


def json_parts(plain: bytes) -> Iterator[str]:
    """The members of a canonical JSON object, with their commas and braces."""
    members = list(json.loads(plain).items())
    for number, (name, value) in enumerate(members):
        text = json.dumps({name: value}, sort_keys=True, separators=(",", ":"))[1:-1]
        yield ("{" if number == 0 else "") + text + ("}" if number == len(members) - 1 else ",")
