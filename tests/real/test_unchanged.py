"""What has not changed is not read again; whatever has changed is found, however cleverly it was changed."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from demo.comparison import differences
from demo.rich_tree import ACL_ACCESS
from tests.conftest import Bork

pytestmark = pytest.mark.needs("root", "strace")

READS = "read,pread64,readv,preadv,preadv2,mmap,copy_file_range,sendfile,splice"
SETTLE_S = 0.06  # more than a tick of the clock that stamps files, and what bork adds to it
MODES = {  # which changes make it read a file again: Borg's modes
    "ctime,size,inode": {"chmod", "touched", "replaced", "grown"},
    "mtime,size,inode": {"touched", "replaced", "grown"},
    "ctime,size": {"chmod", "touched", "replaced", "grown"},
    "mtime,size": {"touched", "grown"},
    "rechunk,ctime": {"quiet", "chmod", "touched", "replaced", "grown"},
    "rechunk,mtime": {"quiet", "chmod", "touched", "replaced", "grown"},
    "size": {"grown"},
    "disabled": {"quiet", "chmod", "touched", "replaced", "grown"},
}


class Scene:
    """A source of some files, a repository, and archives with numbers for names."""

    def __init__(self, directory: Path, bork: Bork) -> None:
        self.directory, self.bork = directory, bork
        self.source, self.repository = directory / "source", directory / "repository"
        self.source.mkdir()
        bork("init", "--encryption", "none", self.repository)
        self.number = 0

    def create(self, *options: str) -> str:
        """One more archive; what was said with ``--list --stats``."""
        time.sleep(SETTLE_S)
        self.number += 1
        words = ("create", "--list", "--stats", *options, f"{self.repository}::{self.number}", ".")
        return os.fsdecode(self.bork(*words, cwd=self.source).stderr)

    def traced(self, *options: str) -> set[str]:
        """One more archive; the names of the files in the source whose content was read."""
        time.sleep(SETTLE_S)
        self.number += 1
        log = self.directory / "trace"
        words = ("create", *options, f"{self.repository}::{self.number}", ".")
        command: list[str | Path] = [
            "strace",
            "-f",
            "-qq",
            "-y",
            "-e",
            f"trace={READS}",
            "-o",
            log,
            sys.executable,
            "-m",
            "bork",
            *words,
        ]
        subprocess.run(command, cwd=self.source, check=True, capture_output=True)
        found = re.findall(rf"<{re.escape(str(self.source))}/([^>]*)>", log.read_text(errors="replace"))
        return set(found)

    def restored(self, number: int | None = None) -> Path:
        """What the newest archive (or another) gives back."""
        restored = self.directory / f"restored-{time.monotonic_ns()}"
        restored.mkdir()
        self.bork("extract", f"{self.repository}::{number or self.number}", cwd=restored)
        return restored

    def assert_restores(self, number: int | None = None) -> None:
        """The newest archive (or another) is what the source is now."""
        assert differences(os.fsencode(self.source), os.fsencode(self.restored(number))) == []


@pytest.fixture
def scene(memory_disk: Path, bork: Bork) -> Scene:
    scene = Scene(memory_disk, bork)
    for name in ("chmod", "grown", "quiet", "replaced", "touched"):
        (scene.source / name).write_bytes(os.urandom(50_000))
    (scene.source / "directory").mkdir()
    (scene.source / "directory" / "quiet").write_bytes(os.urandom(5_000_000))
    return scene


def keep_mtime(path: Path, change: Callable[[], object]) -> None:
    """Whatever ``change`` does, the modification time stays."""
    before = path.stat()
    change()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def status(said: str, name: str) -> str:
    """The letter that ``--list`` shows for a path."""
    return next(line[0] for line in said.splitlines() if line[1:] in (f" {name}", f" ./{name}"))


def deduplicated_bytes(said: str) -> float:
    """What the archive added, by ``--stats``."""
    found = re.search(r"This archive:.* ([\d.]+) (B|kB|MB)$", said, re.MULTILINE)
    assert found, said
    return float(found[1]) * {"B": 1, "kB": 1e3, "MB": 1e6}[found[2]]


# ---- what is read ------------------------------------------------------------------------------------------------


def test_a_second_backup_of_an_unchanged_tree_reads_no_content(scene: Scene) -> None:
    assert "quiet" in scene.traced(), "the proof works: the first backup reads"
    assert scene.traced() == set()
    said = scene.create()
    assert {status(said, name) for name in ("quiet", "grown", "directory/quiet")} == {"U"}
    assert deduplicated_bytes(said) < 1_000
    scene.assert_restores()


@pytest.mark.parametrize("mode", MODES)
def test_each_files_cache_mode_reads_what_borg_reads(mode: str, scene: Scene) -> None:
    scene.create(f"--files-cache={mode}")
    quiet, chmod, touched, replaced, grown = (
        scene.source / name for name in ("quiet", "chmod", "touched", "replaced", "grown")
    )
    chmod.chmod(0o600)
    os.utime(touched)
    copy = replaced.with_name("copy")
    copy.write_bytes(replaced.read_bytes())
    os.utime(copy, ns=(0, replaced.stat().st_mtime_ns))
    copy.replace(replaced)
    keep_mtime(grown, lambda: grown.write_bytes(grown.read_bytes() + b"more"))
    expected = set(MODES[mode])
    read = {name for name in scene.traced(f"--files-cache={mode}") if "/" not in name}
    assert read == expected
    assert quiet.exists()
    scene.assert_restores()


def test_a_change_of_metadata_alone_stores_metadata_alone(scene: Scene) -> None:
    scene.create()
    (scene.source / "chmod").chmod(0o4711)
    os.chown(scene.source / "quiet", 1, 2)
    os.setxattr(scene.source / "grown", "user.note", b"new")
    os.setxattr(scene.source / "touched", "system.posix_acl_access", ACL_ACCESS)
    os.utime(scene.source / "replaced", ns=(0, 12_345_678_901))
    os.chown(scene.source / "directory", 3, 4)
    said = scene.create()
    assert deduplicated_bytes(said) < 3_000
    scene.assert_restores()


def test_metadata_that_an_option_left_out_is_read_by_the_next_backup_without_it(scene: Scene) -> None:
    """And content is not: the file has not changed."""
    os.setxattr(scene.source / "quiet", "user.note", b"kept")
    os.setxattr(scene.source / "directory", "user.note", b"kept")
    os.setxattr(scene.source / "touched", "system.posix_acl_access", ACL_ACCESS)
    for options in (["--noxattrs"], ["--noacls"], ["--noxattrs", "--noacls", "--noflags", "--nobirthtime"]):
        scene.create(*options)
        assert scene.traced() == set()
        scene.assert_restores()


# ---- what is found -----------------------------------------------------------------------------------------------


def test_an_edit_of_the_same_size_with_its_mtime_set_back_is_found(scene: Scene) -> None:
    scene.create()
    keep_mtime(scene.source / "quiet", lambda: (scene.source / "quiet").write_bytes(os.urandom(50_000)))
    assert status(scene.create(), "quiet") == "M"
    scene.assert_restores()


def test_an_edit_through_a_mapping_is_found(scene: Scene) -> None:
    import mmap

    scene.create()
    with (scene.source / "quiet").open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        mapping[100:105] = b"other"
    scene.create()
    scene.assert_restores()


def test_another_file_under_the_same_name_is_found(scene: Scene) -> None:
    """Renamed over it, with the same size and mtime; and deleted and made again."""
    scene.create()
    other = scene.source / "other"
    other.write_bytes(os.urandom(50_000))
    os.utime(other, ns=(0, (scene.source / "quiet").stat().st_mtime_ns))
    other.replace(scene.source / "quiet")
    again = scene.source / "grown"
    before = again.stat()
    again.unlink()
    again.write_bytes(os.urandom(50_000))
    os.utime(again, ns=(0, before.st_mtime_ns))
    scene.create()
    scene.assert_restores()


def test_a_file_that_became_a_directory_and_back_is_found(scene: Scene) -> None:
    scene.create()
    path = scene.source / "quiet"
    path.unlink()
    path.mkdir()
    (path / "below").write_bytes(b"below")
    scene.create()
    scene.assert_restores()
    (path / "below").unlink()
    path.rmdir()
    path.symlink_to("grown")
    scene.create()
    scene.assert_restores()


def test_files_that_were_moved_between_directories_are_stored_once(scene: Scene) -> None:
    scene.create()
    (scene.source / "directory").rename(scene.source / "renamed")
    assert deduplicated_bytes(scene.create()) < 3_000
    scene.assert_restores()


@pytest.mark.parametrize("mode", ["ctime,size,inode", "mtime,size,inode"])
def test_an_edit_in_the_tick_in_which_a_file_was_read_is_found_by_the_next_backup(mode: str, scene: Scene) -> None:
    """A file edited over and over while it is read may have one stamp for two contents: that stamp is not trusted."""
    files = [scene.source / f"racy-{number}" for number in range(20)]
    for attempt in range(4):
        scene.number += 1
        words = ("create", f"--files-cache={mode}", f"{scene.repository}::{scene.number}", ".")
        child = subprocess.Popen([sys.executable, "-m", "bork", *words], cwd=scene.source, stderr=subprocess.PIPE)
        number = 0
        while child.poll() is None:
            for path in files:
                path.write_bytes(b"%09d" % (attempt * 10**7 + number))
            number += 1
        child.communicate()
        assert child.returncode in (0, 1)
        for _ in range(2):  # the second and the third backup, with nothing between them
            scene.number += 1
            scene.bork("create", f"--files-cache={mode}", f"{scene.repository}::{scene.number}", ".", cwd=scene.source)
            scene.assert_restores()


# ---- what is healed ----------------------------------------------------------------------------------------------


METADATA = 2  # the kind of a pack: byte 9 of its header


def packs(repository: Path) -> list[Path]:
    return list((repository / "packs").glob("*/*"))


def test_chunks_of_a_pack_that_was_deleted_are_stored_again(scene: Scene) -> None:
    scene.create()
    for pack in packs(scene.repository):
        pack.unlink()
    said = scene.create()
    assert deduplicated_bytes(said) > 5_000_000
    scene.assert_restores(1)
    scene.assert_restores(2)
    assert "quiet" not in scene.traced()


@pytest.mark.parametrize("what", ["head", "metadata"])
def test_with_a_damaged_previous_archive_files_are_read_again(what: str, scene: Scene) -> None:
    scene.create()
    if what == "head":
        (path,) = (scene.repository / "archives").iterdir()
    else:
        (path,) = (pack for pack in packs(scene.repository) if pack.read_bytes()[9] == METADATA)
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    assert "quiet" in scene.traced()
    scene.assert_restores()
