"""The tree of items: leaves, inner nodes, their order and where they are cut. See docs/format/tree.md."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tests.reference.binary import ID_LENGTH, Cursor, Refused, varint

LEAF, INNER, VERSION = 1, 2, 1
PATH_LENGTH_MAX = 65_535
BODY_LENGTH_MAX = 16 << 20
LEAF_LENGTH_MIN, LEAF_LENGTH_MAX, LEAF_MASK = 32 << 10, 128 << 10, 0xFF
INNER_CHILDREN_MIN, INNER_CHILDREN_MAX, INNER_MASK = 64, 512, 0x3F00
DEPTH_MAX = 10


@dataclass(frozen=True, slots=True)
class Child:
    """What an inner node says of one node below it."""

    id: bytes
    items: int
    size: int
    first: bytes  # path of the first item below it


def order(path: bytes) -> bytes:
    """Tree order is byte order, if "/" counts as the smallest byte. No path holds a zero byte."""
    return path.replace(b"/", b"\0")


def path_hash(path: bytes) -> int:
    """64-bit FNV-1a, finished so that its low bits depend on all of it."""
    state = 0xCBF2_9CE4_8422_2325
    for byte in path:
        state = (state ^ byte) * 0x0100_0000_01B3 % 2**64
    return (state ^ state >> 32) * 0x9E37_79B9_7F4A_7C15 % 2**64 >> 16


def check_path(path: bytes) -> None:
    """Relative, without empty, ``.`` and ``..`` components. The empty path is the root of the archive itself."""
    if len(path) > PATH_LENGTH_MAX or 0 in path:
        raise Refused("path: it is too long, or holds a zero byte")
    if path and any(name in (b"", b".", b"..") for name in path.split(b"/")):
        raise Refused("path: a component is empty, '.' or '..'")


def _start(cursor: Cursor, kind: int) -> None:
    cursor.known("node kind", 1, [kind])
    cursor.known("node version", 1, [VERSION])


def read_leaf(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Path and body of each item of a leaf."""
    cursor, path = Cursor(data, "leaf"), None
    _start(cursor, LEAF)
    while cursor.left:
        shared, length = cursor.varint(), cursor.varint()
        before = path or b""
        if shared > len(before) or shared + length > PATH_LENGTH_MAX:
            raise Refused("leaf: a path is longer than it can be")
        after = before[:shared] + cursor.take(length)
        check_path(after)
        if path is not None and order(path) >= order(after):
            raise Refused("leaf: the items are not sorted")
        if path is not None and shared != common(path, after):
            raise Refused("leaf: a path shares more with the one before it than its front coding says")
        path, length = after, cursor.varint()
        if length > BODY_LENGTH_MAX:
            raise Refused("leaf: an item is longer than it can be")
        yield path, cursor.take(length)


def read_inner(data: bytes) -> tuple[int, list[Child]]:
    """Level and children of an inner node."""
    cursor, children = Cursor(data, "inner node"), list[Child]()
    _start(cursor, INNER)
    level = cursor.number(1)
    if not 1 <= level <= DEPTH_MAX:
        raise Refused("inner node: its level is impossible")
    while cursor.left:
        name, items, size = cursor.take(ID_LENGTH), cursor.number(8), cursor.number(8)
        child = Child(name, items, size, cursor.take(cursor.varint()))
        check_path(child.first)
        if children and order(children[-1].first) >= order(child.first):
            raise Refused("inner node: the children are not sorted")
        children.append(child)
    if not children:
        raise Refused("inner node: it has no children")
    return level, children


def common(one: bytes, other: bytes) -> int:
    """Length of the longest common start."""
    pairs = zip(one, other, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


# ---- the way there: what a writer must do, so that equal runs of items give equal nodes ---------------------------


def cut_leaves(items: Iterable[tuple[bytes, bytes, int]]) -> Iterator[tuple[bytes, Child]]:
    """Leaves of items (path, body, size) in tree order, each with its summary; the id is left empty."""
    data, first, last, count, total = bytes([LEAF, VERSION]), b"", b"", 0, 0
    empty = True
    for path, body, size in items:
        shared = common(last, path) if count else 0
        first = first if count else path
        data += varint(shared) + varint(len(path) - shared) + path[shared:] + varint(len(body)) + body
        last, count, total, empty = path, count + 1, total + size, False
        if len(data) >= LEAF_LENGTH_MAX or (len(data) >= LEAF_LENGTH_MIN and path_hash(path) & LEAF_MASK == 0):
            yield data, Child(b"", count, total, first)
            data, count, total = bytes([LEAF, VERSION]), 0, 0
    if count or empty:
        yield data, Child(b"", count, total, first if count else b"")


def cut_inner(level: int, children: Iterable[Child]) -> Iterator[tuple[bytes, Child]]:
    """Inner nodes of some children, each with its summary; the id is left empty."""
    group: list[Child] = []
    for child in children:
        group.append(child)
        is_cut = len(group) >= INNER_CHILDREN_MIN and path_hash(child.first) & INNER_MASK == 0
        if is_cut or len(group) >= INNER_CHILDREN_MAX:
            yield encode_inner(level, group), summary(group)
            group = []
    if group:
        yield encode_inner(level, group), summary(group)


def encode_inner(level: int, children: Iterable[Child]) -> bytes:
    """The bytes of an inner node."""
    out = bytes([INNER, VERSION, level])
    for child in children:
        out += child.id + child.items.to_bytes(8, "little") + child.size.to_bytes(8, "little")
        out += varint(len(child.first)) + child.first
    return out


def summary(children: list[Child]) -> Child:
    """What a node above says of a node with these children; the id is left empty."""
    return Child(b"", sum(child.items for child in children), sum(child.size for child in children), children[0].first)
