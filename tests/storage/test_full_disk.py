"""A file system that is too small, at every size: a put succeeds whole, or fails as "no space" and leaves nothing."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bork.errors import NoSpace
from bork.storage.local import LocalStore
from tests.storage.naming import pack

SMALL, LARGE = os.urandom(10_000), os.urandom((1 << 20) + 1)


@pytest.mark.needs("root")
def test_at_every_size_of_the_disk_a_put_is_whole_or_not_there(tmpfs: Callable[[str], Path]) -> None:
    outcomes = set()
    for pages in [*range(1, 12), *range(240, 275, 2)]:
        outcomes.add(try_puts(tmpfs(f"size={pages * 4096},nr_inodes=10000")))
    assert {(False, False), (True, False), (True, True)} <= outcomes


@pytest.mark.needs("root")
def test_at_every_number_of_inodes_a_put_is_whole_or_not_there(tmpfs: Callable[[str], Path]) -> None:
    outcomes = set()
    for inodes in range(262, 272):
        outcomes.add(try_puts(tmpfs(f"size=16m,nr_inodes={inodes}")))
    assert {(False, False), (True, True)} <= outcomes


def try_puts(parent: Path) -> tuple[bool, bool]:
    """Which of a small and a large object could be stored."""
    try:
        store = LocalStore.create(str(parent / "store"))
    except NoSpace:
        return False, False
    stored = []
    for content in (SMALL, LARGE):
        try:
            store.put_if_absent(pack(content), content)
            stored.append(True)
        except NoSpace:
            stored.append(False)
        assert os.listdir(parent / "store" / "tmp") == []
    expected = {pack(content): content for content, there in zip((SMALL, LARGE), stored, strict=True) if there}
    assert {name: store.get(name) for name, _ in store.list("packs")} == expected
    for name in expected:
        store.delete(name)
    store.close()
    return stored[0], stored[1]
