"""Items: one file system entry each. See docs/format/item.md."""

import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.reference import msgpack
from tests.reference.binary import ID_LENGTH, Cursor, Refused, Unknown
from tests.reference.msgpack import Value

ZERO_ID = bytes(ID_LENGTH)
SLICE_LENGTH = 40
SLICES_INLINE_MAX = 256
SLICES_PER_LIST_MAX = 16_384
LISTS_MAX = 4_096
NAME_LENGTH_MAX = 1024
TARGET_LENGTH_MAX = 65_535
ACL_TAGS = {1: "user object", 2: "user", 4: "group object", 8: "group", 16: "mask", 32: "other"}


@dataclass(frozen=True, slots=True)
class Slice:
    """A run of bytes of a file: a part of a chunk, or a hole."""

    id: bytes
    offset: int
    length: int

    @property
    def is_hole(self) -> bool:
        """Whether no chunk is behind it."""
        return self.id == ZERO_ID


@dataclass(frozen=True, slots=True)
class AclEntry:
    """One entry of a POSIX ACL."""

    tag: int
    permissions: int
    id: int
    name: bytes


@dataclass(frozen=True, slots=True)
class Item:
    """One file system entry. A field that is absent has its value here."""

    mode: int
    uid: int
    gid: int
    mtime: tuple[int, int]  # seconds since 1970, nanoseconds
    user: bytes = b""
    group: bytes = b""
    ctime: tuple[int, int] | None = None
    atime: tuple[int, int] | None = None
    birthtime: tuple[int, int] | None = None
    size: int = 0
    inode: int = 0
    slices: tuple[Slice, ...] = ()
    lists: tuple[bytes, ...] = ()
    target: bytes = b""
    device: tuple[int, int] | None = None
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    acl_access: tuple[AclEntry, ...] = ()
    acl_default: tuple[AclEntry, ...] = ()
    flags: int = 0
    link: tuple[int, int] | None = None  # group, number of links
    missing: int = 0  # kinds of metadata: 1 xattrs, 2 ACLs, 4 flags, 8 birth time


def read_item(body: bytes) -> Item:
    """Decode a body, and check what its fields say together."""
    fields = msgpack.decode(body)
    _demand(isinstance(fields, dict), "it is no map")
    values: dict[str, Any] = {}
    for number, value in fields.items() if isinstance(fields, dict) else ():
        if number not in FIELDS:
            raise Unknown(f"item: unknown field {number}")
        name, read = FIELDS[number]
        values[name] = read(value)
    _demand(values.keys() >= {"mode", "uid", "gid", "mtime"}, "mode, uid, gid or mtime is absent")
    item = Item(**values)
    kind = stat.S_IFMT(item.mode)
    _demand(item.mode < 1 << 16 and kind in KINDS, "the mode has no known file type")
    _demand(kind == stat.S_IFREG or not (item.size or item.slices or item.lists), "only a regular file has content")
    _demand((kind == stat.S_IFLNK) == bool(item.target), "a symbolic link, and nothing else, has a target")
    is_device = kind in (stat.S_IFCHR, stat.S_IFBLK)
    _demand(is_device == (item.device is not None), "a device node, and nothing else, has device numbers")
    _demand(kind == stat.S_IFDIR or not item.acl_default, "only a directory has a default ACL")
    _demand(not (item.slices and item.lists), "slices and content lists exclude each other")
    total = sum(one.length for one in item.slices)
    _demand(bool(item.lists) or total == item.size, "the slices do not add up to the size")
    return item


KINDS = {stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK}


def read_slices(data: bytes) -> tuple[Slice, ...]:
    """The slices of an item or of a content list."""
    cursor, slices = Cursor(data, "slices"), []
    while cursor.left:
        one = Slice(cursor.take(ID_LENGTH), cursor.number(4), cursor.number(4))
        _demand(one.length > 0 and not (one.is_hole and one.offset), "a slice is empty, or a hole has an offset")
        slices.append(one)
    return tuple(slices)


def _demand(condition: bool, why: str) -> None:
    if not condition:
        raise Refused(f"item: {why}")


def _uint(value: Value, bits: int = 32) -> int:
    _demand(isinstance(value, int), "an integer was expected")
    assert isinstance(value, int)
    _demand(0 <= value < 1 << bits, "an integer is out of range")
    return value


def _nonzero(value: Value, bits: int = 64) -> int:
    _demand(value != 0, "a zero field is written")
    return _uint(value, bits)


def _kinds(value: Value) -> int:
    kinds = _nonzero(value)
    _demand(kinds < 16, "metadata of an unknown kind is missing")
    return kinds


def _bin(value: Value, limit: int, least: int = 1) -> bytes:
    _demand(isinstance(value, bytes), "a binary string was expected")
    assert isinstance(value, bytes)
    _demand(least <= len(value) <= limit, "a binary string is empty, or longer than its limit")
    return value


def _array(value: Value, group: int, limit: int) -> list[tuple[Value, ...]]:
    """The members of an array, in groups of equal length."""
    _demand(isinstance(value, list), "an array was expected")
    assert isinstance(value, list)
    _demand(0 < len(value) <= group * limit and len(value) % group == 0, "an array has an impossible length")
    return [tuple(value[at : at + group]) for at in range(0, len(value), group)]


def _pair(value: Value) -> tuple[Value, Value]:
    ((one, other),) = _array(value, 2, 1)
    return one, other


def _time(value: Value) -> tuple[int, int]:
    seconds, nanoseconds = _pair(value)
    _demand(isinstance(seconds, int) and -(1 << 63) <= seconds < 1 << 63, "a time is out of range")
    assert isinstance(seconds, int)
    _demand(_uint(nanoseconds) < 1_000_000_000, "a time has more than 999,999,999 nanoseconds")
    return seconds, _uint(nanoseconds)


def _inline_slices(value: Value) -> tuple[Slice, ...]:
    return read_slices(_bin(value, SLICES_INLINE_MAX * SLICE_LENGTH))


def _lists(value: Value) -> tuple[bytes, ...]:
    ids = _bin(value, LISTS_MAX * ID_LENGTH)
    _demand(len(ids) % ID_LENGTH == 0, "content lists are not whole ids")
    return tuple(ids[at : at + ID_LENGTH] for at in range(0, len(ids), ID_LENGTH))


def _xattrs(value: Value) -> tuple[tuple[bytes, bytes], ...]:
    pairs = [(_bin(name, 255), _bin(content, 65_536, least=0)) for name, content in _array(value, 2, 32_768)]
    names = [name for name, _ in pairs]
    _demand(names == sorted(set(names)), "extended attributes are not sorted")
    _demand(not any(0 in name for name in names), "the name of an extended attribute holds a zero byte")
    return tuple(pairs)


def _acl(value: Value) -> tuple[AclEntry, ...]:
    entries = []
    for tag, permissions, number, name in _array(value, 4, 8_192):
        entry = AclEntry(_uint(tag), _uint(permissions), _uint(number), _bin(name, NAME_LENGTH_MAX, least=0))
        _demand(entry.tag in ACL_TAGS and entry.permissions <= 7, "an ACL entry has an unknown tag or permission")
        entries.append(entry)
    return tuple(entries)


def _two(value: Value, bits: int) -> tuple[int, int]:
    one, other = _pair(value)
    return _uint(one, bits), _uint(other)


FIELDS: dict[int, tuple[str, Callable[[Value], object]]] = {
    1: ("mode", _uint),
    2: ("uid", _uint),
    3: ("gid", _uint),
    4: ("user", lambda value: _bin(value, NAME_LENGTH_MAX)),
    5: ("group", lambda value: _bin(value, NAME_LENGTH_MAX)),
    6: ("mtime", _time),
    7: ("ctime", _time),
    8: ("atime", _time),
    9: ("birthtime", _time),
    10: ("size", _nonzero),
    11: ("inode", _nonzero),
    12: ("slices", _inline_slices),
    13: ("lists", _lists),
    14: ("target", lambda value: _bin(value, TARGET_LENGTH_MAX)),
    15: ("device", lambda value: _two(value, 32)),
    16: ("xattrs", _xattrs),
    17: ("acl_access", _acl),
    18: ("acl_default", _acl),
    19: ("flags", lambda value: _nonzero(value, 32)),
    20: ("link", lambda value: _two(value, 64)),
    21: ("missing", _kinds),
}
