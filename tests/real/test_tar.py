"""Tar streams and the real GNU tar, both ways, with everything that a Linux file system can say of a file."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from bork.operations.export_tar import TarFormat
from demo.comparison import differences
from demo.rich_tree import make_rich_tree
from tests.real.program import BORK, assert_clear, measured

pytestmark = [pytest.mark.needs("root", "tar"), pytest.mark.usefixtures("home", "plain")]
UNPACK = ("tar", "--extract", "--preserve-permissions", "--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner")
PACK = ("tar", "--create", "--sparse")
ATTRIBUTES = {"gnu": (), "posix": ("--xattrs", "--xattrs-include=*", "--acls")}
KEYS = "{type}{mode}{user}{group}{uid}{gid}{path}{size}{isomtime}{isoctime}{flags}{linktarget}{sha256}"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository ``repo`` with the archive ``a`` of a tree."""
    (tmp_path / "tree").mkdir()
    make_rich_tree(tmp_path / "tree")
    with (tmp_path / "tree" / "many holes").open("wb") as file:
        for number in range(50):
            file.seek(number * 100_000)
            file.write(b"x" * number)
    bork(tmp_path, "init", "-e", "none", "repo")
    bork(tmp_path, "create", "repo::a", "tree")
    return tmp_path / "tree"


def bork(directory: Path, *arguments: str, code: int = 0) -> bytes:
    ended = measured(*arguments, cwd=directory)
    assert_clear(ended.code, ended.err)
    assert ended.code == code, ended.says()
    return ended.out


def unpacked(directory: Path, name: str) -> Path:
    target = directory / f"unpacked {name}"
    target.mkdir()
    result = subprocess.run([*UNPACK, "--file", directory / name], cwd=target, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr
    return target / "tree"


def listed(directory: Path, archive: str) -> list[dict[str, object]]:
    lines = bork(directory, "list", "--json-lines", "--format", KEYS, f"repo::{archive}").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("tar_format", ["GNU", "PAX", "BORG"])
def test_gnu_tar_unpacks_what_bork_has_exported(tar_format: TarFormat, tree: Path, tmp_path: Path) -> None:
    bork(tmp_path, "export-tar", "--tar-format", tar_format, "repo::a", "x.tar")
    found = differences(os.fsencode(tree), os.fsencode(unpacked(tmp_path, "x.tar")))
    # Tar knows no file flags. The format GNU knows neither attributes nor parts of a second.
    lost = {"flags"} if tar_format != "GNU" else {"flags", "xattrs", "mtime_ns"}
    assert {line.split(": ")[1] for line in found} == lost, found


@pytest.mark.parametrize("tar_format", ["gnu", "posix"])
def test_bork_imports_what_gnu_tar_has_packed(tar_format: str, tree: Path, tmp_path: Path) -> None:
    command = [*PACK, *ATTRIBUTES[tar_format], f"--format={tar_format}", "--file", "x.tar", "tree"]
    subprocess.run(command, cwd=tmp_path, check=True)
    bork(tmp_path, "import-tar", "repo::b", "x.tar")
    (tmp_path / "restored").mkdir()
    bork(tmp_path / "restored", "extract", "../repo::b")
    found = differences(os.fsencode(tree), os.fsencode(tmp_path / "restored" / "tree"))
    lost = {"flags"} if tar_format == "posix" else {"flags", "xattrs", "mtime_ns"}
    assert {line.split(": ")[1] for line in found} <= lost, found
    assert bork(tmp_path, "extract", "--stdout", "repo::b", "tree/many holes") == (tree / "many holes").read_bytes()


@pytest.mark.parametrize("tar_format", ["PAX", "BORG"])
def test_an_archive_comes_back_the_same(tar_format: TarFormat, tree: Path, tmp_path: Path) -> None:
    bork(tmp_path, "export-tar", "--tar-format", tar_format, "repo::a", "x.tar.gz")
    bork(tmp_path, "import-tar", "repo::b", "x.tar.gz")
    assert listed(tmp_path, "b") == listed(tmp_path, "a")
    (tmp_path / "restored").mkdir()
    bork(tmp_path / "restored", "extract", "../repo::b")
    assert differences(os.fsencode(tree), os.fsencode(tmp_path / "restored" / "tree")) == []


def test_a_label_of_selinux_comes_back_as_gnu_tar_restores_it(tmp_path: Path) -> None:
    label = b"system_u:object_r:etc_t:s0\0"
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    theirs.mkdir()
    ours.mkdir()
    (tmp_path / "file").touch()
    os.setxattr(tmp_path / "file", "security.selinux", label)
    subprocess.run(["tar", "--create", "--selinux", "--file", "x.tar", "file"], cwd=tmp_path, check=True)
    subprocess.run(["tar", "--extract", "--selinux", "--file", "../x.tar"], cwd=theirs, check=True)
    bork(tmp_path, "init", "-e", "none", "repo")
    bork(tmp_path, "import-tar", "repo::a", "x.tar")
    bork(ours, "extract", "../repo::a")
    for directory in (theirs, ours):
        assert os.getxattr(directory / "file", "security.selinux") == label


def test_gnu_tar_refuses_a_stream_of_a_process_that_was_killed(tree: Path, tmp_path: Path) -> None:
    """Killed where the pipe is full: after any whole number of pages."""
    (tree / "large").write_bytes(os.urandom(5_000_000))
    bork(tmp_path, "create", "repo::large", "tree")
    for taken in (1, 70_000, 2_000_000):
        with subprocess.Popen(
            [*BORK, "export-tar", "repo::large", "-"], cwd=tmp_path, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            start = process.stdout.read(taken)
            process.kill()
            cut = start + process.stdout.read()
        assert len(cut) % 512 == 511
        result = subprocess.run(["tar", "--list", "--file", "-"], input=cut, capture_output=True, check=False)
        assert result.returncode != 0


def test_memory_does_not_grow_with_the_members(tmp_path: Path) -> None:
    """With ten times the members it is not what they take: 200 bytes each."""
    peaks = []
    bork(tmp_path, "init", "-e", "none", "repo")
    for count in (20_000, 200_000):
        script = (
            "import sys, tarfile\n"
            "with tarfile.open(fileobj=sys.stdout.buffer, mode='w|') as tar:\n"
            f"    for number in range({count}):\n"
            "        tar.addfile(tarfile.TarInfo(f'{number % 997}/{number}' + 'x' * 60))\n"
        )
        with (tmp_path / "x.tar").open("wb") as file:
            subprocess.run([BORK[0], "-c", script], stdout=file, check=True)
        ended = measured("import-tar", f"repo::{count}", "x.tar", cwd=tmp_path, timeout_s=300)
        assert ended.code == 0, ended.says()
        peaks.append(ended.peak_bytes)
        ended = measured("export-tar", f"repo::{count}", "y.tar", cwd=tmp_path, timeout_s=300)
        assert ended.code == 0, ended.says()
        peaks.append(ended.peak_bytes)
    small_import, small_export, large_import, large_export = peaks
    assert large_import - small_import < 60 << 20, peaks
    assert large_export - small_export < 40 << 20, peaks
