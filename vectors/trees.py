"""The JSON vectors of items and tree nodes. See ``units.py``."""

from tests.reference import msgpack
from tests.reference.binary import varint
from tests.reference.item import SLICES_INLINE_MAX, SLICES_PER_LIST_MAX, read_item
from tests.reference.msgpack import Value
from tests.reference.tree import Child, cut_inner, cut_leaves, encode_inner, order, path_hash, read_leaf
from tests.reference.writing import Maker, number
from vectors.fixed import SECRETS

FILE, DIRECTORY, SYMLINK, FIFO, CHARACTER, BLOCK, SOCKET = (
    *(0o100644, 0o040755, 0o120777, 0o010600, 0o020666, 0o060660, 0o140755),
)
NS_MAX = 999_999_999
CHUNK = bytes([0xAA] * 32)
HOLE = bytes(32)


def piece(name: bytes, length: int, offset: int = 0) -> bytes:
    """One slice."""
    return name + number(offset) + number(length)


def body(mode: int = FILE, **fields: Value) -> dict[int, Value]:
    """The fields of a plain item with some more."""
    values: dict[int, Value] = {1: mode, 2: 1000, 3: 100, 6: [1_700_000_000, 1]}
    values |= {int(name[1:]): value for name, value in fields.items()}
    return dict(sorted(values.items()))


ACCEPTED: dict[str, dict[int, Value]] = {
    "an empty file": body(),
    "every field of a file": body(
        f2=2**32 - 1,
        f3=0,
        f4=b"user",
        f5="größe".encode(),
        f7=[-1, 0],
        f8=[2**62, NS_MAX],
        f9=[0, 0],
        f10=5,
        f11=2**64 - 1,
        f12=piece(CHUNK, 5),
        f16=[b"a", b"", b"user.x", b"\0" * 300],
        f17=[1, 6, 0, b"", 2, 7, 1234, b"bob", 32, 0, 0, b""],
        f19=2**32 - 1,
        f20=[2**64 - 1, 2],
    ),
    "the earliest and the latest time": body(f6=[-(2**63), 0], f7=[2**63 - 1, NS_MAX]),
    "times at the borders of the integer forms": body(
        f6=[-33, 127], f7=[-129, 128], f8=[-32769, 256], f9=[-(2**31) - 1, 65536]
    ),
    "a hole between two chunks": body(f10=2**32 + 9, f12=piece(CHUNK, 5) + piece(HOLE, 2**32 - 1) + piece(CHUNK, 5, 7)),
    "as many slices as an item holds": body(f10=SLICES_INLINE_MAX, f12=piece(CHUNK, 1) * SLICES_INLINE_MAX),
    "two content lists": body(f10=SLICES_PER_LIST_MAX + 1, f13=CHUNK + bytes([0xBB] * 32)),
    "a directory with both ACLs": body(DIRECTORY, f17=[4, 5, 0, b""], f18=[8, 5, 2**32 - 1, b"staff"]),
    "a symbolic link to no UTF-8": body(SYMLINK, f14=b"\xff\xfe/.."),
    "a fifo": body(FIFO),
    "a character device": body(CHARACTER, f15=[1, 3]),
    "a block device": body(BLOCK, f15=[2**32 - 1, 2**20]),
    "a file without the metadata that options leave out": body(f21=15),
}
REFUSED: dict[str, dict[int, Value]] = {
    "an unknown field": body(f22=1),
    "field zero": {0: 1, **body()},
    "no mode": {field: value for field, value in body().items() if field != 1},
    "no uid": {field: value for field, value in body().items() if field != 2},
    "no gid": {field: value for field, value in body().items() if field != 3},
    "no mtime": {field: value for field, value in body().items() if field != 6},
    "a socket": body(SOCKET),
    "a mode without type": body(0o644),
    "a mode of more than 16 bits": body(FILE | 1 << 16),
    "an empty user": body(f4=b""),
    "a user name that is too long": body(f4=b"u" * 1025),
    "a size of zero": body(f10=0),
    "a size without content": body(f10=1),
    "content that is longer than the size": body(f10=1, f12=piece(CHUNK, 2)),
    "content without size": body(f12=piece(CHUNK, 1)),
    "no slices": body(f12=b""),
    "half a slice": body(f10=1, f12=piece(CHUNK, 1)[:39]),
    "an empty slice": body(f10=1, f12=piece(CHUNK, 0) + piece(CHUNK, 1)),
    "a hole with an offset": body(f10=1, f12=piece(HOLE, 1, 1)),
    "one slice more than an item holds": body(f10=257, f12=piece(CHUNK, 1) * 257),
    "slices and content lists": body(f10=1, f12=piece(CHUNK, 1), f13=CHUNK),
    "half a content list": body(f10=1, f13=CHUNK[:16]),
    "a directory with content": body(DIRECTORY, f10=1, f12=piece(CHUNK, 1)),
    "a symbolic link without target": body(SYMLINK),
    "a file with a target": body(f14=b"target"),
    "a device without numbers": body(CHARACTER),
    "a file with device numbers": body(f15=[1, 3]),
    "three device numbers": body(BLOCK, f15=[1, 2, 3]),
    "a billion nanoseconds": body(f6=[0, 10**9]),
    "a time of one number": body(f6=[0]),
    "xattrs out of order": body(f16=[b"b", b"", b"a", b""]),
    "an xattr twice": body(f16=[b"a", b"", b"a", b""]),
    "an xattr without value": body(f16=[b"a"]),
    "an xattr name with a zero byte": body(f16=[b"a\0", b""]),
    "an ACL tag that is none": body(f17=[3, 6, 0, b""]),
    "an ACL with four permission bits": body(f17=[1, 8, 0, b""]),
    "an ACL of half an entry": body(f17=[1, 6]),
    "a file with a default ACL": body(f18=[1, 6, 0, b""]),
    "flags of zero": body(f19=0),
    "nothing missing": body(f21=0),
    "an unknown kind of missing metadata": body(f21=16),
    "a text instead of a number": body(f2=b"0"),
}
REFUSED_BYTES = {
    "nothing": b"",
    "no map": b"\x90",
    "bytes behind the map": msgpack.encode(body()) + b"\0",
    "an integer that is not in its shortest form": msgpack.encode(body(f10=1, f12=piece(CHUNK, 1))).replace(
        b"\x0a\x01", b"\x0a\xcc\x01"
    ),
    "fields out of order": msgpack.encode({2: 0, 1: FILE, 3: 0, 6: [0, 0]}),
    "a field twice": b"\x85\x01\x00" + msgpack.encode(body())[1:],
    "a text string": msgpack.encode(body(f4=b"u")).replace(b"\xc4\x01u", b"\xa1u"),
    "a floating-point number": msgpack.encode(body()).replace(b"\x02\xcd\x03\xe8", b"\x02\xca\0\0\0\0"),
    "a time that says nil": msgpack.encode(body()).replace(b"\x06\x92", b"\x06\xc0"),
}


def items() -> object:
    """Fields to bodies; and bodies that every reader refuses."""
    accepted = []
    for name, fields in ACCEPTED.items():
        data = msgpack.encode(fields)
        read_item(data)
        accepted.append({"name": name, "fields": plain(fields), "body": data.hex()})
    refused = REFUSED_BYTES | {name: msgpack.encode(fields) for name, fields in REFUSED.items()}
    return {"accepted": accepted, "refused": {name: data.hex() for name, data in refused.items()}}


def plain(value: Value) -> object:
    """As JSON can hold it: byte strings in hexadecimal."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    return (
        [plain(one) for one in value] if isinstance(value, list) else value.hex() if isinstance(value, bytes) else value
    )


def leaf(*entries: tuple[int, bytes, bytes]) -> str:
    """A leaf as it is written: shared length, rest of the path, body."""
    parts = (varint(shared) + varint(len(rest)) + rest + varint(len(data)) + data for shared, rest, data in entries)
    return (b"\x01\x01" + b"".join(parts)).hex()


def long_list(count: int) -> list[tuple[bytes, bytes, int]]:
    """Items with paths of equal length, in tree order, and bodies that are no items."""
    return [(f"{at >> 8:04x}/{at & 255:02x}".encode(), b"b" * (100 + at % 50), at) for at in range(count)]


def nodes() -> object:
    """Order, hashes, nodes, and where trees are cut."""
    paths = [b"", b"a", b"a/b", b"a/b/c", b"a-b", b"a.b", b"b", b"b/\xff", b"b\x01", b"\xff"]
    assert paths == sorted(paths, key=order)
    pairs = [(b"a", b"1"), (b"a/b", b"2"), (b"a/bc", b""), (b"a-b", b"4")]
    ((encoded, summary),) = cut_leaves((path, data, 10) for path, data in pairs)
    assert list(read_leaf(encoded)) == pairs
    children = [Child(bytes([at] * 32), at + 1, 2**40 + at, path) for at, path in enumerate(paths[1:4])]
    leaves = [child for _, child in cut_leaves(long_list(3_000))]
    many = [Child(bytes(32), 1, at, f"{at:05}".encode()) for at in range(3_000)]
    inner = [len(data) for data, _ in cut_inner(1, many)]
    root, tree = Maker(SECRETS).tree(long_list(30_000))
    return {
        "order": [path.hex() for path in paths],
        "path_hashes": {path.hex(): f"{path_hash(path):016x}" for path in paths},
        "leaf": {"items": [[path.hex(), data.hex()] for path, data in pairs], "node": encoded.hex()},
        "inner": {
            "level": 2,
            "children": [_child(child) for child in children],
            "node": encode_inner(2, children).hex(),
        },
        "empty_leaf": leaf(),
        "leaf_cuts": {"items": 3_000, "items_in_each": [child.items for child in leaves]},
        "inner_cuts": {"children": 3_000, "length_of_each": inner},
        "tree": {"items": 30_000, "id_secret": SECRETS.id_secret.hex(), "root": root.hex(), "nodes": len(tree)},
        "summary_of_leaf": _child(summary),
        "refused_leaves": {
            "items out of order": leaf((0, b"b", b""), (0, b"a", b"")),
            "an item twice": leaf((0, b"a", b""), (1, b"", b"")),
            "a parent behind what is in it": leaf((0, b"a/b", b""), (1, b"", b"")),
            "less shared than there is": leaf((0, b"ab", b""), (1, b"bc", b"")),
            "more shared than there is": leaf((1, b"a", b"")),
            "a climbing path": leaf((0, b"../x", b"")),
            "an absolute path": leaf((0, b"/etc", b"")),
            "an empty component": leaf((0, b"a//b", b"")),
            "a zero byte": leaf((0, b"a\0b", b"")),
            "a later version": "0102",
            "another kind": "0301",
            "a cut varint": "010180",
            "a long varint": "0101800001",
        },
    }


def _child(child: Child) -> dict[str, object]:
    return {"id": child.id.hex(), "items": child.items, "size": child.size, "first": child.first.hex()}
