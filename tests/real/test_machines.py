"""What lies in the way of a backup of a whole machine: the kernel's own files, mount points, locked doors, devices."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import Bork
from tests.real.disks import run, unmount
from tests.real.program import MIB, assert_clear, measured, without_privilege


@pytest.fixture
def repository(bork: Bork, memory_disk: Path) -> Path:
    bork("init", "--encryption", "repokey", memory_disk / "repository")
    return memory_disk / "repository"


# ---- the kernel's own file systems -------------------------------------------------------------------------------


@contextmanager
def bound(source: str, point: Path) -> Iterator[None]:
    point.mkdir()
    run("mount", "--bind", source, point)
    try:
        yield
    finally:
        unmount(point)


@pytest.mark.needs("root", "mount")
def test_proc_sys_and_dev_inside_a_tree_are_kept_as_empty_directories(
    repository: Path, memory_disk: Path, bork: Bork
) -> None:
    root = memory_disk / "root"
    (root / "usr").mkdir(parents=True)
    (root / "usr" / "file").write_bytes(b"kept")
    with bound("/proc", root / "proc"), bound("/sys", root / "sys"), bound("/dev", root / "dev"):
        ended = measured("create", f"{repository}::one", ".", cwd=root, timeout_s=20)
        assert (ended.code, ended.err) == (0, b"")
        assert ended.seconds < 5
    listed = bork("list", "--short", f"{repository}::one").stdout.split()
    assert [name for name in listed if name.startswith((b"proc", b"sys"))] == [b"proc", b"sys"]
    assert b"dev" in listed
    assert b"usr/file" in listed


@pytest.mark.parametrize("path", ["/proc/version", "/proc/sys/kernel/ostype", "/sys/kernel/mm"])
def test_a_path_in_proc_or_sys_that_was_named_is_read(path: str, repository: Path, bork: Bork) -> None:
    said = bork("create", f"{repository}::one", path, exit_code=None)
    assert_clear(said.returncode, said.stderr)
    listed = bork("list", "--short", f"{repository}::one").stdout.decode().split()
    assert path.lstrip("/") in listed
    if Path(path).is_dir():
        assert len(listed) > 1
    else:
        assert said.returncode == 0
        restored = bork("extract", "--stdout", f"{repository}::one").stdout
        assert restored == Path(path).read_bytes()


@pytest.mark.needs("root", "mount")
def test_one_file_system_keeps_mount_points_as_empty_directories(
    repository: Path, memory_disk: Path, bork: Bork
) -> None:
    root, other = memory_disk / "root", memory_disk / "root" / "mounted"
    other.mkdir(parents=True)
    (root / "here").write_bytes(b"here")
    run("mount", "-t", "tmpfs", "tmpfs", other)
    try:
        (other / "there").write_bytes(b"there")
        bork("create", "--one-file-system", f"{repository}::inside", ".", cwd=root)
        bork("create", f"{repository}::all", ".", cwd=root)
    finally:
        unmount(other)
    names = {name: bork("list", "--short", f"{repository}::{name}").stdout.split() for name in ("inside", "all")}
    assert names["inside"] == [b".", b"here", b"mounted"]
    assert names["all"] == [b".", b"here", b"mounted", b"mounted/there"]


@pytest.mark.needs("root", "mount")
def test_a_mount_point_that_was_named_is_stored_with_one_file_system(
    repository: Path, memory_disk: Path, bork: Bork
) -> None:
    """``create -x REPO::ARCHIVE / /home``: what everybody writes who has /home on a disk of its own."""
    other = memory_disk / "root" / "home"
    other.mkdir(parents=True)
    run("mount", "-t", "tmpfs", "tmpfs", other)
    try:
        (other / "precious").write_bytes(b"precious")
        bork("create", "--one-file-system", f"{repository}::one", "root", "root/home", cwd=memory_disk)
    finally:
        unmount(other)
    assert b"root/home/precious" in bork("list", "--short", f"{repository}::one").stdout.split()


def test_the_current_directory_and_something_in_it_can_be_named_together(
    repository: Path, memory_disk: Path, bork: Bork
) -> None:
    (memory_disk / "tree" / "sub").mkdir(parents=True)
    bork("create", f"{repository}::one", ".", "sub", cwd=memory_disk / "tree")


# ---- unreadable --------------------------------------------------------------------------------------------------


@pytest.mark.needs("root")
def test_what_a_user_may_not_read_is_named_and_the_rest_is_stored(
    repository: Path, memory_disk: Path, bork: Bork
) -> None:
    source = memory_disk / "source"
    for name in ("readable", "secret directory", "listable"):
        (source / name).mkdir(parents=True)
        (source / name / "file").write_bytes(name.encode())
    (source / "secret file").write_bytes(b"not for you")
    (source / "secret file").chmod(0)
    (source / "secret directory").chmod(0)
    (source / "listable").chmod(0o444)  # names can be read, what they stand for cannot
    ended = measured("create", "--list", f"{repository}::one", ".", cwd=source, before=without_privilege)
    assert ended.code == 1
    assert_clear(ended.code, ended.err)
    lines = ended.err.splitlines()
    for path in (b"secret file", b"secret directory", b"listable/file"):
        assert any(line.removeprefix(b"./").startswith(path + b": ") for line in lines), path
        assert any(line.startswith(b"E ") and line.endswith(path) for line in lines), path
    listed = bork("list", "--short", f"{repository}::one").stdout.splitlines()
    assert b"readable/file" in listed
    assert b"secret file" not in listed
    bork("check", "--verify-data", repository)


def test_a_root_that_is_not_there_is_named_and_the_others_are_stored(
    repository: Path, memory_disk: Path, bork: Bork
) -> None:
    (memory_disk / "there").write_bytes(b"there")
    said = bork("create", f"{repository}::one", "there", "not there", "nowhere/at/all", cwd=memory_disk, exit_code=1)
    assert said.stderr.count(b"\n") == 2
    assert bork("list", "--short", f"{repository}::one").stdout == b"there\n"


def test_a_root_below_another_root_that_is_not_there_is_named(repository: Path, memory_disk: Path, bork: Bork) -> None:
    (memory_disk / "tree").mkdir()
    bork("create", f"{repository}::one", "tree", "tree/not there", cwd=memory_disk, exit_code=1)


def test_a_fifo_in_the_tree_or_as_a_root_never_blocks(repository: Path, memory_disk: Path, bork: Bork) -> None:
    os.mkfifo(memory_disk / "fifo")
    (memory_disk / "tree").mkdir()
    os.mkfifo(memory_disk / "tree" / "fifo")
    started = time.monotonic()
    bork("create", f"{repository}::one", "fifo", "tree", cwd=memory_disk)
    assert time.monotonic() - started < 5
    assert bork("list", "--short", f"{repository}::one").stdout.split() == [b"fifo", b"tree", b"tree/fifo"]


@pytest.mark.needs("losetup", "loop")
def test_a_block_device_is_stored_as_a_node_and_read_only_with_read_special(
    repository: Path, memory_disk: Path, bork: Bork
) -> None:
    image = memory_disk / "image"
    content = os.urandom(3 * MIB)
    image.write_bytes(content)
    device = (
        subprocess.run(["losetup", "--find", "--show", image], capture_output=True, check=True).stdout.decode().strip()
    )
    try:
        bork("create", f"{repository}::node", device)
        bork("create", "--read-special", f"{repository}::content", device)
    finally:
        run("losetup", "--detach", device)
    assert bork("extract", "--stdout", f"{repository}::node").stdout == b""
    assert bork("extract", "--stdout", f"{repository}::content").stdout == content
