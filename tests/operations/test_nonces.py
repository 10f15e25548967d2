"""No key meets a nonce twice: the independent reader opens all that a store was ever given, and keeps account."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bork.errors import BorkError
from bork.operations import check, compact, delete, key, recreate, rename
from bork.operations.check import CheckOptions
from bork.operations.compact import CompactOptions
from bork.operations.create import Compression
from bork.operations.delete import DeleteOptions
from bork.operations.recreate import RecreateOptions
from bork.operations.selection import ArchiveName
from bork.storage.memory import Objects
from bork.storage.names import ObjectName
from tests.operations.account import OTHER, Account, Noting
from tests.operations.scene import PASSPHRASE, MemoryStores, Recorder, Scene, StoppedClock, User
from tests.reference.pack import CONTENT, TOC_NONCE
from tests.reference.sealed import DATA, GENERATION, HEAD, INDEX, METADATA
from tests.reference.writing import Draft, Maker
from tests.storage.faulty import Fault, Schedule


@pytest.fixture
def account() -> Account:
    return Account()


@pytest.fixture
def watched(scene: Scene, account: Account) -> Scene:
    watch(scene, account)
    return scene


def watch(scene: Scene, account: Account, schedule: Schedule | None = None) -> None:
    scene.stores.wrap = lambda store: Noting(store, schedule or Schedule(), account)


def compacted(scene: Scene) -> None:
    compact.run(scene.access(), CompactOptions(threshold=0), Recorder())


def changed(root: Path) -> Path:
    """The same paths with other content."""
    (root / "small").write_bytes(os.urandom(100))
    (root / "folder" / "deep" / "random").write_bytes(os.urandom(30_000))
    return root


def test_no_key_meets_a_nonce_twice_in_the_life_of_a_repository(watched: Scene, source: Path, account: Account) -> None:
    scene = watched
    scene.init()
    for name in ("monday", "tuesday", "wednesday"):
        scene.create(name, changed(source))
    rename.run(scene.access(), ArchiveName("monday"), ArchiveName("renamed"))
    options = RecreateOptions(chunker=("fixed", 4096, 0), recompress="always", compression=Compression("zstd", 3))
    recreate.run(scene.access(), ArchiveName("tuesday"), options, Recorder())
    scene.user.chosen = OTHER
    key.change_passphrase(scene.access())
    scene.user.configured, scene.user.chosen = OTHER, PASSPHRASE
    key.change_passphrase(scene.access())
    scene.user.configured = PASSPHRASE
    delete.archives(scene.access(), DeleteOptions((ArchiveName("renamed"),)), Recorder(), lambda _: None)
    compacted(scene)
    scene.create("monday", changed(source))
    spoil(scene.stores.objects["/repository"])
    repaired = check.run(scene.access(), CheckOptions(verify_data=True, repair=True), Recorder()).repaired
    assert repaired is not None
    assert repaired.total > 0
    compacted(scene)
    account.settle()
    assert account.kinds == {DATA, METADATA, INDEX, HEAD, GENERATION}


def spoil(objects: Objects) -> None:
    """One bit of a data pack, so that there is something to repair."""
    name = next(name for name in objects if name.startswith("packs/") and objects[name][9] == DATA)
    middle = len(objects[name]) // 2
    objects[name] = objects[name][:middle] + bytes([objects[name][middle] ^ 1]) + objects[name][middle + 1 :]


def test_what_is_sealed_in_a_file_is_numbered_from_0_without_a_gap(
    watched: Scene, tmp_path: Path, account: Account
) -> None:
    """Enough for packs of several objects, and an index of several segments."""
    root = tmp_path / "much"
    root.mkdir()
    (root / "file").write_bytes(os.urandom(1_600_000))
    watched.init()
    watched.create("large chunks", root, pack_size=1 << 22, chunker=("fixed", 200_000, 0))
    watched.create("small chunks", root, pack_size=1 << 22, chunker=("fixed", 64, 0))
    account.settle()
    numbers: dict[bytes, list[int]] = {}
    for file_key, number in account.sealed:
        numbers.setdefault(file_key, []).append(number)
    found = [sorted(set(each) - {TOC_NONCE}) for each in numbers.values()]
    assert [each for each in found if each != list(range(len(each)))] == []
    assert len([each for each in found if len(each) > 1]) >= 3


@pytest.mark.parametrize("fault", ["fail", "late", "full"])
def test_no_key_meets_a_nonce_twice_when_commands_fail_and_are_repeated(
    fault: Fault, watched: Scene, source: Path, account: Account
) -> None:
    """What was given to a store that then failed was seen by whoever keeps it."""
    watched.init()
    failed = 0
    for at in range(2, 40, 3):
        commands: list[Callable[[], object]] = [
            lambda at=at: watched.create(f"{at}", changed(source)),  # type: ignore[misc]  # each has its number
            lambda: compacted(watched),
        ]
        for command in commands:
            watch(watched, account, Schedule(at, fault))
            try:
                command()
            except BorkError:
                failed += 1
                watch(watched, account)
                command()
    account.settle()
    assert failed > 5


def test_no_key_meets_a_nonce_twice_when_a_copy_of_everything_goes_on_by_itself(
    watched: Scene, source: Path, account: Account, tmp_path: Path
) -> None:
    """A machine that was cloned, or put back to a snapshot: the same secrets, cache, clock and repository."""
    watched.init()
    watched.create("monday", source)
    for number in range(3):
        shutil.copytree(watched.home, home := tmp_path / f"clone {number}")
        clone = Scene(home, User(), MemoryStores(), StoppedClock(watched.clock.ns))
        clone.stores.objects["/repository"] = Objects(watched.stores.objects["/repository"])
        watch(clone, account)
        clone.create("tuesday", changed(source))
        delete.archives(clone.access(), DeleteOptions((ArchiveName("monday"),)), Recorder(), lambda _: None)
        compacted(clone)
    account.settle()
    assert account.kinds == {DATA, METADATA, INDEX, HEAD, GENERATION}


def test_a_salt_that_comes_again_would_be_noticed(watched: Scene, source: Path, account: Account) -> None:
    """The control. ``Maker`` counts its salts, so two of them make the same."""
    watched.init()
    account.settle()
    assert account.secrets is not None
    for content in (b"one", b"two"):
        maker = Maker(account.secrets)
        maker.put_pack(DATA, [Draft(CONTENT, (content,))])
        account.given += [(ObjectName(name), data) for name, data in maker.objects.items()]
    with pytest.raises(AssertionError, match="nonce 4294967295 came twice"):
        account.settle()
