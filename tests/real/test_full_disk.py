"""Storage that is full, read-only or forbidden: never a committed archive that does not restore, and a clear line."""

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from demo.comparison import differences
from tests.conftest import Bork
from tests.real.disks import mount_tmpfs, run, unmount
from tests.real.program import Ended, assert_clear, measured, session, without_privilege

pytestmark = [pytest.mark.needs("root", "mount"), pytest.mark.usefixtures("plain")]

KIB = 1 << 10
SIZES_KIB = range(300, 6 << 10, 150)
BATCHES = 4  # of sizes, for as many workers


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About 4 MB that do not compress, in large and small files."""
    source = tmp_path_factory.mktemp("full") / "source"
    source.mkdir()
    for number in range(30):
        (source / f"small-{number}").write_bytes(os.urandom(20_000))
    (source / "large").write_bytes(os.urandom(3_500_000))
    return source


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    point = tmp_path / "small"
    point.mkdir()
    yield point
    while os.path.ismount(point):
        unmount(point)


class Attempt:
    """Commands on a repository on a disk that is too small, perhaps."""

    def __init__(self, directory: Path, disk: Path, source: Path, what: str) -> None:
        self.directory, self.disk, self.source, self.what = directory, disk, source, what
        self.repository = disk / "repository"
        directory.mkdir()

    def run(self, *commands: tuple[str, ...], cwd: Path | None = None) -> list[Ended]:
        said = self.directory / f"said-{len(list(self.directory.iterdir()))}"
        all_ended = session(commands, said, cwd=cwd or self.source, limits={}, timeout_s=30)
        for words, ended in zip(commands, all_ended, strict=True):
            assert_clear(ended.code, ended.err, (self.what, words))
            if words[0] == "create":
                assert ended.code in (0, 2), (self.what, ended.says())
            if words[0] == "create" and ended.code == 2:
                assert ended.err.count(b"\n") == 1, (self.what, ended.says())
                assert b"space" in ended.err, (self.what, ended.says())
            if words[0] in ("list", "check"):
                assert ended.code == 0, (self.what, ended.says())
        return all_ended

    def init(self) -> tuple[str, ...]:
        return ("init", "--encryption", "none", str(self.repository))

    def create(self, name: str) -> tuple[str, ...]:
        return ("create", f"{self.repository}::{name}", ".")

    def list(self) -> tuple[str, ...]:
        return ("list", "--short", str(self.repository))

    def check(self) -> tuple[str, ...]:
        return ("check", "--verify-data", str(self.repository))

    def assert_restores(self, names: Iterable[str]) -> None:
        """Every archive that was listed is complete and right."""
        for name in names:
            restored = self.directory / f"restored-{name}"
            restored.mkdir()
            (ended,) = self.run(("extract", f"{self.repository}::{name}"), cwd=restored)
            assert ended.code == 0, (self.what, name, ended.says())
            assert differences(os.fsencode(self.source), os.fsencode(restored)) == [], (self.what, name)


def names(listed: Ended) -> list[str]:
    return listed.out.decode().split()


def fill(disk: Path) -> Path:
    """Take every byte that is left."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (64 * KIB, 4 * KIB, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                continue
    return filler


@pytest.mark.timeout(240)
@pytest.mark.parametrize("batch", range(BATCHES))
def test_on_a_disk_of_any_size_create_says_no_space_or_the_archive_restores(
    batch: int, small_disk: Path, source: Path, tmp_path: Path
) -> None:
    outcomes = set()
    for size_kib in list(SIZES_KIB)[batch::BATCHES]:
        mount_tmpfs(small_disk, f"size={size_kib}k")
        attempt = Attempt(tmp_path / f"{size_kib}", small_disk, source, f"{size_kib} KiB")
        made, one, listed = attempt.run(attempt.init(), attempt.create("one"), attempt.list())
        assert made.code == 0
        outcomes.add(one.code)
        assert one.code or names(listed) == ["one"]
        filler = fill(small_disk)
        listed, _, two = attempt.run(attempt.list(), attempt.check(), attempt.create("two"))
        filler.unlink()
        run("mount", "-o", "remount,size=20m", small_disk)
        three, again = attempt.run(attempt.create("three"), attempt.list())
        assert three.code == 0, "more room is all that it needs"
        assert {*names(listed), "three", *(["two"] if two.code == 0 else [])} <= set(names(again))
        attempt.assert_restores(names(again))
        unmount(small_disk)
    assert outcomes == {0, 2}, "the sizes are badly chosen"


@pytest.mark.parametrize("inodes", [8, 12, 16, 20, 24, 28, 32])
def test_on_a_disk_without_room_for_more_files_create_says_no_space_or_the_archive_restores(
    inodes: int, small_disk: Path, source: Path, tmp_path: Path
) -> None:
    mount_tmpfs(small_disk, f"size=20m,nr_inodes={inodes}")
    attempt = Attempt(tmp_path / "attempt", small_disk, source, f"{inodes} inodes")
    (made,) = attempt.run(attempt.init())
    if made.code == 0:
        one, listed = attempt.run(attempt.create("one"), attempt.list())
        assert names(listed) == ([] if one.code else ["one"])
    run("mount", "-o", "remount,nr_inodes=1000", small_disk)
    if made.code:
        (made,) = attempt.run(attempt.init())
        assert made.code == 0, "an init that was cut off can be repeated"
    two, listed = attempt.run(attempt.create("two"), attempt.list())
    assert two.code == 0
    attempt.assert_restores(names(listed))


def test_on_a_disk_that_is_nearly_full_compact_moves_as_much_at_a_time_as_there_is_room_for(
    small_disk: Path, tmp_path: Path, bork: Bork
) -> None:
    """Six packs, of each of which half is needed, and room for the half of one or two."""
    mount_tmpfs(small_disk, "size=104m")
    source, repository = tmp_path / "half", small_disk / "repository"
    source.mkdir()
    for number in range(96):
        (source / f"file-{number}").write_bytes(os.urandom(1_000_000))
    bork("init", "--encryption", "none", repository)
    bork("create", f"{repository}::whole", ".", cwd=source)
    for path in source.glob("*[13579]"):
        path.unlink()
    bork("create", f"{repository}::half", ".", cwd=source)
    bork("delete", f"{repository}::whole")
    bork("compact", repository)
    assert os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize > 50_000_000
    bork("check", "--verify-data", repository)


def test_a_target_disk_that_is_too_small_is_named_and_the_exit_code_says_so(
    small_disk: Path, source: Path, tmp_path: Path, bork: Bork
) -> None:
    bork("init", "--encryption", "none", tmp_path / "repository")
    bork("create", f"{tmp_path / 'repository'}::one", ".", cwd=source)
    mount_tmpfs(small_disk, "size=2m")
    ended = measured("extract", f"{tmp_path / 'repository'}::one", cwd=small_disk)
    assert ended.code in (1, 2)
    assert_clear(ended.code, ended.err)
    assert b"large: " in ended.err


def test_a_cache_that_cannot_be_written_loses_nothing(
    small_disk: Path, source: Path, tmp_path: Path, bork: Bork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache only saves time. A full disk there must not keep anybody from a backup or a restore."""
    mount_tmpfs(small_disk, "size=64k")
    fill(small_disk)
    monkeypatch.setenv("BORK_CACHE_DIR", str(small_disk / "cache"))
    bork("init", "--encryption", "none", tmp_path / "repository")
    for name in ("one", "two"):
        said = bork("create", f"{tmp_path / 'repository'}::{name}", ".", cwd=source, exit_code=None)
        assert_clear(said.returncode, said.stderr)
    (tmp_path / "restored").mkdir()
    said = bork("extract", f"{tmp_path / 'repository'}::two", cwd=tmp_path / "restored", exit_code=None)
    assert_clear(said.returncode, said.stderr)
    if said.returncode == 0:
        assert differences(os.fsencode(source), os.fsencode(tmp_path / "restored")) == []


# ---- read-only and forbidden -------------------------------------------------------------------------------------


def test_a_read_only_repository_can_be_read_and_refuses_a_backup_in_one_line(
    memory_disk: Path, source: Path, tmp_path: Path, bork: Bork
) -> None:
    repository = memory_disk / "repository"
    bork("init", "--encryption", "repokey", repository)
    bork("create", f"{repository}::one", ".", cwd=source)
    run("mount", "-o", "remount,ro", memory_disk)
    said = bork("create", f"{repository}::two", ".", cwd=source, exit_code=2)
    assert_clear(2, said.stderr)
    assert said.stderr.count(b"\n") == 1
    (tmp_path / "restored").mkdir()
    bork("extract", f"{repository}::one", cwd=tmp_path / "restored")
    assert differences(os.fsencode(source), os.fsencode(tmp_path / "restored")) == []
    bork("check", "--verify-data", repository)
    assert bork("list", "--short", repository).stdout == b"one\n"
    bork("info", repository)


FORBIDDEN = (
    "config",
    "packs",
    "indexes",
    "keys",
    "archives",
    "packs/*",
    "packs/*/*",
    "indexes/*",
    "keys/*",
    "archives/*",
    ".",
)


@pytest.mark.parametrize("what", FORBIDDEN)
def test_a_part_of_a_repository_that_may_not_be_read_is_named(
    what: str, memory_disk: Path, source: Path, tmp_path: Path, bork: Bork
) -> None:
    repository = memory_disk / "repository"
    bork("init", "--encryption", "repokey", repository)
    bork("create", f"{repository}::one", ".", cwd=source)
    shutil.rmtree(tmp_path / "home" / ".cache", ignore_errors=True)
    parts = [repository] if what == "." else list(repository.glob(what))
    assert parts
    for part in parts:
        part.chmod(0)
    (tmp_path / "restored").mkdir()
    checked = measured("check", "--verify-data", repository, before=without_privilege)
    assert checked.code in (1, 2)
    assert_clear(checked.code, checked.err)
    ended = measured("extract", f"{repository}::one", cwd=tmp_path / "restored", before=without_privilege)
    assert_clear(ended.code, ended.err)
    if ended.code == 0:
        assert what.startswith("indexes"), "an index is only a copy"
        assert differences(os.fsencode(source), os.fsencode(tmp_path / "restored")) == []
    ended = measured("create", f"{repository}::two", ".", cwd=source, before=without_privilege)
    assert_clear(ended.code, ended.err)
    subprocess.run(["chmod", "-R", "u+rwX", repository], check=True)
    names = bork("list", "--short", repository).stdout.decode().split()
    assert ("two" in names) == (ended.code in (0, 1))
    bork("check", "--verify-data", repository)


@pytest.mark.parametrize("what", ["archives", "indexes", "packs", "tmp"])
def test_a_part_of_a_repository_that_may_not_be_written_is_an_error(
    what: str, memory_disk: Path, source: Path, bork: Bork
) -> None:
    repository = memory_disk / "repository"
    bork("init", "--encryption", "none", repository)
    subprocess.run(["chmod", "-R", "a-w", repository / what], check=True)
    ended = measured("create", f"{repository}::one", ".", cwd=source, before=without_privilege)
    assert ended.code == 2
    assert_clear(2, ended.err)
    assert ended.err.count(b"\n") == 1
    subprocess.run(["chmod", "-R", "u+w", repository / what], check=True)
    assert bork("list", "--short", repository).stdout == b""
    bork("create", f"{repository}::one", ".", cwd=source)
