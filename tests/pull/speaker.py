"""The pull protocol in Python, written from docs/protocol.md, "The agent": shares nothing with the program.

Both ends of it: what an agent says, and what a server says. It encodes whatever it is told, sense or nonsense.
"""

import os
import select
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import zstandard
from blake3 import blake3

from tests.reference import codecs

MAGIC = b"\x00BORKA1\n"
HELLO, UNIT, OBJECT, LIST, QUERY, PROGRESS, CREDIT, DONE, FAULT = range(1, 10)
PLAN, LEAF, LEAF_END, ANSWER = range(16, 20)
RESTORE_PLAN, ENTRIES, CONTENT, ENTRIES_END, WANTED, PROBLEMS = range(24, 30)
NONE, LZ4, ZSTD, ZLIB, LZMA = range(5)
FLAGS = (
    *("one_file_system", "exclude_caches", "keep_exclude_tags", "read_special", "exclude_nodump", "xattrs", "acls"),
    *("flags", "atime", "ctime", "birthtime", "numeric_ids", "dry_run", "own_chunks"),
)
CACHE_WORDS = ("ctime", "mtime", "size", "inode", "rechunk", "disabled")
FILE, DIRECTORY, SYMLINK = 0o100644, 0o040755, 0o120777
MODE, UID, GID, USER, GROUP, MTIME, CTIME, SIZE, INODE, SLICES, LISTS, TARGET = 1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14


class Malformed(Exception):
    """What arrived is not what the page says."""


# ---- values ------------------------------------------------------------------------------------------------------


def pack(value: Any) -> bytes:  # noqa: ANN401  # any value
    """MessagePack: integers, binary strings, arrays, maps, each in its shortest form."""
    if isinstance(value, bytes):
        return _sized(len(value), [(0xC4, 1), (0xC5, 2), (0xC6, 4)]) + value
    if isinstance(value, dict):
        start = bytes([0x80 + len(value)]) if len(value) < 16 else _sized(len(value), [(0xDE, 2), (0xDF, 4)])
        return start + b"".join(pack(key) + pack(each) for key, each in sorted(value.items()))
    if isinstance(value, int):
        return _integer(value)
    start = bytes([0x90 + len(value)]) if len(value) < 16 else _sized(len(value), [(0xDC, 2), (0xDD, 4)])
    return start + b"".join(map(pack, value))


def _integer(value: int) -> bytes:
    if -32 <= value <= 127:
        return struct.pack("b", value)
    forms = [(0xCC, "B"), (0xCD, ">H"), (0xCE, ">I"), (0xCF, ">Q")]
    signed = [(0xD0, "b"), (0xD1, ">h"), (0xD2, ">i"), (0xD3, ">q")]
    for tag, form in forms if value >= 0 else signed:
        try:
            return bytes([tag]) + struct.pack(form, value)
        except struct.error:
            continue
    raise ValueError(value)


def _sized(length: int, forms: Sequence[tuple[int, int]]) -> bytes:
    tag, width = next(form for form in forms if length < 256 ** form[1])
    return bytes([tag]) + length.to_bytes(width, "big")


def unpack(data: bytes) -> Any:  # noqa: ANN401  # any value
    """The one value in ``data``, which must be the shortest encoding of it."""
    value, end = _value(data, 0)
    if end != len(data) or pack(value) != data:
        raise Malformed(f"not one value in its shortest form: {data[:40].hex()}")
    return value


def _value(data: bytes, at: int) -> tuple[Any, int]:
    tag, at = data[at], at + 1
    if tag < 0x80 or tag >= 0xE0:
        return (tag if tag < 0x80 else tag - 256), at
    if 0xCC <= tag <= 0xD3:
        width = 1 << (tag & 3)
        return int.from_bytes(data[at : at + width], "big", signed=tag >= 0xD0), at + width
    if 0xC4 <= tag <= 0xC6:
        width = 1 << tag - 0xC4
        start = at + width
        end = start + int.from_bytes(data[at:start], "big")
        if end > len(data):
            raise Malformed("a binary string is cut")
        return data[start:end], end
    if tag in (0xDC, 0xDD, 0xDE, 0xDF):
        width = 2 if tag in (0xDC, 0xDE) else 4
        count, at = int.from_bytes(data[at : at + width], "big"), at + width
    elif tag < 0xA0:
        count = tag & 15
    else:
        raise Malformed(f"the tag {tag:#x} is not in use")
    values = []
    is_map = tag < 0x90 or tag >= 0xDE
    for _ in range(count * (2 if is_map else 1)):
        value, at = _value(data, at)
        values.append(value)
    return (dict(zip(values[::2], values[1::2], strict=True)) if is_map else values), at


def varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def take_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte, at = data[at], at + 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


# ---- frames ------------------------------------------------------------------------------------------------------


class Frame(NamedTuple):
    kind: int
    body: bytes


def frame(kind: int, body: bytes = b"", *, length: int | None = None) -> bytes:
    return struct.pack("<IB", len(body) if length is None else length, kind) + body


def closed(plain: bytes, codec: int = ZSTD, *, length: int | None = None) -> bytes:
    """The body of a compressed frame."""
    payload = zstandard.ZstdCompressor().compress(plain) if codec == ZSTD else plain
    return bytes([codec]) + varint(len(plain) if length is None else length) + payload


def opened(body: bytes) -> bytes:
    length, at = take_varint(body, 1)
    return codecs.decompress(body[0], body[at:], length)


def frames(data: bytes) -> list[Frame]:
    """Whole frames, one after the other."""
    found, at = [], 0
    while at < len(data):
        length, kind = struct.unpack_from("<IB", data, at)
        found.append(Frame(kind, data[at + 5 : at + 5 + length]))
        if len(found[-1].body) < length:
            raise Malformed("a frame is cut")
        at += 5 + length
    return found


# ---- what an agent says ------------------------------------------------------------------------------------------


def hello(**changes: Any) -> bytes:  # noqa: ANN401  # any value
    """The body of a hello; fields by name."""
    seconds, nanoseconds = divmod(time.time_ns(), 10**9)
    fields = {
        "version": 1,
        "program": b"speaker",
        "hostname": b"client",
        "uid": 0,
        "reads_all": 1,
        "confinement": b"",
        "read": [],
        "write": [],
        "writes_all": 0,
        "seconds": seconds,
        "nanoseconds": nanoseconds,
        **changes,
    }
    return pack(list(fields.values()))


def item(mode: int = FILE, **fields: Any) -> bytes:  # noqa: ANN401  # any value
    """The body of an item: ``f10=5`` is field 10."""
    values: dict[int, Any] = {MODE: mode, UID: 0, GID: 0, MTIME: [0, 0]}
    values |= {int(name[1:]): value for name, value in fields.items()}
    return pack(values)


def slices(*parts: tuple[bytes, int, int]) -> bytes:
    """Id, offset, length of each."""
    return b"".join(chunk + struct.pack("<II", offset, length) for chunk, offset, length in parts)


def unit(
    entries: Sequence[Any] = (),
    files: int = 0,
    links: Sequence[Any] = (),
    statuses: Sequence[Any] = (),
    problems: Sequence[Any] = (),
    length: int | None = None,
) -> bytes:
    """A whole frame. An entry: ``[path, body]``, or ``[ordinal, count]``."""
    return frame(UNIT, closed(pack([files, entries, links, statuses, problems]), length=length))


def object_of(parts: Sequence[tuple[bytes, int]], payload: bytes, codec: int = NONE) -> bytes:
    """A whole frame. ``parts``: id and length of each chunk."""
    table = b"".join(chunk + varint(length) for chunk, length in parts)
    return frame(OBJECT, bytes([codec]) + varint(len(parts)) + table + payload)


def done(count: int) -> bytes:
    return frame(DONE, varint(count))


def reference(ordinal: int) -> bytes:
    """The list that stands for the content of an entry of the previous archive."""
    return bytes(24) + ordinal.to_bytes(8, "big")


# ---- what a server says ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be backed up, field by field."""

    roots: list[list[bytes]]
    patterns: list[list[Any]]
    exclude_if_present: list[bytes]
    flags: int
    files_cache: int
    files_changed: int
    statuses: list[bytes]
    start: list[int]
    previous_start: list[int]
    chunking: list[int]
    wire: list[int]
    id_key: bytes
    chunker_key: bytes
    rate: int

    def has(self, flag: str) -> bool:
        return bool(self.flags >> FLAGS.index(flag) & 1)

    def identify(self, plain: bytes) -> bytes:
        """The id of a chunk or a list."""
        return blake3(plain, key=self.id_key).digest()

    @property
    def root(self) -> bytes:
        """The first root, as it is called in the archive."""
        return self.roots[0][1]


def read_plan(body: bytes) -> Plan:
    return Plan(*unpack(body))


def plan(*roots: bytes | str | os.PathLike[str], **changes: Any) -> bytes:  # noqa: ANN401  # any value
    """The body of a plan for some directories; fields by name."""
    paths = [os.fsencode(root) for root in roots]
    fields = {
        "roots": [[path, path.strip(b"/") or b"root"] for path in paths],
        "patterns": [],
        "exclude_if_present": [],
        "flags": sum(1 << FLAGS.index(flag) for flag in ("xattrs", "acls", "flags")),
        "files_cache": 0b1101,
        "files_changed": 0,
        "statuses": [],
        "start": [1_700_000_000, 0],
        "previous_start": [],
        "chunking": [18, 22, 20],
        "wire": [ZSTD, 3, 0],
        "id_key": bytes(range(32)),
        "chunker_key": bytes(range(32, 64)),
        "rate": 0,
        **changes,
    }
    return pack(list(fields.values()))


def leaf(entries: Sequence[tuple[bytes, bytes]]) -> bytes:
    """A leaf of items (docs/format/tree.md), plain: paths share their beginnings with those before."""
    out, last = bytearray(b"\x01\x01"), b""
    for path, body in entries:
        pairs = zip(last, path, strict=False)
        shared = next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(last), len(path)))
        out += varint(shared) + varint(len(path) - shared) + path[shared:] + varint(len(body)) + body
        last = path
    return bytes(out)


# ---- the line ----------------------------------------------------------------------------------------------------


class Line:
    """Frames from one descriptor, to another."""

    def __init__(self, source: int, sink: int, timeout_s: float = 30) -> None:
        self._source, self._sink, self._timeout_s = source, sink, timeout_s
        self._buffer = bytearray()

    def send(self, data: bytes) -> None:
        """Raises: BrokenPipeError, when the other side is gone."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._sink, view) :]

    def take(self, count: int) -> bytes:
        """Raises: EOFError, at the end of the line."""
        while len(self._buffer) < count:
            if not select.select([self._source], [], [], self._timeout_s)[0]:
                raise TimeoutError("the other side says nothing")
            data = os.read(self._source, 1 << 20)
            if not data:
                raise EOFError
            self._buffer += data
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def receive(self) -> Frame:
        length, kind = struct.unpack("<IB", self.take(5))
        return Frame(kind, self.take(length))

    def rest(self) -> list[Frame]:
        """All frames until the end of the line."""
        found = []
        while True:
            try:
                found.append(self.receive())
            except EOFError:
                return found
