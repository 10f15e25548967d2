"""Archives whose packs, indexes and heads lie: bombs, wrong ids, cycles, claims of a billion entries."""

import lzma
import struct
import zlib
from collections.abc import Callable, Sequence

import zstandard

from tests.real.hostile.case import CONTAINED, EVIL, HEALED, NAMED, REFUSED, Case, file, table
from tests.real.hostile.sealer import CODEC_LZ4, CODEC_LZMA, CODEC_NONE, CODEC_ZLIB, CODEC_ZSTD, CONTENT, Forge
from tests.real.hostile.wire import DIRECTORY, FILE, inner, item, leaf, slice_record

MIB = 1 << 20
LARGEST = 32 * MIB  # plain bytes of one object


def with_chunk(claimed: int, payload: bytes, codec: int, plain: bytes = b"") -> Callable[[Forge], bytes]:
    """A file of one chunk whose object is stored oddly."""

    def build(forge: Forge) -> bytes:
        chunk = forge.chunk(plain, kind=CONTENT, payload=payload, codec=codec, claimed=claimed)
        return forge.chunk(leaf([(b"bomb", item(FILE, size=claimed, slices=slice_record(chunk, claimed)))]))

    return build


def bomb(forge: Forge) -> bytes:
    """Two gigabytes in some kilobytes: 60 times the largest object, which is 32 MiB of the letter a."""
    plain = b"a" * LARGEST
    chunk = forge.chunk(plain, kind=CONTENT, payload=zstandard.compress(plain, 19), codec=CODEC_ZSTD)
    body = item(FILE, size=60 * LARGEST, slices=slice_record(chunk, LARGEST) * 60)
    return forge.chunk(leaf([(b"bomb", body)]))


def bomb_of_files(forge: Forge) -> bytes:
    """2,000 files of a megabyte each in some kilobytes, all of the same chunk."""
    plain = b"b" * MIB
    chunk = forge.chunk(plain, kind=CONTENT, payload=zstandard.compress(plain), codec=CODEC_ZSTD)
    body = item(FILE, size=MIB, slices=slice_record(chunk, MIB))
    leaves = [
        (
            forge.chunk(leaf([(b"%02d-%05d" % (part, number), body) for number in range(50)]), compress=True),
            b"%02d-00000" % part,
        )
        for part in range(40)
    ]
    return forge.chunk(inner(1, leaves))


def large_leaves(forge: Forge) -> bytes:
    """14 leaves of 30 MiB each: a reader that fetches many at a time has them all in memory."""
    children = []
    for part in range(14):
        items = [
            (
                b"%02d-%d" % (part, number),
                item(DIRECTORY, xattrs=[value for at in range(150) for value in (b"user.%04d" % at, bytes(65_000))]),
            )
            for number in range(3)
        ]
        children.append((forge.chunk(leaf(items), compress=True), items[0][0]))
    return forge.chunk(inner(1, children))


def cycle(forge: Forge) -> bytes:
    """A node that is its own child, under an id that is not that of its content."""
    own = b"\x55" * 32
    return forge.chunk(inner(1, [(own, b"a")]), chunk_id=own)


def chain(forge: Forge) -> bytes:
    """20,000 inner nodes above one leaf, each with one child."""
    child = forge.chunk(leaf([(b"a", file(forge))]))
    for _ in range(20_000):
        child = forge.chunk(inner(10, [(child, b"a")]))
    return child


def deep_path(forge: Forge) -> bytes:
    """20,000 directories inside each other."""
    parts = [b"d"] * 20_000
    items = [(b"/".join(parts[:depth]), item(DIRECTORY)) for depth in range(1, len(parts) + 1)]
    leaves = []
    for start in range(0, len(items), 1_000):
        part = items[start : start + 1_000]
        leaves.append((forge.chunk(leaf(part)), part[0][0]))
    return forge.chunk(inner(1, leaves))


def bottomless_path(forge: Forge) -> bytes:
    """One file below 32,000 directories that the archive does not describe."""
    return forge.chunk(leaf([(b"d/" * 32_000 + b"file", file(forge))]))


def indexed(change: Callable[[bytearray], None]) -> Callable[[Forge], bytes]:
    """A small archive with a changed index."""

    def build(forge: Forge) -> bytes:
        forge.change_table = change
        return forge.chunk(leaf([(b"a", file(forge))]))

    return build


def put(offset: int, form: str, *values: int) -> Callable[[bytearray], None]:
    """Overwrite numbers of the table; negative offsets count from its end."""

    def change(data: bytearray) -> None:
        struct.pack_into(form, data, offset if offset >= 0 else len(data) + offset, *values)

    return change


def swap_chunks(data: bytearray) -> None:
    data[-88:-44], data[-44:] = data[-44:], data[-88:-44]


def padded(forge: Forge) -> bytes:
    """A 200 MiB object around 13 bytes."""
    chunk = forge.chunk(EVIL, kind=CONTENT, padding=200 * MIB)
    return forge.chunk(leaf([(b"a", item(FILE, size=len(EVIL), slices=slice_record(chunk, len(EVIL))))]))


XZ_BOMB = lzma.compress(b"x", format=lzma.FORMAT_XZ, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1536 * MIB}])
OBJECTS = 64 + 2 * 40  # where the objects of a table with two packs begin
CASES: Sequence[Case] = [
    *table(NAMED, {"a bomb of one file": bomb, "a bomb of many files": bomb_of_files}),
    *table(
        REFUSED,
        {
            "more comes out than is claimed": with_chunk(100, zlib.compress(bytes(20 * MIB)), CODEC_ZLIB),
            "less comes out than is claimed": with_chunk(100, zlib.compress(b"x"), CODEC_ZLIB),
            "zstd with more than is claimed": with_chunk(100, zstandard.compress(bytes(20 * MIB)), CODEC_ZSTD),
            "xz with a dictionary of 1.5 GiB": with_chunk(1, XZ_BOMB, CODEC_LZMA, b"x"),
            "lz4 of garbage": with_chunk(100, b"\xff" * 50, CODEC_LZ4),
            "stored bytes shorter than claimed": with_chunk(100, b"x", CODEC_NONE),
            "an unknown codec": with_chunk(5, b"xxxxx", 9, b"xxxxx"),
            "a plain length beyond the limit": with_chunk(LARGEST + 1, b"xxxxx", CODEC_ZSTD),
            "a plain length of 4 GiB": with_chunk(2**32 - 1, b"xxxxx", CODEC_ZSTD),
            "content under a foreign id": with_chunk(13, EVIL, CODEC_NONE, b"something else"),
            "a cycle": cycle,
            "a chain of 20,000 nodes": chain,
            "200 MiB of padding": padded,
        },
    ),
    *table(
        CONTAINED,
        {
            "large leaves": large_leaves,
            "20,000 directories deep": deep_path,
            "32,000 unknown directories deep": bottomless_path,
        },
    ),
    *table(
        HEALED,  # a damaged index is left out, and the pack is read instead: nothing is lost
        {
            "an index of a billion packs": indexed(put(12, "<I", 10**9)),
            "an index of a billion chunks": indexed(put(24, "<I", 10**9)),
            "an index of 4 billion objects": indexed(put(20, "<I", 2**32 - 1)),
            "an index of version 2": indexed(put(8, "<I", 2)),
            "an index with reserved bytes": indexed(put(30, "<I", 1)),
            "an index whose chunks are unsorted": indexed(swap_chunks),
            "an index whose chunk lies outside": indexed(put(-8, "<II", 2**31, 2**31)),
            "an index whose chunk names no object": indexed(put(-12, "<I", 77)),
            "an index whose object names no pack": indexed(put(OBJECTS, "<I", 5)),
            "an index whose object lies outside": indexed(put(OBJECTS + 4, "<I", 2**32 - 1)),
            "an index whose object is of 4 GiB": indexed(put(OBJECTS + 8, "<I", 2**32 - 1)),
            "an index whose pack is of 2^63 bytes": indexed(put(96, "<Q", 2**63)),
            "an index whose pack is longer": indexed(put(96, "<Q", 10_000_000)),
            "an index whose object is elsewhere": indexed(put(OBJECTS + 4, "<I", 65)),
            "an index that is empty": indexed(lambda data: data.clear()),
        },
    ),
    *table(
        REFUSED,  # the index is well-formed and says something else than the pack
        {
            "an index whose chunk is shorter": indexed(put(-4, "<I", 1)),
        },
    ),
]
