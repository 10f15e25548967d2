"""The other direction: just enough to make small repositories by hand, well-formed or not. Never used to read.

Nothing is random here: salts are counted, so the same input gives the same bytes. That is right for vectors, and what a
program that keeps data must never do.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from tests.reference.codecs import NONE
from tests.reference.config import COMMENT, Config
from tests.reference.index import MAGIC as TABLE_MAGIC
from tests.reference.index import SEGMENT_LENGTH, TABLE_HEADER_LENGTH
from tests.reference.keys import MAGIC as KEY_MAGIC
from tests.reference.keys import Secrets, stretch
from tests.reference.pack import (
    CONTENT,
    NODE,
    TOC_NONCE,
    TRAILER_LENGTH,
    TRAILER_MAGIC,
    PackedObject,
    Record,
    read_toc,
    read_trailer,
    spans,
)
from tests.reference.sealed import (
    AES_256_GCM,
    DATA,
    HEAD,
    HEADER_LENGTH,
    INDEX,
    KEYED_BLAKE3,
    METADATA,
    TAG_LENGTH,
    Header,
    Seal,
    nonce,
    read_header,
)
from tests.reference.tree import Child, cut_inner, cut_leaves
from tests.reference.verify import ledger


def number(value: int, length: int = 4) -> bytes:
    """A little-endian integer."""
    return value.to_bytes(length, "little")


def encode_config(config: Config) -> bytes:
    """The object ``config``."""
    entries = {
        "format": "1",
        "id": config.id.hex(),
        "encryption": config.encryption,
        "suite": str(config.suite),
        "append_only": str(int(config.append_only)),
        "storage_quota": str(config.storage_quota),
    }
    lines = [COMMENT, *(f"{key} = {value}" for key, value in entries.items()), "features =", ""]
    return with_checksum("\n".join(lines))


def with_checksum(body: str) -> bytes:
    """The lines of a config with the last one."""
    return f"{body}checksum = {blake3(body.encode()).hexdigest()}\n".encode()


def encode_key(secrets: Secrets, passphrase: bytes, salt: bytes, cost: tuple[int, int, int]) -> bytes:
    """A key object. ``cost``: KiB, passes, lanes."""
    clear = KEY_MAGIC + bytes([1, 1, 1, secrets.suite]) + b"".join(map(number, cost)) + salt + secrets.repository
    plain = secrets.id_secret + number(len(secrets.epochs), 2) + b"".join(secrets.epochs)
    return clear + AESGCM(stretch(passphrase, salt, *cost)).encrypt(bytes(12), plain, clear)


def seal_bytes(seal: Seal, index: int, associated: bytes, plain: bytes) -> bytes:
    """Sealed bytes and tag."""
    if seal.suite == KEYED_BLAKE3:
        return plain + seal.mac(index, associated, plain)
    cipher = AESGCM(seal.key) if seal.suite == AES_256_GCM else ChaCha20Poly1305(seal.key)
    return cipher.encrypt(nonce(index), plain, associated)


@dataclass(frozen=True, slots=True)
class Draft:
    """An object to be packed."""

    kind: int
    chunks: tuple[bytes, ...]
    codec: int = NONE
    payload: bytes | None = None  # None: the plaintext as it is
    padding: int = 0

    def record(self) -> Record:
        """What is said of it."""
        plain, payload = sum(map(len, self.chunks)), self.stored_payload()
        stored = len(payload) + self.padding + TAG_LENGTH
        return Record(stored, len(payload), plain, self.codec, self.kind, len(self.chunks))

    def stored_payload(self) -> bytes:
        """The payload without its padding."""
        return b"".join(self.chunks) if self.payload is None else self.payload


@dataclass(slots=True)
class Maker:
    """Makes the objects of one repository; the salt of each file is counted up from 1."""

    secrets: Secrets
    files: int = 0
    objects: dict[str, bytes] = field(default_factory=dict)  # by name, in the order in which they were made

    def header(self, kind: int) -> Header:
        """The header of the next file."""
        self.files += 1
        salt = blake3(number(self.files, 8)).digest()
        return Header(kind, self.secrets.suite, len(self.secrets.epochs) - 1, self.secrets.repository[:16], salt)

    def put(self, collection: str, data: bytes) -> bytes:
        """An object that is named by its digest."""
        name = blake3(data).digest()
        deeper = f"{name.hex()[:2]}/" if collection == "packs" else ""
        self.objects[f"{collection}/{deeper}{name.hex()}"] = data
        return name

    def pack(self, kind: int, drafts: Sequence[Draft]) -> tuple[bytes, int, list[PackedObject]]:
        """Name, length and table of contents of a new pack."""
        name, data = self.put_pack(kind, drafts)
        header, (length, count) = read_header(data), read_trailer(data[-TRAILER_LENGTH:])
        space = len(data) - HEADER_LENGTH - TRAILER_LENGTH - length
        toc = data[HEADER_LENGTH + space : -TRAILER_LENGTH]
        return name, len(data), read_toc(Seal(self.secrets, header), toc, count, space)

    def put_pack(self, kind: int, drafts: Sequence[Draft]) -> tuple[bytes, bytes]:
        """Name and bytes of a new pack, which nobody has looked at yet."""
        header = self.header(kind)
        seal, out, records, chunks = Seal(self.secrets, header), header.encode(), b"", b""
        for index, draft in enumerate(drafts):
            record = draft.record().encode()
            out += seal_bytes(seal, index, record, draft.stored_payload() + bytes(draft.padding))
            records += record
            chunks += b"".join(self.secrets.chunk_id(plain) + number(len(plain)) for plain in draft.chunks)
        toc = seal_bytes(seal, TOC_NONCE, number(len(drafts)), records + chunks)
        out += toc + number(len(toc)) + number(len(drafts)) + bytes(16) + TRAILER_MAGIC
        return self.put("packs", out), out

    def index(self, packs: Sequence[tuple[bytes, int, list[PackedObject]]], superseded: Sequence[bytes] = ()) -> bytes:
        """Name of a new index object of these packs."""
        return self.put("indexes", self.seal_index(encode_table(packs, superseded)))

    def seal_index(self, table: bytes) -> bytes:
        """An index object of a table."""
        header = self.header(INDEX)
        seal, segments = Seal(self.secrets, header), range(0, len(table), SEGMENT_LENGTH)
        count = number(len(segments))
        parts = [seal_bytes(seal, index, count, table[at : at + SEGMENT_LENGTH]) for index, at in enumerate(segments)]
        return header.encode() + b"".join(parts)

    def tree(self, items: Sequence[tuple[bytes, bytes, int]]) -> tuple[bytes, list[bytes]]:
        """Id of the root, and all nodes, of a tree of items (path, body, size)."""
        nodes: list[bytes] = []
        level, children = 0, list[Child]()
        while level == 0 or len(children) > 1:
            cut = cut_leaves(items) if level == 0 else cut_inner(level, children)
            children = []
            for data, child in cut:
                nodes.append(data)
                children.append(replace(child, id=self.secrets.chunk_id(data)))
            level += 1
        return children[0].id, nodes

    def head(self, name: str, root: bytes, /, **changes: object) -> bytes:
        """The name of the object of a new archive head."""
        object_name = self.secrets.archive_name(name.encode("utf-8", "surrogateescape"))
        heads = [bytes.fromhex(other.removeprefix("archives/")) for other in self.objects if "archives/" in other]
        values = head_fields(name, root, len(heads) + 1, ledger(heads)) | changes
        self.objects[f"archives/{object_name.hex()}"] = self.seal_head(object_name, to_canonical_json(values))
        return object_name

    def seal_head(self, object_name: bytes, plain: bytes) -> bytes:
        """An archive head of any plaintext."""
        header = self.header(HEAD)
        out = header.encode() + seal_bytes(Seal(self.secrets, header), 0, object_name, plain)
        return out + blake3(out).digest()

    def archive(self, name: str, items: Sequence[tuple[bytes, bytes, int]], chunks: Sequence[Draft] = ()) -> None:
        """An archive of items (path, body, size) with the objects that they need, packs and index included."""
        root, nodes = self.tree(items)
        packs = [self.pack(DATA, content)] if (content := [one for one in chunks if one.kind == CONTENT]) else []
        others = [one for one in chunks if one.kind != CONTENT]
        packs.append(self.pack(METADATA, [*others, *(Draft(NODE, (node,)) for node in nodes)]))
        self.index(packs)
        self.head(name, root)

    def write(self, path: Path, encryption: str = "none") -> Path:
        """Write everything below a directory."""
        config = Config(self.secrets.repository, encryption, self.secrets.suite, append_only=False, storage_quota=0)
        for name, data in {**self.objects, "config": encode_config(config)}.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
        return path


def encode_table(packs: Sequence[tuple[bytes, int, list[PackedObject]]], superseded: Sequence[bytes] = ()) -> bytes:
    """The plaintext of an index object."""
    objects, chunks = b"", list[tuple[bytes, int, bytes]]()
    count = 0
    for place, (_, _, contents) in enumerate(packs):
        for each in contents:
            objects += number(place) + number(each.offset) + each.record.encode()
            for chunk, start, length in spans(each.chunks):
                chunks.append((chunk, count, chunk + number(count) + number(start) + number(length)))
            count += 1
    counts = [len(packs), len(superseded), count, len(chunks)]
    out = (TABLE_MAGIC + number(1) + b"".join(map(number, counts))).ljust(TABLE_HEADER_LENGTH, b"\0")
    out += b"".join(name + number(length, 8) for name, length, _ in packs) + b"".join(superseded)
    return out + objects + b"".join(record for _, _, record in sorted(chunks))


def to_canonical_json(values: dict[str, object]) -> bytes:
    """The plaintext of a head."""
    return json.dumps(values, sort_keys=True, separators=(",", ":")).encode("ascii")


def head_fields(name: str, root: bytes, sequence: int, seen: bytes) -> dict[str, object]:
    """The fields of a head, with plain values where nothing is asked for."""
    stats = ("items", "files", "chunks", "original_size", "compressed_size", "deduplicated_size")
    fields: dict[str, object] = {"version": 1, "name": name, "root": root.hex(), "chunker": ["gear", 18, 22, 20]}
    fields |= {"hostname": "", "username": "", "cwd": "/", "comment": "", "command_line": [], "roots": []}
    fields |= {"time_ns": 0, "start_ns": 0, "end_ns": 0, "stats": dict.fromkeys(stats, 0)}
    return fields | {"sequence": sequence, "ledger": seen.hex(), "session": None, "generation": 0}
