"""Archives that try to write where they must not."""

from collections.abc import Sequence

from tests.real.hostile.case import CONTAINED, NAMED, REFUSED, Case, file, of_items, table
from tests.real.hostile.sealer import Forge
from tests.real.hostile.wire import CHARACTER, DIRECTORY, FIFO, FILE, SYMLINK, inner, item, leaf

CLIMBING = {
    "dot dot": b"..", "below dot dot": b"../canary/evil", "dot dot in the middle": b"a/../../canary/evil",
    "absolute": b"/tmp/evil", "two slashes first": b"//tmp/evil", "two slashes within": b"a//b", "dot": b".",
    "dot first": b"./a", "dot last": b"a/.", "dot within": b"a/./b", "slash last": b"a/", "slash": b"/",
    "zero byte": b"a\0b", "zero byte alone": b"\0", "dot dot last": b"a/..", "too long": b"n" * 65_536,
}  # fmt: skip
ODD = {
    "backslashes": b"..\\..\\evil", "three dots": b"...", "dot dot name": b"..a", "drive": b"C:\\evil",
    "home": b"~root", "blank": b" ", "device name": b"NUL", "255 bytes": b"n" * 255,
}  # fmt: skip


def link(target: bytes, **fields: int | bytes | Sequence[int]) -> bytes:
    return item(SYMLINK, target=target, **fields)


def two_leaves(forge: Forge, one: Sequence[tuple[bytes, bytes]], two: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Each leaf is in order by itself, and the inner node tells what a reader wants to hear."""
    ids = [forge.chunk(leaf(items)) for items in (one, two)]
    return forge.chunk(inner(1, [(ids[0], b"a"), (ids[1], b"b")], items=2))


def same_name_in_two_leaves(forge: Forge) -> bytes:
    """A link in the first leaf, and a directory of that name with a file in it in the second."""
    return two_leaves(
        forge,
        [(b"name", link(b"../canary"))],
        [(b"name", item(DIRECTORY)), (b"name/evil", file(forge))],
    )


def file_behind_a_link_in_another_leaf(forge: Forge) -> bytes:
    return two_leaves(forge, [(b"name", link(b"../canary"))], [(b"name/evil", file(forge))])


def the_same_leaf_many_times(forge: Forge) -> bytes:
    """20,000 leaves in three kilobytes. With two levels more a list would go on for a day."""
    child = forge.chunk(leaf([(b"file", file(forge))]))
    for level, count in ((1, 200), (2, 100)):
        child = forge.chunk(inner(level, [(child, b"%06d" % number) for number in range(count)]), compress=True)
    return child


CASES: Sequence[Case] = [
    *table(REFUSED, {f"path {name}": of_items((path, file)) for name, path in CLIMBING.items()}),
    *table(CONTAINED, {f"name {name}": of_items((path, file)) for name, path in ODD.items()}),
    *table(
        REFUSED,
        {
            "empty path of a file": of_items((b"", file)),
            "duplicate name": of_items((b"a", file), (b"a", file)),
            "duplicate name, link first": of_items((b"a", link(b"../canary")), (b"a", item(DIRECTORY))),
            "hard link to a directory": of_items((b"a", item(DIRECTORY, link=(1, 2))), (b"b", item(FILE, link=(1, 2)))),
            "unsorted names": of_items((b"b", file), (b"a", file)),
            "a child before its parent": of_items((b"a/b", file), (b"a", item(DIRECTORY))),
            "the same name in two leaves": same_name_in_two_leaves,
            "leaves in the wrong order": lambda forge: two_leaves(forge, [(b"z", file(forge))], [(b"c", file(forge))]),
            "the same leaf many times": the_same_leaf_many_times,
        },
    ),
    *table(
        NAMED,
        {
            "file behind a relative link": of_items((b"a", link(b"../canary")), (b"a/evil", file)),
            "file behind an absolute link": of_items((b"a", link(b"/tmp")), (b"a/evil", file)),
            "file behind a link to the target": of_items((b"a", link(b".")), (b"a/evil", file)),
            "file behind a link to a directory": of_items(
                (b"a", item(DIRECTORY)), (b"b", link(b"a")), (b"b/evil", file)
            ),
            "directory behind a link": of_items((b"a", link(b"../canary")), (b"a/d", item(DIRECTORY))),
            "link behind a link": of_items((b"a", link(b"../canary")), (b"a/l", link(b"x"))),
            "file behind a link in another leaf": file_behind_a_link_in_another_leaf,
            "file behind a link that was there": of_items((b"planted/evil", file)),
            "file below a file": of_items((b"a", file), (b"a/b", file)),
            "file below a fifo": of_items((b"a", item(FIFO)), (b"a/b", file)),
            "hard link behind a link": of_items(
                (b"a", link(b"../canary")),
                (b"a/evil", item(FILE, link=(1, 2))),
                (b"b", item(FILE, link=(1, 2))),
            ),
        },
    ),
    *table(
        CONTAINED,
        {
            "hard link to a link": of_items(
                (b"a", link(b"../canary/file", link=(1, 2))), (b"b", item(FILE, link=(1, 2))), (b"c", file)
            ),
            "hard link set of other types": of_items(
                (b"a", item(FIFO, link=(1, 3))),
                (b"b", link(b"x", link=(1, 3))),
                (b"c", item(CHARACTER, device=(1, 3), link=(1, 3))),
            ),
            "hard link of no names": of_items((b"a", item(FILE, link=(1, 0))), (b"b", item(FILE, link=(1, 0)))),
            "hard link of all names": of_items(
                (b"a", item(FILE, link=(1, 2**32 - 1))), (b"b", item(FILE, link=(1, 1)))
            ),
            "directory over a planted link": of_items((b"planted", item(DIRECTORY)), (b"planted/file", file)),
            "link over a planted link": of_items((b"planted", link(b"/nowhere"))),
            "file over a planted link": of_items((b"planted", file)),
            "fifo over a planted link": of_items((b"planted", item(FIFO))),
            "the root is a directory": of_items((b"", item(DIRECTORY)), (b"a", file)),
        },
    ),
    *table(REFUSED, {"the root is a link": of_items((b"", link(b"../canary")), (b"evil", file))}),
]
