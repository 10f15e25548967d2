"""Trees that break programs: deeper than the kernel's longest path, wider than memory, full of links to elsewhere."""

import os
import resource
import shutil
import stat
from pathlib import Path

import pytest

from tests.conftest import Bork
from tests.real.program import MIB, assert_clear, measured, without_privilege

MEMORY_MAX = 200 * MIB


@pytest.fixture
def repository(bork: Bork, memory_disk: Path) -> Path:
    bork("init", "--encryption", "repokey", memory_disk / "repository")
    return memory_disk / "repository"


# ---- deep --------------------------------------------------------------------------------------------------------


def make_chain(root: Path, names: list[bytes]) -> None:
    """Directories inside each other, a file at the bottom: by descriptors, since the kernel refuses the whole path."""
    here = os.open(root, os.O_RDONLY)
    for name in names:
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    file = os.open("bottom", os.O_CREAT | os.O_WRONLY, dir_fd=here)
    os.write(file, b"deep down")
    for handle in (file, here):
        os.close(handle)


def follow_chain(root: Path, names: list[bytes]) -> bytes:
    """The content of the file at the bottom."""
    here = os.open(root, os.O_RDONLY)
    for name in names:
        below = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=here)
        os.close(here)
        here = below
    file = os.open("bottom", os.O_RDONLY, dir_fd=here)
    try:
        return os.read(file, 100)
    finally:
        os.close(file)
        os.close(here)


CHAINS = {
    "40 names of 255 bytes": [b"%02d" % number + b"n" * 253 for number in range(40)],
    "250 names of 255 bytes": [b"n" * 255] * 250,
    "2000 short names": [b"%d" % (number % 7) for number in range(2_000)],
}


@pytest.mark.parametrize("names", CHAINS.values(), ids=CHAINS)
def test_a_tree_deeper_than_the_kernels_longest_path_comes_back(
    names: list[bytes], repository: Path, memory_disk: Path
) -> None:
    for directory in ("source", "restored"):
        (memory_disk / directory).mkdir()
    make_chain(memory_disk / "source", names)
    stored = measured("create", f"{repository}::one", ".", cwd=memory_disk / "source")
    assert (stored.code, stored.err) == (0, b"")
    again = measured("create", f"{repository}::two", ".", cwd=memory_disk / "source")
    assert (again.code, again.err) == (0, b"")
    listed = measured("list", "--short", f"{repository}::two")
    assert listed.out.splitlines()[-1] == b"/".join([*names, b"bottom"])
    restored = measured("extract", f"{repository}::two", cwd=memory_disk / "restored")
    assert (restored.code, restored.err) == (0, b"")
    assert follow_chain(memory_disk / "restored", names) == b"deep down"
    for ended in (stored, again, listed, restored):
        assert ended.peak_bytes < MEMORY_MAX
        assert ended.seconds < 5


def test_a_tree_deeper_than_the_limit_of_open_files_comes_back_or_the_loss_is_named(
    repository: Path, memory_disk: Path
) -> None:
    """The hard limit; bork raises the other one itself."""
    (memory_disk / "restored").mkdir()
    (memory_disk / "source").mkdir()
    make_chain(memory_disk / "source", [b"%d" % (number % 7) for number in range(600)])
    (memory_disk / "source" / "zz").write_bytes(b"behind it")
    limits = {resource.RLIMIT_NOFILE: 256}
    ended = measured("create", f"{repository}::one", ".", cwd=memory_disk / "source", limits=limits)
    assert ended.code == 1
    assert_clear(ended.code, ended.err)
    assert b"Too many open files" in ended.err
    ended = measured("create", f"{repository}::two", ".", cwd=memory_disk / "source")
    assert ended.code == 0
    ended = measured("extract", f"{repository}::two", cwd=memory_disk / "restored", limits=limits)
    assert ended.code == 1
    assert_clear(ended.code, ended.err)
    assert b"Too many open files" in ended.err
    assert (memory_disk / "restored" / "zz").read_bytes() == b"behind it"


def test_many_files_with_a_name_elsewhere_do_not_use_up_the_open_files(
    repository: Path, memory_disk: Path, bork: Bork
) -> None:
    """A file that has a second name outside of the archive waits for it in vain; its directory must not stay open."""
    (memory_disk / "elsewhere").mkdir()
    (memory_disk / "restored").mkdir()
    for number in range(1_000):
        (memory_disk / "source" / str(number)).mkdir(parents=True)
        (memory_disk / "source" / str(number) / "file").write_bytes(b"content")
        (memory_disk / "elsewhere" / str(number)).hardlink_to(memory_disk / "source" / str(number) / "file")
    bork("create", f"{repository}::one", "source", cwd=memory_disk)
    limits = {resource.RLIMIT_NOFILE: 512}
    ended = measured("extract", f"{repository}::one", cwd=memory_disk / "restored", limits=limits)
    assert (ended.code, ended.err) == (0, b"")
    assert len(list((memory_disk / "restored" / "source").glob("*/file"))) == 1_000


def test_a_user_gets_a_second_name_of_a_file_in_a_directory_that_then_cannot_be_entered(
    repository: Path, memory_disk: Path, bork: Bork
) -> None:
    source, restored = memory_disk / "source", memory_disk / "restored"
    for directory in (source / "a" / "shut", source / "z", restored):
        directory.mkdir(parents=True)
    (source / "a" / "shut" / "file").write_bytes(b"content")
    (source / "z" / "name").hardlink_to(source / "a" / "shut" / "file")
    (source / "a" / "shut").chmod(0)
    bork("create", f"{repository}::one", ".", cwd=source)
    ended = measured("extract", f"{repository}::one", cwd=restored, before=without_privilege)
    assert (ended.code, ended.err) == (0, b"")
    assert (restored / "z" / "name").samefile(restored / "a" / "shut" / "file")
    assert stat.S_IMODE((restored / "a" / "shut").stat().st_mode) == 0


def test_a_path_longer_than_the_format_allows_is_named_and_the_rest_is_stored(
    repository: Path, memory_disk: Path, bork: Bork
) -> None:
    (memory_disk / "source").mkdir()
    make_chain(memory_disk / "source", [b"n" * 255] * 260)
    (memory_disk / "source" / "zz-after").write_bytes(b"stored")
    ended = measured("create", f"{repository}::one", ".", cwd=memory_disk / "source")
    assert ended.code == 1
    assert ended.err.count(b"\n") == 1
    assert b"longer than" in ended.err
    assert b"zz-after" in bork("list", "--short", f"{repository}::one").stdout


# ---- not UTF-8 ---------------------------------------------------------------------------------------------------


def test_names_that_are_not_utf8_are_text_in_everything_that_is_said(
    repository: Path, memory_disk: Path, bork: Bork
) -> None:
    """A program that reads both streams as UTF-8 must not fail at a name; Borg, too, prints ``?``."""
    tree, archive = memory_disk / "tree", os.fsencode(repository) + b"::one\xff"
    tree.mkdir()
    (tree / os.fsdecode(b"f\xfe")).write_bytes(b"content")
    (tree / "link").symlink_to(os.fsdecode(b"to \xff"))
    restored = memory_disk / "restored"
    restored.mkdir()
    said = b""
    for code, words in (
        (1, ("create", "--list", "--stats", "--progress", archive, "tree", b"not there \xfd")),
        (0, ("list", archive)),
        (0, ("list", repository)),
        (0, ("info", archive)),
        (1, ("extract", "--list", archive, "tree", b"no such \xfd")),
        (0, ("export-tar", "--list", archive, "/dev/null")),
        (0, ("recreate", "--list", "--exclude", "link", archive)),
        (2, ("create", archive, "tree")),
        (0, ("prune", "--list", "--keep-last", "1", "--dry-run", repository)),
        (0, ("delete", "--list", archive)),
    ):
        in_place = restored if words[0] == "extract" else memory_disk
        ended = bork(*words, cwd=in_place, exit_code=code)
        ended.stdout.decode()
        ended.stderr.decode()
        said += ended.stdout + ended.stderr
    assert all(text in said for text in (b"A tree/f?\n", b"link -> to ?", b"one?", b"not there ?", b"'no such ?'"))
    assert (restored / "tree" / os.fsdecode(b"f\xfe")).read_bytes() == b"content"


# ---- wide --------------------------------------------------------------------------------------------------------


def make_wide(directory: Path, count: int) -> None:
    directory.mkdir()
    handle = os.open(directory, os.O_RDONLY)
    for number in range(count):
        os.close(os.open(f"entry-{number:07}", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=handle))
    os.close(handle)


@pytest.mark.parametrize(
    "count",
    [
        100_000,
        pytest.param(
            1_000_000,
            marks=[
                pytest.mark.skipif("BORK_SLOW_TESTS" not in os.environ, reason="only with BORK_SLOW_TESTS=1"),
                pytest.mark.may_skip("takes minutes"),
                pytest.mark.timeout(900),
            ],
        ),
    ],
)
def test_a_directory_of_a_hundred_thousand_entries_takes_little_memory(
    count: int, repository: Path, tmp_path: Path
) -> None:
    source, restored = tmp_path / "source", tmp_path / "restored"
    make_wide(source, count)
    restored.mkdir()
    for words, place in (
        (("create", f"{repository}::one", "."), source),
        (("create", f"{repository}::two", "."), source),
        (("list", f"{repository}::two"), source),
        (("extract", f"{repository}::two"), restored),
        (("check", "--verify-data", repository), source),
    ):
        ended = measured(*words, cwd=place, timeout_s=300)
        assert (ended.code, ended.err) == (0, b""), words
        assert ended.peak_bytes < MEMORY_MAX, words
    assert sum(1 for _ in os.scandir(restored)) == count
    for directory in (source, restored):
        shutil.rmtree(directory)


# ---- long --------------------------------------------------------------------------------------------------------


def test_a_hole_of_any_length_takes_no_memory(bork: Bork, repository: Path, memory_disk: Path, tmp_path: Path) -> None:
    """Exbibytes are refused, by themselves; what fits is stored, and found again."""
    source = memory_disk / "source"
    source.mkdir()
    for name, length in (("larger than any archive", 7 << 60), ("fits", 1 << 45)):
        with (source / name).open("wb") as file:
            file.write(b"begins")
            file.truncate(length)
    (source / "zz-after").write_bytes(b"stored")
    for name in ("one", "two"):
        ended = measured("create", "--files-cache", "disabled", f"{repository}::{name}", ".", cwd=source)
        assert ended.code == 1
        assert ended.err.count(b"\n") == 1
        assert b"larger than any archive: it is 256 PiB long or longer" in ended.err
        assert ended.peak_bytes < MEMORY_MAX
    listed = bork("list", "--format", "{size} {path}{NL}", f"{repository}::two").stdout
    assert sorted(listed.splitlines()) == [b"0 .", b"35184372088832 fits", b"6 zz-after"]
