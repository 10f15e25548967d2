"""A small stand-in for the native module, used where that is not built: the same border, nothing of the quality.

It seals nothing, and its formats are JSON. What it has in common with the real one is the order of events, so that the
Python layers can be tried without a Rust toolchain.
"""

import hmac
import json
import os
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2s
from pathlib import Path
from typing import Any

from bork import __version__
from bork.errors import IntegrityError, KeyInvalid, KeyMismatch, PassphraseWrong

VERSION = __version__
CHUNK_LENGTH = 4096
_MAGIC, _TRAILER = b"FAKEPACK", b"KCAPEKAF"


def digest(data: bytes) -> bytes:
    return blake2s(data).digest()


class Keys:
    """Secrets are two strings of bytes."""

    def __init__(self, repository_id: bytes, suite: int, secret: bytes) -> None:
        self._repository_id, self.suite, self._secret = repository_id, suite, secret

    @staticmethod
    def generate(repository_id: bytes, suite: int) -> "Keys":
        return Keys(repository_id, suite, os.urandom(32))

    @staticmethod
    def public(repository_id: bytes) -> "Keys":
        return Keys(repository_id, 3, digest(repository_id))

    @staticmethod
    def open(key_object: bytes, passphrase: bytes, repository_id: bytes) -> "Keys":
        try:
            values = json.loads(key_object)
            owner, secret = bytes.fromhex(values["repository_id"]), bytes.fromhex(values["secret"])
        except (ValueError, KeyError):
            raise KeyInvalid("not a key") from None
        if owner != repository_id:
            raise KeyMismatch
        if values["check"] != digest(passphrase + secret).hex():
            raise PassphraseWrong
        return Keys(repository_id, values["suite"], secret)

    def seal(self, passphrase: bytes, *, memory_kib: int, passes: int, lanes: int) -> bytes:
        values = {"repository_id": self._repository_id.hex(), "suite": self.suite, "secret": self._secret.hex()}
        return json.dumps(values | {"check": digest(passphrase + self._secret).hex()}).encode()

    def mac(self, *parts: bytes) -> bytes:
        return hmac.digest(self._secret, b"".join(digest(part) for part in parts), "sha256")

    def archive_name(self, name: bytes) -> bytes:
        return self.mac(b"name", name)

    def seal_head(self, name: bytes, plain: bytes) -> bytes:
        sealed = self.mac(b"head", self.archive_name(name), plain) + plain
        return sealed + digest(sealed)

    def open_head(self, object_name: bytes, data: bytes) -> bytes:
        plain = data[32:-32]
        if digest(data[:-32]) != data[-32:] or data[:32] != self.mac(b"head", object_name, plain):
            raise IntegrityError("archive head does not authenticate")
        return plain


Place = tuple[bytes, int, int]  # pack, offset, length


class ChunkIndex:
    """A dictionary."""

    def __init__(self) -> None:
        self.places: dict[bytes, Place] = {}
        self._packs: set[bytes] = set()
        self._all: list[tuple[bytes, Place]] = []

    def _add(self, data: bytes) -> None:
        for pack, chunks in json.loads(data).items():
            self._packs.add(bytes.fromhex(pack))
            for chunk, (offset, length) in chunks.items():
                self._all.append((bytes.fromhex(chunk), (bytes.fromhex(pack), offset, length)))
        self.places = dict(self._all)

    def add_sealed(self, keys: Keys, name: bytes, data: bytes, table_path: str | None) -> None:
        if keys.mac(data[32:]) != data[:32]:
            raise IntegrityError("index does not authenticate")
        self._add(data[32:])
        if table_path is not None:
            Path(table_path).write_bytes(digest(data[32:]) + data[32:])

    def add_table(self, name: bytes, table_path: str) -> bool:
        data = Path(table_path).read_bytes()
        if digest(data[32:]) != data[:32]:
            return False
        self._add(data[32:])
        return True

    def add_toc(self, keys: Keys, pack_name: bytes, pack_length: int, head: bytes, tail: bytes) -> None:
        toc = tail[: -len(_TRAILER) - 24]
        if head[:8] != _MAGIC or keys.mac(toc[32:]) != toc[:32]:
            raise IntegrityError("pack does not authenticate")
        self._add(json.dumps({pack_name.hex(): json.loads(toc[32:])}).encode())

    @staticmethod
    def toc_length(trailer: bytes) -> int:
        if not trailer.endswith(_TRAILER):
            raise IntegrityError("pack trailer is malformed")
        return int.from_bytes(trailer[:8], "big") + 32

    def packs(self) -> list[bytes]:
        return sorted(self._packs)

    def forget_packs(self, names: Sequence[bytes]) -> None:
        self._packs -= set(names)
        self.places = {chunk: place for chunk, place in self._all if place[0] not in set(names)}

    def __len__(self) -> int:
        return len(self.places)

    def totals(self) -> tuple[int, int, int]:
        stored = sum(length for _, _, length in self.places.values())
        return len(self.places), stored, stored


@dataclass
class StorePack:
    token: int
    name: bytes
    data: bytes


@dataclass
class StoreIndex:
    token: int
    name: bytes
    data: bytes


@dataclass
class Fetch:
    token: int
    ranges: list[Place]


@dataclass
class Lines:
    data: bytes


@dataclass
class Data:
    data: bytes


@dataclass
class Problem:
    kind: str
    path: bytes
    message: str


@dataclass
class Done:
    outcome: dict[str, Any]


PackBuffer = bytes
Steps = Generator[Any, Any, dict[str, Any]]


class _Engine:
    """Runs a generator of events: what it yields is an event, what is sent back is the answer to a Fetch."""

    def __init__(self, plan: dict[str, Any], keys: Keys | None, index: ChunkIndex) -> None:
        self.plan, self.index = plan, index
        self.keys = keys or Keys.public(bytes(32))
        self._steps, self._token = self.steps(), 0
        self._answer: list[bytes] | None = None
        self._waiting: set[int] = set()
        self.cancelled = False

    def steps(self) -> Steps:
        raise NotImplementedError

    def token(self) -> int:
        self._token += 1
        return self._token

    def next_event(self, timeout_s: float) -> object:
        assert not self.cancelled
        assert not self._waiting, "the driver has not answered"
        answer, self._answer = self._answer, None
        try:
            event = self._steps.send(answer)
        except StopIteration as end:
            return Done(end.value)
        if isinstance(event, StorePack | StoreIndex | Fetch):
            self._waiting.add(event.token)
        return event

    def stored(self, token: int) -> None:
        self._waiting.remove(token)

    def fetched(self, token: int, data: list[bytes]) -> None:
        self._waiting.remove(token)
        self._answer = data

    def fetch_failed(self, token: int, message: str) -> None:
        self._waiting.remove(token)
        self._answer = []

    def progress(self) -> tuple[int, int, int, int, bytes]:
        return 0, 0, 0, 0, b""

    def cancel(self) -> None:
        self.cancelled = True

    def read(self, chunk: bytes) -> Generator[Any, Any, bytes | None]:
        if chunk not in self.index.places:
            return None
        answer = yield Fetch(self.token(), [self.index.places[chunk]])
        if not answer or self.keys.mac(answer[0]) != chunk:
            return None
        return bytes(answer[0])


@dataclass
class _Pack:
    body: bytearray = field(default_factory=lambda: bytearray(_MAGIC + os.urandom(56)))
    chunks: dict[bytes, tuple[int, int]] = field(default_factory=dict)


class CreateEngine(_Engine):
    """Files and directories only, in one JSON list."""

    def steps(self) -> Steps:
        self.pack, self.finished, self.new_bytes, self.new_chunks = _Pack(), dict[str, Any](), 0, 0
        items, size, chunks = [], 0, 0
        for source, stored in self.plan["roots"]:
            for path in sorted([source, *_below(source)]):
                name = stored + path[len(source) :]
                if self.plan["lines"]:
                    yield Lines(b"A " + name + b"\n")
                if self.plan["dry_run"]:
                    continue
                try:
                    content = None if os.path.isdir(path) else Path(os.fsdecode(path)).read_bytes()
                except OSError as fault:
                    yield Problem("permission", path, str(fault))
                    continue
                ids = []
                for at in range(0, len(content or b""), CHUNK_LENGTH):
                    chunk = yield from self.put((content or b"")[at : at + CHUNK_LENGTH])
                    ids.append(chunk.hex())
                size, chunks = size + len(content or b""), chunks + len(ids)
                items.append([name.hex(), None if content is None else ids])
        root = yield from self.put(json.dumps(items).encode())
        yield from self.flush()
        if self.finished:
            plain = json.dumps(self.finished).encode()
            data = self.keys.mac(plain) + plain
            yield StoreIndex(self.token(), digest(data), data)
        numbers = {"original_size": size, "compressed_size": size, "deduplicated_size": self.new_bytes}
        files = sum(ids is not None for _, ids in items)
        return numbers | {
            "root": root, "items": len(items), "files": files, "chunks": chunks, "chunks_new": self.new_chunks
        }  # fmt: skip

    def put(self, plain: bytes) -> Generator[Any, Any, bytes]:
        chunk: bytes = self.keys.mac(plain)
        if chunk not in self.index.places and chunk not in self.pack.chunks:
            self.pack.chunks[chunk] = len(self.pack.body), len(plain)
            self.pack.body += plain
            self.new_bytes, self.new_chunks = self.new_bytes + len(plain), self.new_chunks + 1
            if len(self.pack.body) >= self.plan["pack_size"]:
                yield from self.flush()
        return chunk

    def flush(self) -> Generator[Any, Any, None]:
        if self.pack.chunks and not self.plan["dry_run"]:
            plain = json.dumps({chunk.hex(): place for chunk, place in self.pack.chunks.items()}).encode()
            toc = self.keys.mac(plain) + plain
            data = bytes(self.pack.body) + toc + len(toc).to_bytes(8, "big") + bytes(16) + _TRAILER
            name = digest(data)
            yield StorePack(self.token(), name, data)
            self.finished[name.hex()] = {chunk.hex(): place for chunk, place in self.pack.chunks.items()}
            for chunk, (offset, length) in self.pack.chunks.items():
                self.index.places[chunk] = name, offset, length
        self.pack = _Pack()


def _below(root: bytes) -> list[bytes]:
    return [os.path.join(top, name) for top, folders, files in os.walk(root) for name in (*folders, *files)]


class ReadEngine(_Engine):
    """Restores files and directories below the target."""

    def steps(self) -> Steps:
        tree = yield from self.read(self.plan["root"])
        if tree is None:
            yield Problem("damaged", b"", "the tree is lost")
        items = json.loads(tree or b"[]")
        for name_hex, ids in items:
            name = bytes.fromhex(name_hex)
            if self.plan["mode"] == "list" or self.plan["lines"]:
                yield Lines(name + b"\n")
            if self.plan["mode"] == "list":
                continue
            content = b""
            for chunk in ids or []:
                part = yield from self.read(bytes.fromhex(chunk))
                if part is None:
                    yield Problem("damaged", name, "a chunk is lost")
                content += part or b""
            path = Path(self.plan["target"]) / os.fsdecode(name)
            if self.plan["mode"] == "extract" and ids is None:
                path.mkdir(parents=True, exist_ok=True)
            elif self.plan["mode"] == "extract":
                path.write_bytes(content)
            elif self.plan["mode"] == "stdout":
                yield Data(content)
        return {"items": len(items)}


class CheckEngine(_Engine):
    """Compares names of packs, and follows references."""

    def steps(self) -> Steps:
        for name, length in self.plan["packs"]:
            answer = yield Fetch(self.token(), [(name, 0, length)])
            if not answer or digest(answer[0]) != name:
                yield Problem("damaged", b"packs/" + name.hex().encode(), "its BLAKE3 is not its name")
        for display, root in self.plan["archives"]:
            tree = yield from self.read(root)
            if tree is None:
                yield Problem("damaged", display.encode(), "the tree is lost")
                continue
            for name_hex, ids in json.loads(tree):
                for chunk in ids or []:
                    there = bytes.fromhex(chunk) in self.index.places
                    if there and self.plan["verify_data"]:
                        there = (yield from self.read(bytes.fromhex(chunk))) is not None
                    if not there:
                        yield Problem("damaged", bytes.fromhex(name_hex), "a chunk is lost")
        return {}
