"""The byte layout of a repository, written from docs/format without importing bork, and without its checks.

What an encoder of Bork would refuse can be written here: wrong counts, odd paths, bytes that are no MessagePack.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

FIELDS = {
    name: number
    for number, name in enumerate(
        (
            *("mode", "uid", "gid", "user", "group", "mtime", "ctime", "atime", "birthtime", "size", "inode", "slices"),
            *("lists", "target", "device", "xattrs", "acl_access", "acl_default", "flags", "link", "missing"),
        ),
        start=1,
    )
}
FILE, DIRECTORY, SYMLINK, FIFO, CHARACTER, BLOCK = 0o100644, 0o040755, 0o120777, 0o010644, 0o020644, 0o060644
HOLE = bytes(32)


@dataclass(frozen=True)
class Raw:
    """Bytes that stand in for a value as they are."""

    data: bytes


Value = int | bytes | Raw | Sequence["Value"] | Mapping[int, "Value"]


def pack_value(value: Value) -> bytes:
    """The MessagePack subset of the format."""
    match value:
        case Raw():
            return value.data
        case int():
            return pack_integer(value)
        case bytes():
            return _head(len(value), None, (0xC4, 0xC5, 0xC6)) + value
        case Mapping():
            pairs = b"".join(pack_integer(key) + pack_value(inner) for key, inner in value.items())
            return _head(len(value), 0x80, (None, 0xDE, 0xDF)) + pairs
        case _:
            return _head(len(value), 0x90, (None, 0xDC, 0xDD)) + b"".join(pack_value(inner) for inner in value)


def pack_integer(value: int) -> bytes:
    """Shortest form."""
    if 0 <= value < 0x80:
        return bytes([value])
    if -32 <= value < 0:
        return struct.pack("b", value)
    forms = ((0xCC, ">B"), (0xCD, ">H"), (0xCE, ">I"), (0xCF, ">Q"))
    negative = ((0xD0, ">b"), (0xD1, ">h"), (0xD2, ">i"), (0xD3, ">q"))
    for tag, form in forms if value >= 0 else negative:
        try:
            return bytes([tag]) + struct.pack(form, value)
        except struct.error:
            continue
    raise ValueError(value)


def _head(count: int, fix: int | None, tags: tuple[int | None, int, int]) -> bytes:
    if fix is not None and count < 16:
        return bytes([fix | count])
    if tags[0] is not None and count < 0x100:
        return bytes([tags[0], count])
    if count < 0x10000:
        return bytes([tags[1]]) + struct.pack(">H", count)
    return bytes([tags[2]]) + struct.pack(">I", count)


def item(mode: int, /, **fields: Value) -> bytes:
    """The body of an item, its fields in the order of the format unless ``order`` is broken with ``raw``."""
    values: dict[str, Value] = {"mode": mode, "uid": 0, "gid": 0, "mtime": (1_700_000_000, 1)}
    values |= fields
    return pack_value({FIELDS[name]: values[name] for name in sorted(values, key=lambda name: FIELDS[name])})


def slice_record(chunk: bytes, length: int, offset: int = 0) -> bytes:
    """One content slice."""
    return chunk + struct.pack("<II", offset, length)


def varint(value: int) -> bytes:
    """LEB128."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def common(one: bytes, other: bytes) -> int:
    """How many bytes two paths begin with together."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (here, there) in pairs if here != there), min(len(one), len(other)))


def leaf(items: Sequence[tuple[bytes, bytes]], *, share: bool = True) -> bytes:
    """A leaf of paths and bodies as they are given; ``share=False`` repeats each path whole."""
    out, last = bytearray(b"\x01\x01"), b""
    for path, body in items:
        shared = 0
        if share and len(out) > 2:
            shared = len(last) if path.startswith(last) else common(last, path)
        out += varint(shared) + varint(len(path) - shared) + path[shared:] + varint(len(body)) + body
        last = path
    return bytes(out)


def inner(level: int, children: Sequence[tuple[bytes, bytes]], items: int = 1, size: int = 0) -> bytes:
    """An inner node of (id, first path)."""
    out = bytearray([2, 1, level])
    for child, first in children:
        out += child + struct.pack("<QQ", items, size) + varint(len(first)) + first
    return bytes(out)


class Cursor:
    """Reads the values back; for archives that Bork itself has made, so it trusts them."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        self.at += count
        return self.data[self.at - count : self.at]

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def value(self) -> Value:
        tag = self.take(1)[0]
        if tag < 0x80:
            return tag
        if tag < 0x90:
            return {self._key(): self.value() for _ in range(tag & 15)}
        if tag < 0xA0:
            return [self.value() for _ in range(tag & 15)]
        if tag >= 0xE0:
            return tag - 256
        if tag in (0xDC, 0xDD, 0xDE, 0xDF):
            count = int.from_bytes(self.take(4 if tag & 1 else 2))
            return (
                [self.value() for _ in range(count)]
                if tag < 0xDE
                else {self._key(): self.value() for _ in range(count)}
            )
        if 0xC4 <= tag <= 0xC6:
            return self.take(int.from_bytes(self.take(1 << (tag - 0xC4))))
        width = 1 << (tag & 3)
        return int.from_bytes(self.take(width), signed=tag >= 0xD0)

    def _key(self) -> int:
        key = self.value()
        assert isinstance(key, int)
        return key
