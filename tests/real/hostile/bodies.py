"""Archives whose items are no items: impossible fields, lying counts, content that is not there."""

from collections.abc import Callable, Sequence

from tests.real.hostile.case import CONTAINED, EVIL, NAMED, REFUSED, Case, evil, of_body, of_items, table
from tests.real.hostile.sealer import CONTENT, LIST, Forge
from tests.real.hostile.wire import (
    BLOCK,
    CHARACTER,
    DIRECTORY,
    FIFO,
    FILE,
    HOLE,
    SYMLINK,
    Raw,
    Value,
    inner,
    item,
    leaf,
    pack_value,
    slice_record,
    varint,
)

HUGE = {
    "bin": b"\xc6\xff\xff\xff\xff",
    "array": b"\xdd\x3b\x9a\xca\x00",
    "map": b"\xdf\x3b\x9a\xca\x00",
}  # 10^9 and more
KEPT: dict[str, Value] = {"uid": 0, "gid": 0, "mtime": (0, 0)}


def raw(*pairs: tuple[int, Value]) -> bytes:
    """A body of these pairs in this order."""
    return bytes([0x80 | len(pairs)]) + b"".join(pack_value(number) + pack_value(value) for number, value in pairs)


def field(name: str, value: Value, mode: int = FILE) -> Callable[[Forge], bytes]:
    """An item with one odd field."""
    return of_body(item(mode, **{name: value}))


def content(size: int, *records: tuple[int, int]) -> Callable[[Forge], bytes]:
    """A file of ``size`` bytes with slices of (offset, length) of a chunk of 13 bytes."""

    def body(forge: Forge) -> bytes:
        chunk = forge.chunk(EVIL, kind=CONTENT)
        return item(FILE, size=size, slices=b"".join(slice_record(chunk, length, offset) for offset, length in records))

    return of_body(body)


def listed(size: int, plain: Callable[[Forge], bytes], kind: int = LIST) -> Callable[[Forge], bytes]:
    """A file whose content is in a list."""
    return of_body(lambda forge: item(FILE, size=size, lists=forge.chunk(plain(forge), kind=kind)))


def whole(forge: Forge) -> bytes:
    return slice_record(forge.chunk(EVIL, kind=CONTENT), len(EVIL))


def both_contents(forge: Forge) -> bytes:
    fields = evil(forge)
    return item(FILE, **fields, lists=forge.chunk(whole(forge), kind=LIST))


CASES: Sequence[Case] = [
    *table(
        REFUSED,
        {
            "unknown field": of_body(raw((1, FILE), (2, 0), (3, 0), (6, (0, 0)), (22, 7))),
            "field zero": of_body(raw((0, 0), (1, FILE), (2, 0), (3, 0), (6, (0, 0)))),
            "fields out of order": of_body(raw((2, 0), (1, FILE), (3, 0), (6, (0, 0)))),
            "a field twice": of_body(raw((1, FILE), (1, FILE), (2, 0), (3, 0), (6, (0, 0)))),
            "no mode": of_body(raw((2, 0), (3, 0), (6, (0, 0)))),
            "mode of no type": field("mode", 0o644),
            "a socket": field("mode", 0o140644),
            "mode of 33 bits": field("mode", 1 << 33),
            "mode is text": field("mode", b"file"),
            "owner of 33 bits": field("uid", 1 << 33),
            "owner is negative": field("uid", -1),
            "owner is an array": field("uid", [1]),
            "long integer": field("uid", Raw(b"\xcd\x00\x01")),
            "float": field("uid", Raw(b"\xcb" + bytes(8))),
            "nil": field("uid", Raw(b"\xc0")),
            "user of 1025 bytes": field("user", b"u" * 1_025),
            "empty user": field("user", b""),
            "time of a second's worth": field("mtime", (0, 10**9)),
            "time of one number": field("mtime", [1]),
            "time of three numbers": field("mtime", [1, 2, 3]),
            "an array instead of a map": of_body(b"\x90"),
            "an empty body": of_body(b""),
            "a body cut short": of_body(item(FILE)[:-1]),
            "a body with something behind it": of_body(item(FILE) + b"\0"),
            "a map that claims a billion pairs": of_body(HUGE["map"] + item(FILE)[1:]),
            "xattrs that claim a billion": field("xattrs", Raw(HUGE["array"])),
            "an ACL that claims a billion": field("acl_access", Raw(HUGE["array"])),
            "slices that claim gigabytes": field("slices", Raw(HUGE["bin"])),
            "xattrs of odd count": field("xattrs", [b"user.a"]),
            "xattrs unsorted": field("xattrs", [b"user.b", b"", b"user.a", b""]),
            "an xattr twice": field("xattrs", [b"user.a", b"", b"user.a", b""]),
            "an xattr without name": field("xattrs", [b"", b""]),
            "an xattr name with a zero": field("xattrs", [b"user.a\0b", b""]),
            "an xattr name of 256 bytes": field("xattrs", [b"u" * 256, b""]),
            "an xattr of more than 64 KiB": field("xattrs", [b"user.a", bytes(65_537)]),
            "an ACL with an unknown tag": field("acl_access", [3, 7, 0, b""]),
            "an ACL with unknown rights": field("acl_access", [1, 8, 0, b""]),
            "an ACL cut short": field("acl_access", [1, 7, 0]),
            "zero flags": field("flags", 0),
            "flags of 33 bits": field("flags", 1 << 33),
            "a link without target": of_body(item(SYMLINK)),
            "a file with a target": field("target", b"x"),
            "a directory with content": of_body(lambda forge: item(DIRECTORY, **evil(forge))),
            "a link with content": of_body(lambda forge: item(SYMLINK, target=b"x", **evil(forge))),
            "a device of one number": field("device", [1], CHARACTER),
            "a device of 33 bits": field("device", [1 << 33, 1], CHARACTER),
            "a default ACL on a file": field("acl_default", [1, 7, 0, b"", 4, 7, 0, b"", 32, 7, 0, b""]),
            "a fifo with a device number": field("device", [1, 3], FIFO),
            "a link count of 33 bits": field("link", [1, 1 << 33]),
        },
    ),
    *table(
        REFUSED,
        {
            "slices of less than the size": content(14, (0, 13)),
            "slices of more than the size": content(12, (0, 13)),
            "a size without slices": of_body(item(FILE, size=5)),
            "a size beyond all": of_body(item(FILE, size=2**64 - 1)),
            "an empty slice": content(13, (0, 13), (5, 0)),
            "a slice longer than its chunk": content(14, (0, 14)),
            "a slice behind its chunk": content(1, (13, 1)),
            "a slice that wraps around": content(2**32 - 1, (2, 2**32 - 1)),
            "a hole with an offset": of_body(item(FILE, size=5, slices=slice_record(HOLE, 5, 1))),
            "slices of half a record": of_body(item(FILE, size=5, slices=slice_record(HOLE, 5) + b"half")),
            "too many slices": of_body(item(FILE, size=257, slices=slice_record(HOLE, 1) * 257)),
            "a chunk that is not there": of_body(item(FILE, size=5, slices=slice_record(b"x" * 32, 5))),
            "a list that is not there": of_body(item(FILE, size=5, lists=b"x" * 32)),
            "a list of half an id": of_body(item(FILE, size=5, lists=b"x" * 31)),
            "slices and lists": of_body(both_contents),
            "a list of more than the size": listed(5, whole),
            "a list of less than the size": listed(100, whole),
            "a list of half a record": listed(13, lambda forge: whole(forge)[:-1]),
            "a list that is a leaf": listed(13, lambda _: leaf([])),
            "a list that is random": listed(13, lambda _: b"random" * 20),
            "an empty list": listed(13, lambda _: b""),
            "a list with an empty slice": listed(13, lambda forge: whole(forge) + slice_record(HOLE, 0)),
        },
    ),
    *table(
        NAMED,
        {
            "an ACL in the guise of an xattr": field("xattrs", [b"system.posix_acl_access", b"\2\0\0\0"]),
            "an xattr of no namespace": field("xattrs", [b"nonsense", b""]),
            "a link to a zero byte": field("target", b"a\0b", SYMLINK),
            "a link target of 64 KiB": field("target", b"t" * 65_535, SYMLINK),
            "a device without number": of_body(item(BLOCK)),
            "an owner that means nobody": field("uid", 2**32 - 1),
        },
    ),
    *table(
        CONTAINED,
        {
            "a time in the year of 2^62": field("mtime", (2**62, 0)),
            "16,000 xattrs": field(
                "xattrs", [value for number in range(16_000) for value in (b"user.%05d" % number, b"v")]
            ),
            "16 MB of xattrs": field(
                "xattrs", [value for number in range(200) for value in (b"user.%05d" % number, bytes(65_536))]
            ),
            "slices that overlap": content(39, (0, 13), (0, 13), (0, 13)),
            "every flag": field("flags", 2**32 - 1),
            "a directory of every flag": field("flags", 2**32 - 1, DIRECTORY),
            "an ACL without mask": field("acl_access", [1, 7, 0, b"", 2, 7, 5, b"", 4, 7, 0, b"", 32, 7, 0, b""]),
            "an ACL of 8192 names": field(
                "acl_access", [value for number in range(8_192) for value in (2, 7, number, b"")]
            ),
            "times at both ends": of_items(
                (b"a", item(FILE, mtime=(-(2**63), 0))), (b"b", item(FIFO, mtime=(2**63 - 1, 999_999_999)))
            ),
            "a hole of a terabyte": of_body(
                item(FILE, size=255 * (2**32 - 1), slices=slice_record(HOLE, 2**32 - 1) * 255)
            ),
        },
    ),
    *table(
        REFUSED,
        {
            "a leaf that claims a long body": lambda forge: forge.chunk(
                b"\1\1" + varint(0) + varint(1) + b"a" + varint(2**34)
            ),
            "a leaf with a varint without end": lambda forge: forge.chunk(b"\1\1" + b"\xff" * 20),
            "a leaf that shares more than there is": lambda forge: forge.chunk(
                b"\1\1" + varint(5) + varint(1) + b"a" + varint(0)
            ),
            "a leaf of version 2": lambda forge: forge.chunk(b"\1\2"),
            "a node of kind 3": lambda forge: forge.chunk(b"\3\1"),
            "an empty node": lambda forge: forge.chunk(b""),
            "random bytes": lambda forge: forge.chunk(b"random bytes " * 10),
            "an inner node without children": lambda forge: forge.chunk(inner(1, [])),
            "an inner node of level 0": lambda forge: forge.chunk(inner(0, [(forge.chunk(leaf([])), b"a")])),
            "an inner node of level 200": lambda forge: forge.chunk(inner(200, [(forge.chunk(leaf([])), b"a")])),
            "a child that is not there": lambda forge: forge.chunk(inner(1, [(b"x" * 32, b"a")])),
            "a root that is not there": lambda _: b"x" * 32,
            "a root that is content": lambda forge: forge.chunk(EVIL, kind=CONTENT),
        },
    ),
]
