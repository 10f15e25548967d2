"""The judge of the demonstration and of the tests is itself judged: whatever is tampered with, it must notice."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from demo.comparison import differences
from demo.rich_tree import make_rich_tree


@pytest.fixture
def trees(tmp_path: Path) -> tuple[Path, Path]:
    """A rich tree and its copy by cp(1), which keeps everything but the file flags."""
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.mkdir()
    make_rich_tree(source)
    subprocess.run(["cp", "-a", str(source), str(copy)], check=True)
    return source, copy


def new_lines(trees: tuple[Path, Path], tamper: Callable[[Path], object]) -> list[str]:
    """What the judge says about a tampered copy beyond what it said before."""
    source, copy = trees
    before = differences(os.fsencode(source), os.fsencode(copy))
    tamper(copy)
    return [line for line in differences(os.fsencode(source), os.fsencode(copy)) if line not in before]


def flip_last_byte(path: Path) -> None:
    """Change content alone: same size, same times."""
    status, data = path.stat(), path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def unlink_and_copy(path: Path) -> None:
    """Break a hard link, keeping content and metadata."""
    twin = path.with_name("twin")
    subprocess.run(["cp", "-a", str(path), str(twin)], check=True)
    twin.rename(path)


def test_the_flag_that_cp_loses_is_the_only_difference(trees: tuple[Path, Path]) -> None:
    source, copy = trees
    assert [line for line in differences(os.fsencode(source), os.fsencode(copy)) if "flags" not in line] == []


@pytest.mark.parametrize(
    ("expected", "tamper"),
    [
        ("content differs from byte 3", lambda copy: flip_last_byte(copy / "times" / "2040")),
        ("size_bytes", lambda copy: os.truncate(copy / "holes" / "sparse", 5)),
        ("mode", lambda copy: (copy / "modes" / "0644").chmod(0o640)),
        ("mtime_ns", lambda copy: os.utime(copy / "times" / "2200", ns=(0, 7_258_118_400_000_000_002))),
        ("mtime_ns", lambda copy: os.utime(copy / "times", ns=(0, 987_654_321_000_000_043))),
        ("linked_with", lambda copy: unlink_and_copy(copy / "links" / "two")),
        ("xattrs", lambda copy: os.setxattr(copy / "attributes" / "file", "user.note", b"other")),
        ("xattrs", lambda copy: os.removexattr(copy / "attributes", "user.binary")),
        ("missing", lambda copy: (copy / "modes" / "fifo").unlink()),
        ("was never there", lambda copy: (copy / "more").touch()),
        ("kind", lambda copy: ((copy / "modes" / "empty").rmdir(), (copy / "modes" / "empty").touch())),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "tamper",
)
def test_tampering_is_noticed(trees: tuple[Path, Path], expected: str, tamper: Callable[[Path], object]) -> None:
    assert any(expected in line for line in new_lines(trees, tamper))


@pytest.mark.needs("root")
def test_a_changed_owner_is_noticed(trees: tuple[Path, Path]) -> None:
    assert any(
        "uid" in line for line in new_lines(trees, lambda copy: os.chown(copy / "root-only" / "owned", 1, 12345))
    )


def test_a_changed_link_target_is_noticed(trees: tuple[Path, Path]) -> None:
    def tamper(copy: Path) -> None:
        link = copy / "links" / "dangling"
        link.unlink()
        link.symlink_to("/nowhere/at alL")

    assert any("target" in line for line in new_lines(trees, tamper))
