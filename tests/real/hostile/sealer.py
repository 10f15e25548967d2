"""Seals whatever it is given into a repository of mode ``none``, whose secrets are public."""

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import zstandard
from blake3 import blake3

ZERO = bytes(32)
CODEC_NONE, CODEC_LZ4, CODEC_ZSTD, CODEC_ZLIB, CODEC_LZMA = range(5)
DATA, METADATA, INDEX, HEAD = 1, 2, 3, 4
CONTENT, NODE, LIST = 1, 2, 3
SUITE_MAC = 3
SEGMENT = 1 << 20
TAG = 16


def derive(context: str, secret: bytes) -> bytes:
    """BLAKE3 in its key derivation mode."""
    return blake3(secret, derive_key_context=context).digest()


def keyed(key: bytes, data: bytes) -> bytes:
    """BLAKE3 with a key."""
    return blake3(data, key=key).digest()


@dataclass
class PublicKeys:
    """The secrets of mode ``none``."""

    repository: bytes

    def __post_init__(self) -> None:
        secret = derive("bork 2026-11 public id secret", self.repository)
        self.chunk_id = derive("bork 2026-11 chunk id", secret)
        self.archive_name = derive("bork 2026-11 archive name", secret)
        self.file = derive("bork 2026-11 file", derive("bork 2026-11 public data secret", self.repository))

    def file_key(self, header: bytes) -> bytes:
        """Key of the file that begins with ``header``."""
        return keyed(self.file, self.repository + header)


def header(repository: bytes, kind: int, salt: bytes, *, version: int = 1, suite: int = SUITE_MAC) -> bytes:
    """The first 64 bytes of a sealed file."""
    return b"BORKPACK" + bytes([version, kind, suite, 0, 0, 0, 0, 0]) + repository[:16] + salt


def seal(key: bytes, index: int, associated: bytes, plain: bytes) -> bytes:
    """``plain`` with its tag."""
    nonce = struct.pack("<I", index) + bytes(8)
    return plain + keyed(key, nonce + struct.pack("<I", len(associated)) + associated + plain)[:TAG]


@dataclass
class Object:
    """One object of a pack: what is stored, and what is said of it."""

    payload: bytes
    plain_length: int
    codec: int
    kind: int
    chunks: list[tuple[bytes, int]]
    padding: int = 0

    def record(self) -> bytes:
        stored = len(self.payload) + self.padding + TAG
        return struct.pack(
            "<IIIBBH", stored, len(self.payload), self.plain_length, self.codec, self.kind, len(self.chunks)
        )


@dataclass(frozen=True)
class Pack:
    """A pack and what is in it."""

    name: bytes
    data: bytes
    objects: list[Object]


@dataclass
class Forge:
    """Collects objects and writes packs, an index and a head around them."""

    path: Path
    objects: list[Object] = field(default_factory=list)
    change_table: Callable[[bytearray], None] | None = None  # the plain index, before it is sealed
    salt: int = 0

    def __post_init__(self) -> None:
        config = (self.path / "config").read_text()
        (line,) = (line for line in config.splitlines() if line.startswith("id = "))
        self.keys = PublicKeys(bytes.fromhex(line[5:]))

    def chunk(
        self,
        plain: bytes,
        *,
        kind: int = NODE,
        compress: bool = False,
        payload: bytes | None = None,
        codec: int | None = None,
        chunk_id: bytes | None = None,
        claimed: int | None = None,
        padding: int = 0,
    ) -> bytes:
        """Adds an object of one chunk; its id. ``claimed``: the plain length that the record tells."""
        stored = payload if payload is not None else zstandard.compress(plain) if compress else plain
        used = codec if codec is not None else CODEC_ZSTD if compress else CODEC_NONE
        length = len(plain) if claimed is None else claimed
        found = keyed(self.keys.chunk_id, plain) if chunk_id is None else chunk_id
        self.objects.append(Object(stored, length, used, kind, [(found, length)], padding))
        return found

    def new_header(self, kind: int) -> bytes:
        """A header with a salt of its own."""
        self.salt += 1
        return header(self.keys.repository, kind, self.salt.to_bytes(32))

    def write(self, collection: str, name: bytes, data: bytes) -> None:
        """Puts an object where the repository looks for it."""
        directory = self.path / collection
        if collection == "packs":
            directory /= name.hex()[:2]
        directory.mkdir(parents=True, exist_ok=True)
        (directory / name.hex()).write_bytes(data)

    def pack(self, kind: int, objects: list[Object]) -> Pack:
        """A pack of these objects."""
        start = self.new_header(kind)
        key = self.keys.file_key(start)
        sealed = [
            seal(key, number, one.record(), one.payload + bytes(one.padding)) for number, one in enumerate(objects)
        ]
        toc = b"".join(one.record() for one in objects)
        toc += b"".join(found + struct.pack("<I", length) for one in objects for found, length in one.chunks)
        toc = seal(key, 0xFFFFFFFF, struct.pack("<I", len(objects)), toc)
        trailer = struct.pack("<IIQ8s8s", len(toc), len(objects), 0, bytes(8), b"KCAPKROB")
        data = b"".join([start, *sealed, toc, trailer])
        return Pack(blake3(data).digest(), data, objects)

    def packs(self) -> list[Pack]:
        """Content comes into a pack of data, nodes and lists into one of metadata."""
        content = [one for one in self.objects if one.kind == CONTENT]
        nodes = [one for one in self.objects if one.kind != CONTENT]
        return [self.pack(kind, objects) for kind, objects in ((DATA, content), (METADATA, nodes)) if objects]

    def table(self, packs: list[Pack]) -> bytes:
        """The plain index of packs."""
        objects: list[bytes] = []
        chunks: dict[bytes, bytes] = {}
        for place, pack in enumerate(packs):
            offset = 64
            for one in pack.objects:
                inside = 0
                for found, size in one.chunks:
                    chunks[found] = struct.pack("<III", len(objects), inside, size)
                    inside += size
                objects.append(struct.pack("<II", place, offset) + one.record())
                offset += len(one.payload) + one.padding + TAG
        counts = struct.pack("<IIIII", 1, len(packs), 0, len(objects), len(chunks))
        names = b"".join(pack.name + struct.pack("<Q", len(pack.data)) for pack in packs)
        records = b"".join(found + chunks[found] for found in sorted(chunks))
        return (b"BORKTABL" + counts).ljust(64, b"\0") + names + b"".join(objects) + records

    def seal_index(self, plain: bytes) -> bytes:
        """The bytes of an index object."""
        start = self.new_header(INDEX)
        key = self.keys.file_key(start)
        segments = [plain[at : at + SEGMENT] for at in range(0, len(plain), SEGMENT)]
        count = struct.pack("<I", len(segments))
        return start + b"".join(seal(key, number, count, segment) for number, segment in enumerate(segments))

    def head(self, name: str, root: bytes, /, **changes: object) -> None:
        """Stores an archive head; ``changes`` to its fields, a value of None removes one."""
        stats = dict.fromkeys(("items", "files", "chunks", "original_size", "compressed_size", "deduplicated_size"), 0)
        values: dict[str, object] = {
            "name": name, "root": root.hex(), "chunker": ["gear", 18, 22, 20], "hostname": "h", "username": "u",
            "cwd": "/", "comment": "", "command_line": ["bork"], "time_ns": 1, "start_ns": 1, "end_ns": 2,
            "roots": [], "stats": stats, "sequence": 1, "ledger": ZERO.hex(), "session": None, "generation": 0,
            "version": 1, **changes,
        }  # fmt: skip
        self.raw_head(name, json.dumps(values, sort_keys=True, separators=(",", ":")).encode())

    def raw_head(self, name: str, plain: bytes, **header_changes: int) -> None:
        """Seals any bytes as a head."""
        found = keyed(self.keys.archive_name, name.encode("utf-8", "surrogateescape"))
        self.salt += 1
        start = header(self.keys.repository, HEAD, self.salt.to_bytes(32), **header_changes)
        sealed = start + seal(self.keys.file_key(start), 0, found, plain)
        self.write("archives", found, sealed + blake3(sealed).digest())

    def publish(self, root: bytes, name: str = "evil") -> None:
        """Packs, index and head of everything that was added."""
        packs = self.packs()
        for pack in packs:
            self.write("packs", pack.name, pack.data)
        table = bytearray(self.table(packs))
        if self.change_table is not None:
            self.change_table(table)
        sealed = self.seal_index(bytes(table))
        self.write("indexes", blake3(sealed).digest(), sealed)
        self.head(name, root)
