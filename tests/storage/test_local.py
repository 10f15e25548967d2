"""What is special about a store in a directory: places, leftovers, and every system call that can fail."""

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bork.errors import (
    InvalidRepository,
    NoSpace,
    ObjectExists,
    ParentPathDoesNotExist,
    PathAlreadyExists,
    PathPermissionDenied,
    PermissionDenied,
    ReadOnlyStorage,
    RepositoryAlreadyExists,
    RepositoryDoesNotExist,
    StorageFault,
)
from bork.storage import reserve, writing
from bork.storage.local import LocalStore
from bork.storage.names import CONFIG, ObjectName
from tests.storage.naming import archive, pack

LARGE = os.urandom((1 << 20) + 5000)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A store's directory."""
    LocalStore.create(str(tmp_path / "store")).close()
    return tmp_path / "store"


def leftovers(place: Path) -> list[str]:
    return os.listdir(place / "tmp")


# ---- places ------------------------------------------------------------------------------------------------------


def test_a_path_that_is_not_there_does_not_exist(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing", tmp_path / "nothing" / "below"):
        with pytest.raises(RepositoryDoesNotExist, match="nothing"):
            LocalStore.open(str(path))


def test_a_file_is_no_repository(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidRepository, match="not a directory"):
        LocalStore.open(str(tmp_path / "file"))
    with pytest.raises(RepositoryDoesNotExist):
        LocalStore.open(str(tmp_path / "file" / "below"))
    with pytest.raises(PathAlreadyExists):
        LocalStore.create(str(tmp_path / "file"))
    with pytest.raises(ParentPathDoesNotExist):
        LocalStore.create(str(tmp_path / "file" / "below"))


def test_parents_are_made_only_if_that_is_wanted(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "store"
    with pytest.raises(ParentPathDoesNotExist):
        LocalStore.create(str(path))
    assert not (tmp_path / "a").exists()
    LocalStore.create(str(path), make_parent_dirs=True).close()
    LocalStore.open(str(path)).close()


def test_an_empty_directory_can_become_a_store(tmp_path: Path) -> None:
    LocalStore.create(str(tmp_path / "store")).close()
    (tmp_path / "empty").mkdir()
    LocalStore.create(str(tmp_path / "empty")).close()


def test_a_directory_with_anything_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(PathAlreadyExists):
        LocalStore.create(str(tmp_path))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_store_with_a_config_exists_already(place: Path) -> None:
    (place / "config").touch()
    with pytest.raises(RepositoryAlreadyExists):
        LocalStore.create(str(place))


def test_what_an_interrupted_init_left_can_be_taken_over(place: Path) -> None:
    (place / "keys" / ("0" * 64)).touch()
    (place / "tmp" / "1-00").touch()
    LocalStore.create(str(place)).close()


def test_a_lost_config_does_not_make_backups_vacant(place: Path) -> None:
    store = LocalStore.open(str(place))
    store.put_if_absent(pack(b"data"), b"data")
    store.close()
    with pytest.raises(PathAlreadyExists):
        LocalStore.create(str(place))


@pytest.mark.parametrize("what", ["open", "create"])
def test_a_path_without_permission_says_so(tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(errno.EACCES, "denied")

    monkeypatch.setattr(os, "open" if what == "open" else "mkdir", refuse)
    with pytest.raises(PathPermissionDenied, match="store"):
        getattr(LocalStore, what)(str(tmp_path / "store"))


def test_a_store_keeps_working_when_its_directory_is_moved(place: Path) -> None:
    store = LocalStore.open(str(place))
    place.rename(place.with_name("moved"))
    store.put_if_absent(pack(b"one"), b"one")
    assert store.get(pack(b"one")) == b"one"
    store.close()


def test_empty_directories_that_a_copy_has_lost_are_made_again(place: Path) -> None:
    store = LocalStore.open(str(place))
    store.put_if_absent(CONFIG, b"config")
    for directory in [*place.glob("packs/*"), *place.iterdir()]:
        if directory.is_dir():
            directory.rmdir()
    store.sweep()
    assert list(store.list("packs")) == []
    store.put_if_absent(pack(b"one"), b"one")
    assert store.get(pack(b"one")) == b"one"
    store.close()


@pytest.mark.parametrize("name", [pack(b"one"), archive("one"), ObjectName("sessions/" + "5" * 64)])
def test_nothing_comes_back_to_a_store_that_was_removed(place: Path, name: ObjectName) -> None:
    """Its directory can stay, where it is a mount point or holds something else."""
    store = LocalStore.open(str(place))
    store.put_if_absent(CONFIG, b"config")
    (place / "somebody else's").touch()
    assert not LocalStore.open(str(place)).destroy()
    for put in (store.put_if_absent, store.hold):
        with pytest.raises(StorageFault, match="the repository was removed meanwhile"):
            put(name, b"one")
    assert [path.name for path in place.iterdir()] == ["somebody else's"]
    store.close()


def test_sessions_are_seen_until_the_config_is_gone(place: Path) -> None:
    """Who waits for the end of a removal must not take it for the end of a lock."""
    steps: list[str] = []

    class Watched(LocalStore):
        def list(self, collection: str) -> Iterator[tuple[ObjectName, int]]:
            steps.append(f"{collection} {(place / 'config').exists()}")
            return super().list(collection)

    store = Watched.open(str(place))
    store.put_if_absent(CONFIG, b"config")
    store.hold(ObjectName("sessions/" + "5" * 64), b"session")
    assert store.destroy()
    assert steps[-1] == "sessions False"
    assert not place.exists()


def test_files_follow_the_umask(place: Path) -> None:
    store = LocalStore.open(str(place))
    before = os.umask(0o027)
    try:
        store.put_if_absent(CONFIG, b"")
    finally:
        os.umask(before)
    store.close()
    assert stat.S_IMODE((place / "config").stat().st_mode) == 0o640


def test_foreign_files_are_not_listed(place: Path) -> None:
    store = LocalStore.open(str(place))
    store.put_if_absent(pack(b"one"), b"one")
    for foreign in ("packs/lost+found", "packs/00/.nfs0001", "packs/zz/" + "0" * 64, "packs/" + "0" * 64):
        (place / foreign).parent.mkdir(exist_ok=True)
        (place / foreign).touch()
    assert list(store.list("packs")) == [(pack(b"one"), 3)]
    store.close()


def test_more_packs_than_descriptors_can_be_read_in_turn(place: Path) -> None:
    store = LocalStore.open(str(place))
    contents = [b"%03d" % number for number in range(200)]
    for content in contents:
        store.put_if_absent(pack(content), content)
    before = len(os.listdir("/proc/self/fd"))
    for content in contents * 2:
        assert store.get_range(pack(content), 0, 3) == content
    assert len(os.listdir("/proc/self/fd")) <= before + 64
    store.close()


# ---- direct I/O --------------------------------------------------------------------------------------------------


def test_a_file_system_that_refuses_direct_io_gets_the_ordinary_way(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_set_direct", lambda *_, **__: False)
    store = LocalStore.open(str(place))
    store.put_if_absent(pack(LARGE), LARGE)
    assert store.get(pack(LARGE)) == LARGE
    store.close()


def test_memory_that_is_not_aligned_as_the_device_wants_it_gets_the_ordinary_way(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, refused = os.write, list[int]()

    def refuse_direct(fd: int, data: bytes) -> int:
        if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT:
            refused.append(fd)
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return write(fd, data)

    monkeypatch.setattr(os, "write", refuse_direct)
    store = LocalStore.open(str(place))
    store.put_if_absent(pack(LARGE), LARGE)
    assert store.get(pack(LARGE)) == LARGE
    assert len(refused) == 1
    store.close()


def test_a_kernel_that_writes_nothing_and_reports_no_error_is_not_asked_forever(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "write", lambda *_: 0)
    store = LocalStore.open(str(place))
    with pytest.raises(StorageFault):
        store.put_if_absent(pack(LARGE), LARGE)
    store.close()


def test_short_writes_are_continued(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, bytes(data[:70_000])))
    store = LocalStore.open(str(place))
    store.put_if_absent(pack(LARGE), LARGE)
    assert store.get(pack(LARGE)) == LARGE
    store.close()


# ---- each system call fails --------------------------------------------------------------------------------------

CALLS = ("open", "write", "fsync", "link", "unlink", "close")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("number", "error"),
    [
        (errno.ENOSPC, NoSpace),
        (errno.EDQUOT, NoSpace),
        (errno.EACCES, PermissionDenied),
        (errno.EROFS, ReadOnlyStorage),
        (errno.EIO, StorageFault),
    ],
)
def test_every_failing_call_fails_the_put_and_leaves_all_or_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int, error: type[Exception]
) -> None:
    """Fails the n-th call of one kind, for every n until the put succeeds without meeting it."""
    failed = 0
    while True:
        name, store = archive(f"{call} {number} {failed}"), LocalStore.open(str(place))
        with monkeypatch.context() as patch:
            struck = fail_call(patch, call, number, failed)
            try:
                store.put_if_absent(name, b"content")
            except error:
                assert struck
            else:
                assert not struck
        store.close()
        assert leftovers(place) == [] or call == "unlink"
        visible = place / name
        assert not visible.exists() or visible.read_bytes() == b"content"
        if not struck:
            assert visible.exists()
            return
        failed += 1


def fail_call(patch: pytest.MonkeyPatch, call: str, number: int, at: int) -> list[int]:
    """Make the ``at``-th call of ``os.<call>`` fail; the result is filled when that has happened."""
    real, seen, struck = getattr(os, call), [0], list[int]()

    def wrapped(*arguments: object, **keywords: object) -> object:
        seen[0] += 1
        if seen[0] - 1 == at:
            struck.append(at)
            if call == "close":
                real(*arguments)
            raise OSError(number, os.strerror(number))
        return real(*arguments, **keywords)

    patch.setattr(os, call, wrapped)
    return struck


def test_a_failed_fsync_is_never_repeated(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []

    def fail(fd: int) -> None:
        synced.append(fd)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    store = LocalStore.open(str(place))
    with pytest.raises(StorageFault, match="Input/output error"):
        store.put_if_absent(pack(b"one"), b"one")
    assert len(synced) == 1
    assert not (place / pack(b"one")).exists()
    store.close()


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("call", ["open", "write", "fsync", "link", "unlink", "close", "fstat"])
def test_a_process_that_dies_at_any_call_leaves_all_or_nothing_and_no_obstacle(
    place: Path, call: str, large: bool
) -> None:
    """A child ends itself before its n-th call of one kind, for every n; the next writer must not notice."""
    content = LARGE if large else b"content"
    for at in range(100):
        name = archive(f"{call} {at}")
        survived = put_in_child_that_dies(place, name, content, call, at)
        visible = place / name
        assert not visible.exists() or visible.read_bytes() == content
        store = LocalStore.open(str(place))
        store.sweep()
        assert leftovers(place) == []
        if visible.exists():
            with pytest.raises(ObjectExists):
                store.put_if_absent(name, content)
        else:
            store.put_if_absent(name, content)
        store.close()
        if survived:
            return
    pytest.fail("it never survived")


def put_in_child_that_dies(place: Path, name: object, content: bytes, call: str, at: int) -> bool:
    child = os.fork()
    if child == 0:
        seen, real = [0], getattr(os, call)

        def wrapped(*arguments: object, **keywords: object) -> object:
            seen[0] += 1
            if seen[0] - 1 == at:
                os._exit(9)
            return real(*arguments, **keywords)

        store = LocalStore.open(str(place))
        setattr(os, call, wrapped)
        store.put_if_absent(name, content)  # type: ignore[arg-type]  # an ObjectName, passed through a plain parameter
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


USES: dict[str, tuple[str, Callable[[LocalStore], object]]] = {
    "get": ("open", lambda store: store.get(pack(b"one"))),
    "get_range": ("pread", lambda store: store.get_range(pack(b"one"), 0, 3)),
    "list": ("scandir", lambda store: list(store.list("packs"))),
    "delete": ("unlink", lambda store: store.delete(pack(b"one"))),
    "settle": ("fsync", lambda store: store.settle([pack(b"one")])),
    "sweep": ("listdir", lambda store: store.sweep()),
    "free_space": ("fstatvfs", lambda store: store.free_space()),
}


@pytest.mark.parametrize("use", USES)
def test_every_fault_of_the_file_system_is_a_storage_error_that_names_the_place(
    place: Path, monkeypatch: pytest.MonkeyPatch, use: str
) -> None:
    call, run = USES[use]
    store = LocalStore.open(str(place))
    store.put_if_absent(pack(b"one"), b"one")
    with monkeypatch.context() as patch:
        fail_call(patch, call, errno.EIO, 0)
        with pytest.raises(StorageFault, match=f"{place}.*Input/output error"):
            run(store)
    run(store)
    store.close()


def test_a_range_that_comes_in_pieces_is_put_together(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, length, offset: pread(fd, min(length, 2), offset))
    store = LocalStore.open(str(place))
    store.put_if_absent(pack(b"0123456789"), b"0123456789")
    assert store.get_range(pack(b"0123456789"), 1, 8) == b"12345678"
    store.close()


def test_a_directory_that_cannot_be_synced_by_its_file_system_is_no_fault(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def refuse_directories(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", refuse_directories)
    store = LocalStore.open(str(place))
    store.put_if_absent(pack(b"one"), b"one")
    store.close()


# ---- leftovers ---------------------------------------------------------------------------------------------------


def test_a_sweep_spares_the_temporary_file_of_a_living_writer(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, other = LocalStore.open(str(place)), LocalStore.open(str(place))
    fsync = os.fsync

    def sweep_then_fsync(fd: int) -> None:
        other.sweep()
        fsync(fd)

    monkeypatch.setattr(os, "fsync", sweep_then_fsync)
    store.put_if_absent(pack(b"one"), b"one")
    assert store.get(pack(b"one")) == b"one"
    store.close()
    other.close()


def test_a_writer_whose_file_was_swept_before_it_could_lock_it_begins_again(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = LocalStore.open(str(place)), LocalStore.open(str(place))
    flock, swept = fcntl.flock, list[str]()

    def sweep_then_flock(fd: int, operation: int) -> None:
        if not swept:
            swept.extend(leftovers(place))
            other.sweep()
        flock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", sweep_then_flock)
    store.put_if_absent(pack(b"one"), b"one")
    assert len(swept) == 1
    assert store.get(pack(b"one")) == b"one"
    assert leftovers(place) == []
    store.close()
    other.close()


def test_where_locks_do_not_work_writers_do_and_a_sweep_removes_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    (place / "tmp" / f"12-{'0' * 32}").touch()
    monkeypatch.setattr(fcntl, "flock", refuse)
    store = LocalStore.open(str(place))
    store.put_if_absent(pack(b"one"), b"one")
    store.sweep()
    store.close()
    assert leftovers(place) == [f"12-{'0' * 32}"]


def test_a_sweep_leaves_files_that_are_not_temporary_files_of_bork(place: Path) -> None:
    (place / "tmp" / "notes").touch()
    (place / "tmp" / f"12-{'0' * 32}").touch()
    store = LocalStore.open(str(place))
    store.sweep()
    store.close()
    assert leftovers(place) == ["notes"]


# ---- file systems without links ----------------------------------------------------------------------------------


@pytest.fixture
def no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)


@pytest.mark.usefixtures("no_links")
def test_without_links_objects_are_published_once_all_the_same(place: Path) -> None:
    store = LocalStore.open(str(place))
    store.put_if_absent(pack(b"one"), b"one")
    with pytest.raises(ObjectExists):
        store.put_if_absent(pack(b"one"), b"two")
    assert store.get(pack(b"one")) == b"one"
    store.sweep()
    assert leftovers(place) == ["publish.lock"]
    store.close()


def test_a_link_whose_answer_was_lost_counts(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def link_twice(*arguments: object, **keywords: object) -> None:
        link(*arguments, **keywords)  # type: ignore[arg-type]  # passed through as it came
        link(*arguments, **keywords)  # type: ignore[arg-type]  # passed through as it came

    monkeypatch.setattr(os, "link", link_twice)
    store = LocalStore.open(str(place))
    store.put_if_absent(pack(b"one"), b"one")
    assert store.get(pack(b"one")) == b"one"
    assert leftovers(place) == []
    store.close()


@pytest.mark.needs("root")
def test_a_mount_point_is_emptied_and_stays(tmpfs: Callable[[str], Path]) -> None:
    place = tmpfs("size=64m")
    store = LocalStore.create(str(place))
    store.replace(CONFIG, b"config")
    assert store.destroy()
    store.close()
    assert list(place.iterdir()) == []


def test_what_is_not_of_a_store_survives_its_destruction(tmp_path: Path) -> None:
    store = LocalStore.create(str(tmp_path / "store"))
    store.replace(CONFIG, b"config")
    (tmp_path / "outside").write_text("far away")
    (tmp_path / "store" / "archives" / ("0" * 64)).symlink_to(tmp_path / "outside")
    (tmp_path / "store" / "tmp" / "folder").mkdir()
    (tmp_path / "store" / "packs" / "00" / "notes").write_text("mine")
    (tmp_path / "store" / "tmp" / "1-2").write_text("half an object")
    assert not store.destroy()
    store.close()
    left = {str(path.relative_to(tmp_path / "store")) for path in (tmp_path / "store").rglob("*")}
    assert left == {"packs", "packs/00", "packs/00/notes", "tmp", "tmp/folder"}
    assert (tmp_path / "outside").read_text() == "far away"


@pytest.mark.parametrize("left_bytes", [None, 0, 100])
def test_a_reserve_that_was_cut_short_is_made_whole(place: Path, left_bytes: int | None) -> None:
    store = LocalStore.open(str(place))
    if left_bytes is not None:
        (place / reserve.NAME).write_bytes(bytes(left_bytes))
    store.keep_reserve()
    assert (place / reserve.NAME).stat().st_size == reserve.LENGTH
    store.close()
