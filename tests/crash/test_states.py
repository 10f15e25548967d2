"""The simulated disk promises what ``fsync`` promises and nothing more, and the oracle notices what breaks it."""

import os
from collections.abc import Callable

import pytest

from bork.crypto.places import RepositorySlots
from bork.crypto.slots import Slot
from bork.repository.layout import KeyId
from bork.storage.publishing import publish_over
from tests.crash.disk import Disk, SimulatedDirectory, State
from tests.crash.explore import explore
from tests.crash.scenarios import SCENARIOS
from tests.crash.states import crash_states
from tests.crash.world import Lost, World

NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL


def found(disk: Disk, base: State, calls: int) -> list[dict[str, bytes]]:
    """The files of every state that a crash after so many calls may leave, each once."""
    result: list[dict[str, bytes]] = []
    for _, state in crash_states(base, disk.log, {calls}):
        files = dict(state.files())
        if files not in result:
            result.append(files)
    return result


def written(disk: Disk, name: str, content: bytes) -> int:
    root = disk.machine()
    fd = root.open(name, NEW)
    root.write(fd, content)
    return fd


def test_what_is_synced_and_named_durably_is_there_after_every_crash() -> None:
    disk = Disk()
    base, root = disk.state(), disk.machine()
    root.fsync(written(disk, "file", b"content"))
    root.sync()
    assert found(disk, base, len(disk.log)) == [{"file": b"content"}]
    root.unlink("file")
    assert found(disk, base, len(disk.log)) == [{}, {"file": b"content"}]
    root.sync()
    assert found(disk, base, len(disk.log)) == [{}]


def test_bytes_that_are_not_synced_may_be_lost_torn_or_garbage() -> None:
    disk = Disk()
    base, root = disk.state(), disk.machine()
    content = os.urandom(4000)
    written(disk, "file", content)
    root.sync()
    contents = [files["file"] for files in found(disk, base, len(disk.log))]
    assert {len(one) for one in contents} == {0, 2000, 4000}
    assert content in contents
    assert bytes(4000) in contents
    assert len([one for one in contents if one[:1000] == content[:1000] and one != content]) == 3


def test_names_that_are_not_synced_reach_the_disk_in_any_order() -> None:
    disk = Disk()
    base, root = disk.state(), disk.machine()
    for name in ("one", "two", "three"):
        root.fsync(written(disk, name, b""))
    states = {frozenset(files) for files in found(disk, base, len(disk.log))}
    assert len(states) == 8


def test_a_rename_gives_the_old_or_the_new_never_nothing() -> None:
    disk = Disk()
    root = disk.machine()
    for directory in ("old", "new"):
        root.mkdir(directory)
    root.fsync(written(disk, "old/file", b"second"))
    root.fsync(written(disk, "new/file", b"first"))
    base = disk.state()
    disk = Disk(base)
    fd = disk.machine().open("old/file", os.O_RDWR)
    publish_over(disk.machine(), fd, "old/file", "new/file")
    for files in found(disk, base, 1):
        assert files["new/file"] in (b"first", b"second")
        assert b"second" in files.values()
    disk.machine().enter("old").sync()
    assert found(disk, base, 2) == [{"new/file": b"second"}]


# ---- planted mistakes --------------------------------------------------------------------------------------------


def forget_fsync(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SimulatedDirectory, "fsync", lambda *_: None)


def forget_sync_of_directories(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SimulatedDirectory, "sync", lambda *_: None)


def remove_the_old_key_first(patch: pytest.MonkeyPatch) -> None:
    def replace(self: RepositorySlots, slot: Slot, data: bytes) -> None:
        self._repository.delete_key(KeyId(bytes.fromhex(slot.where)))
        self._repository.put_key(data)

    patch.setattr(RepositorySlots, "replace", replace)


@pytest.mark.parametrize(
    ("mistake", "name"),
    [
        (forget_fsync, "create, with shared chunks"),
        (forget_fsync, "key change-passphrase"),
        (forget_sync_of_directories, "key change-passphrase"),
        (remove_the_old_key_first, "key change-passphrase"),
    ],
)
def test_the_exploration_finds_a_planted_mistake(
    world: World, monkeypatch: pytest.MonkeyPatch, mistake: Callable[[pytest.MonkeyPatch], None], name: str
) -> None:
    (scenario,) = [one for one in SCENARIOS if one.name == name]
    mistake(monkeypatch)
    with pytest.raises(Lost, match="crash after"):
        explore(world, scenario, second_max=0)
