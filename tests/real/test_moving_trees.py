"""A tree that changes while it is backed up: what changed has status C or E and exit code 1, the archive is whole.

Each test runs one kind of meddling in threads while ``create`` reads, several times. Whether the meddling was noticed
depends on the moment, so the claim is about consistency: exit code 1 exactly if a C or E is shown, no hang, ``check``
is clean, and a restore gives every file that stayed as it was, and nothing that was never there.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import Bork
from tests.real.program import MIB, assert_clear, measured

ROUNDS = 3


@contextmanager
def meddling(*works: Callable[[int], None]) -> Iterator[None]:
    """Each of ``works`` again and again in a thread of its own, with a counter, until the block ends."""
    done = threading.Event()
    faults: list[BaseException] = []

    def again(work: Callable[[int], None]) -> None:
        number = 0
        try:
            while not done.is_set():
                work(number)
                number += 1
        except BaseException as fault:  # noqa: BLE001 (given to the main thread below)
            faults.append(fault)

    threads = [threading.Thread(target=again, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not faults, faults


@pytest.fixture
def source(memory_disk: Path) -> Path:
    """Quiet files around a directory for the restless ones."""
    source = memory_disk / "source"
    for name in ("a-quiet", "moving", "z-quiet"):
        (source / name).mkdir(parents=True)
    for number in range(400):
        for name in ("a-quiet", "z-quiet"):
            (source / name / f"{number:03}").write_bytes(b"%d\n" % number * 1_000)
    return source


@pytest.fixture
def repository(bork: Bork, memory_disk: Path) -> Path:
    bork("init", "--encryption", "repokey", memory_disk / "repository")
    return memory_disk / "repository"


def back_up(repository: Path, source: Path, name: str) -> set[bytes]:
    """Create below meddling; the status letters that were shown."""
    ended = measured("create", "--list", "-C", "none", f"{repository}::{name}", ".", cwd=source, timeout_s=30)
    assert_clear(ended.code, ended.err, name)
    assert ended.code in (0, 1), ended.says()
    lines = ended.err.splitlines()
    letters = {line[:1] for line in lines if line[1:2] == b" "}
    told = [line for line in lines if line[1:2] != b" "]  # attributes of a directory that vanished: the line alone
    assert (ended.code == 1) == bool(letters & {b"C", b"E"} or told), ended.says()
    return letters


def assert_whole(bork: Bork, repository: Path, source: Path, memory_disk: Path, names: list[str]) -> None:
    """All archives restore, and the quiet files in them are right."""
    bork("check", "--verify-data", repository)
    for name in names:
        restored = memory_disk / f"restored-{name}"
        restored.mkdir()
        bork("extract", f"{repository}::{name}", cwd=restored)
        for quiet in ("a-quiet", "z-quiet"):
            assert sorted(os.listdir(restored / quiet)) == sorted(os.listdir(source / quiet))
            for path in (source / quiet).iterdir():
                assert (restored / quiet / path.name).read_bytes() == path.read_bytes()


def rounds(
    bork: Bork, repository: Path, source: Path, memory_disk: Path, *works: Callable[[int], None], count: int = ROUNDS
) -> set[bytes]:
    """Some backups while ``works`` are at work; all letters that were shown."""
    names = [f"round-{number}" for number in range(count)]
    with meddling(*works):
        letters = set().union(*(back_up(repository, source, name) for name in names))
    assert_whole(bork, repository, source, memory_disk, names)
    return letters


def test_files_that_grow_shrink_and_are_rewritten(
    bork: Bork, repository: Path, source: Path, memory_disk: Path
) -> None:
    grows, shrinks, edited = (source / "moving" / name for name in ("grows", "shrinks", "edited"))
    for path in (grows, shrinks, edited):
        path.write_bytes(os.urandom(20 * MIB))

    def grow(number: int) -> None:
        with grows.open("ab") as file:
            file.write(b"more" * 1_000)
        if number % 2_000 == 1_999:
            os.truncate(grows, 20 * MIB)

    def shrink(number: int) -> None:
        os.truncate(shrinks, 0 if number % 2 else 20 * MIB)

    def edit(number: int) -> None:
        with edited.open("r+b") as file:
            os.pwrite(file.fileno(), b"%d" % number, number * 4_096 % (20 * MIB))

    letters = rounds(bork, repository, source, memory_disk, grow, shrink, edit)
    assert b"C" in letters


def test_files_that_are_replaced_by_rename(bork: Bork, repository: Path, source: Path, memory_disk: Path) -> None:
    """Each version is of one letter: no restored file may be a mixture."""
    moving, other = source / "moving", memory_disk / "other"
    other.mkdir()

    def replace(number: int) -> None:
        letter = b"abcdefgh"[number % 8 : number % 8 + 1]
        (other / "new").write_bytes(letter * (2 * MIB))
        os.replace(other / "new", moving / f"file-{number % 5}")

    rounds(bork, repository, source, memory_disk, replace)
    for path in memory_disk.glob("restored-*/moving/file-*"):
        assert len(set(path.read_bytes())) == 1, path


def test_files_that_become_fifos_directories_and_links(
    bork: Bork, repository: Path, source: Path, memory_disk: Path
) -> None:
    """What the directory listing says is not what is there a moment later: a fifo must not block."""
    moving = source / "moving"
    secret = memory_disk / "secret"
    secret.mkdir()
    (secret / "inside").write_bytes(b"outside of the source")

    def change(number: int) -> None:
        for at in range(20):
            path = moving / f"changes-{at:02}"
            if path.is_dir() and not path.is_symlink():
                (path / "inside").unlink(missing_ok=True)
                path.rmdir()
            else:
                path.unlink(missing_ok=True)
            match (number + at) % 4:
                case 0:
                    path.write_bytes(b"a file")
                case 1:
                    os.mkfifo(path)
                case 2:
                    path.mkdir()
                    (path / "inside").write_bytes(b"inside")
                case _:
                    path.symlink_to(secret)

    rounds(bork, repository, source, memory_disk, change, count=5)
    for path in memory_disk.glob("restored-*/moving/changes-*/inside"):
        if not path.parent.is_symlink():
            assert path.read_bytes() != b"outside of the source", "a link was followed"


def test_directories_that_are_swapped_for_links(bork: Bork, repository: Path, source: Path, memory_disk: Path) -> None:
    """No content from behind a link gets into the archive."""
    moving, outside = source / "moving", memory_disk / "outside"
    outside.mkdir()
    for number in range(200):
        (outside / f"file-{number:03}").write_bytes(b"outside")
    (moving / "swapped").mkdir()
    for number in range(200):
        (moving / "swapped" / f"file-{number:03}").write_bytes(b"inside")

    def swap(_: int) -> None:
        os.rename(moving / "swapped", moving / "kept")
        (moving / "swapped").symlink_to(outside)
        (moving / "swapped").unlink()
        os.rename(moving / "kept", moving / "swapped")

    rounds(bork, repository, source, memory_disk, swap, count=5)
    for path in memory_disk.glob("restored-*/moving/*/file-*"):
        if not path.parent.is_symlink():
            assert path.read_bytes() == b"inside", path


def test_files_that_vanish(bork: Bork, repository: Path, source: Path, memory_disk: Path) -> None:
    """They are named, or were never seen."""
    moving = source / "moving"

    def vanish(number: int) -> None:
        for at in range(100):
            (moving / f"{number % 3}-{at}").write_bytes(b"for a moment")
        for path in list(moving.iterdir()):
            path.unlink(missing_ok=True)

    rounds(bork, repository, source, memory_disk, vanish)


def test_a_file_that_never_stops_growing_ends(bork: Bork, repository: Path, source: Path, memory_disk: Path) -> None:
    """A log that is written as fast as it is read must not keep the backup going for ever."""
    log = source / "moving" / "log"
    log.write_bytes(b"")
    line = b"a line in a log\n" * 40_000

    def grow(number: int) -> None:
        with log.open("ab") as file:
            file.write(line)
        if number % 150 == 149:  # the disk is of memory
            os.truncate(log, 0)

    rounds(bork, repository, source, memory_disk, grow, count=2)
