"""An archive under another name is the same archive, and there is no moment without it."""

from pathlib import Path

import pytest

from bork.errors import AppendOnly, ArchiveAlreadyExists, ArchiveDoesNotExist, BorkError, SessionBroken
from bork.operations import break_lock, config, rename
from bork.operations.heads import ArchiveEntry, find_archive
from bork.operations.opening import open_repository
from bork.operations.selection import ArchiveName
from bork.storage.base import Store
from bork.storage.memory import MemoryStore
from tests.operations.scene import Scene, expected
from tests.operations.test_faults import attempts, mend
from tests.storage.faulty import FAULTS, Crash, Fault


def run(scene: Scene, old: str, new: str) -> ArchiveEntry:
    return rename.run(scene.access(), ArchiveName(old), ArchiveName(new))


def entry(scene: Scene, name: str) -> ArchiveEntry:
    with open_repository(scene.access()) as opened:
        return find_archive(opened.repository, opened.keys, ArchiveName(name))


@pytest.mark.parametrize("mode", ["none", "authenticated", "repokey"])
def test_everything_but_name_and_fingerprint_stays(scene: Scene, source: Path, mode: str) -> None:
    scene.user.agrees = True
    scene.init(mode)
    scene.create("monday", source, comment="the first", command_line=("bork", "create"))
    before = entry(scene, "monday")
    renamed = run(scene, "monday", "Montag \udcff")
    assert scene.names() == ["Montag \udcff"]
    assert renamed == entry(scene, "Montag \udcff")
    assert renamed.head.session != before.head.session
    at_work = {"session": before.head.session, "generation": before.head.generation}
    assert renamed.head._replace(name="monday", **at_work) == before.head  # type: ignore[arg-type]  # as they were
    assert renamed.id != before.id
    assert scene.restore("Montag \udcff") == expected(source)


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("monday", "tuesday", ArchiveAlreadyExists),
        ("monday", "monday", ArchiveAlreadyExists),
        ("nosuch", "other", ArchiveDoesNotExist),
        ("nosuch", "monday", ArchiveDoesNotExist),
    ],
)
def test_a_name_that_is_taken_or_missing_changes_nothing(
    scene: Scene, source: Path, old: str, new: str, error: type[BorkError]
) -> None:
    scene.init()
    scene.create("monday", source)
    scene.create("tuesday", source)
    before = dict(scene.stores.objects["/repository"])
    with pytest.raises(error):
        run(scene, old, new)
    assert scene.stores.objects["/repository"] == before


def test_an_append_only_repository_has_no_new_names(scene: Scene, source: Path) -> None:
    scene.init()
    scene.create("monday", source)
    config.change(scene.access(), "append_only", 1)
    with pytest.raises(AppendOnly):
        run(scene, "monday", "tuesday")
    assert scene.names() == ["monday"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_any_moment_leaves_one_name_or_both_and_never_none(scene: Scene, source: Path, fault: Fault) -> None:
    scene.init()
    scene.create("monday", source)
    objects = dict(scene.stores.objects["/repository"])
    for _ in attempts(scene, fault):
        is_done = True
        try:
            run(scene, "monday", "tuesday")
        except (BorkError, Crash):
            is_done = False
        mend(scene)
        names = scene.names()
        assert names == ["tuesday"] if is_done else set(names) <= {"monday", "tuesday"} and names
        for name in names:
            assert scene.restore(name) == expected(source)
        scene.stores.objects["/repository"].clear()
        scene.stores.objects["/repository"].update(objects)


class Breaker(MemoryStore):
    """Somebody breaks all locks when a head is put."""

    scene: Scene

    def put_if_absent(self, name: str, data: object) -> None:
        super().put_if_absent(name, data)  # type: ignore[arg-type]  # handed through
        if name.startswith("archives/"):
            mend(self.scene)
            break_lock.run(self.scene.access())


def test_whose_lock_was_broken_changes_nothing(scene: Scene, source: Path) -> None:
    scene.init()
    scene.create("monday", source)

    def wrap(store: Store) -> Store:
        breaker = Breaker(scene.stores.objects["/repository"])
        breaker.scene = scene
        return breaker

    scene.stores.wrap = wrap
    with pytest.raises(SessionBroken):
        run(scene, "monday", "tuesday")
    mend(scene)
    assert scene.names() == ["monday"]
