"""What the user names is in the archive, or its absence is reported: PATHs inside others, patterns, lists, stdin."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from demo.rich_tree import NOBODY, acl
from tests.conftest import Bork
from tests.real.disks import mount_tmpfs, run, unmount

pytestmark = pytest.mark.usefixtures("plain")
SETTLE_S = 0.06  # more than a tick of the clock that stamps files, and what bork adds to it


@pytest.fixture
def repository(tmp_path: Path, bork: Bork) -> Path:
    bork("init", "--encryption", "none", tmp_path / "repository")
    return tmp_path / "repository"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Directories that a walk from above does not come to, for one reason or another."""
    source = tmp_path / "source"
    for name in ("other/sub", "tagged/keep", "left out/deep/keep"):
        (source / "top" / name).mkdir(parents=True)
        (source / "top" / name / "file").write_text(name)
    (source / "top" / "tagged" / ".nobackup").touch()
    (source / "top" / "link").symlink_to("other")
    return source


def stored(bork: Bork, archive: str) -> list[str]:
    return os.fsdecode(bork("list", "--short", archive).stdout).splitlines()


@pytest.mark.parametrize(
    ("options", "inner"),
    [
        ([], "top/link/sub"),
        (["--exclude-if-present", ".nobackup"], "top/tagged/keep"),
        (["--pattern", "! pf:top/left out"], "top/left out/deep/keep"),
        (["--pattern", "- pf:top/left out"], "top/left out/deep/keep"),
        (["--exclude", "re:^top/left out$"], "top/left out/deep/keep"),
    ],
)
def test_a_path_inside_another_one_is_stored_though_the_walk_of_that_does_not_come_there(
    options: list[str], inner: str, source: Path, repository: Path, bork: Bork
) -> None:
    bork("create", *options, f"{repository}::a", "top", inner, cwd=source)
    found = stored(bork, f"{repository}::a")
    assert f"{inner}/file" in found
    assert len(set(found)) == len(found)
    both = bork("create", "--list", *options, f"{repository}::b", "top", inner, "top/gone", cwd=source, exit_code=1)
    assert b"top/gone: stat: No such file" in both.stderr
    assert stored(bork, f"{repository}::b") == found


@pytest.mark.needs("root", "mount")
def test_a_path_on_another_file_system_is_stored_and_what_is_mounted_in_it_is_not(
    source: Path, repository: Path, bork: Bork
) -> None:
    inner, back = source / "top" / "mounted", source / "top" / "mounted" / "back"
    inner.mkdir()
    mount_tmpfs(inner, "size=1m")
    try:
        back.mkdir()
        (inner / "photos").mkdir()
        (inner / "photos" / "file").touch()
        run("mount", "--bind", source / "top" / "other", back)
        bork("create", "-x", f"{repository}::a", "top", "top/mounted/photos", cwd=source)
        assert {"top/mounted", "top/mounted/photos/file"} <= set(stored(bork, f"{repository}::a"))
        assert "top/mounted/back" not in stored(bork, f"{repository}::a")
        bork("create", "-x", f"{repository}::b", "top", "top/mounted", cwd=source)
        found = stored(bork, f"{repository}::b")
        assert {"top/mounted/photos/file", "top/mounted/back"} <= set(found)
        assert not any(path.startswith("top/mounted/back/") for path in found)
    finally:
        unmount(back)
        unmount(inner)


def test_a_pattern_excludes_what_it_matches_and_nothing_below_that(source: Path, repository: Path, bork: Bork) -> None:
    bork("create", "--pattern", "- pf:top/left out", f"{repository}::a", "top", cwd=source)
    found = stored(bork, f"{repository}::a")
    assert "top/left out" not in found
    assert "top/left out/deep/keep/file" in found
    bork("create", "--pattern", "- pp:top/left out", f"{repository}::b", "top", cwd=source)
    assert not any("left out" in path for path in stored(bork, f"{repository}::b"))


@pytest.mark.needs("chattr")
def test_a_directory_that_is_not_to_be_dumped_is_left_out_with_all_that_is_in_it(
    source: Path, repository: Path, bork: Bork
) -> None:
    run("chattr", "+d", source / "top" / "tagged")
    said = bork("create", "--list", "--exclude-nodump", f"{repository}::a", "top", cwd=source)
    assert b"x top/tagged\n" in said.stderr
    assert not any("tagged" in path for path in stored(bork, f"{repository}::a"))


def test_a_listed_path_is_stored_behind_its_first_slash_dot_as_a_path_of_the_command_line(
    source: Path, repository: Path, bork: Bork
) -> None:
    path = "top/./left out/./deep/keep/file"
    bork("create", f"{repository}::a", path, cwd=source)
    bork("create", "--paths-from-stdin", f"{repository}::b", cwd=source, stdin=path.encode())
    assert stored(bork, f"{repository}::a") == stored(bork, f"{repository}::b") == ["left out/deep/keep/file"]


def test_a_listed_path_is_stored_whatever_patterns_and_tags_say(source: Path, repository: Path, bork: Bork) -> None:
    """No more and no less than what is listed, as by Borg."""
    (source / "top" / "tagged" / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55")
    listed = sorted(str(path.relative_to(source)) for path in (source / "top" / "tagged").rglob("*"))
    options = ("--exclude-caches", "--exclude-if-present", ".nobackup", "--exclude", "pp:top/tagged/keep")
    text = "\n".join(["top/tagged", *listed]).encode()
    bork("create", *options, "--paths-from-stdin", f"{repository}::a", cwd=source, stdin=text)
    assert stored(bork, f"{repository}::a") == ["top/tagged", *listed]


def test_a_listed_path_is_taken_by_its_names(source: Path, repository: Path, bork: Bork) -> None:
    (source / "outer").write_text("outer")
    (source / "top" / "outer").write_text("another one")
    (source / "way").symlink_to("top/other")
    text = b"way/../outer\ntop/other/.\nnothing/../top/link\n"
    bork("create", "--paths-from-stdin", f"{repository}::a", cwd=source, stdin=text)
    assert stored(bork, f"{repository}::a") == ["outer", "top/link", "top/other"]
    assert bork("extract", "--stdout", f"{repository}::a", "outer").stdout == b"outer"


@pytest.mark.parametrize("words", [["-"], ["--paths-from-stdin"]])
def test_a_closed_stdin_is_refused_and_no_other_file_is_taken_for_it(
    words: list[str], source: Path, repository: Path, bork: Bork
) -> None:
    options, paths = ([], words) if words == ["-"] else (words, [])
    command = [sys.executable, "-m", "bork", "create", *options, f"{repository}::a", *paths]
    ended = subprocess.run(command, cwd=source, preexec_fn=lambda: os.close(0), capture_output=True, check=False)
    assert (ended.returncode, b"stdin is closed" in ended.stderr) == (2, True), ended.stderr
    assert bork("list", "--short", repository).stdout == b""


def test_a_user_that_no_item_can_hold_is_refused(repository: Path, bork: Bork) -> None:
    for length, code in ((1024, 0), (1025, 2)):
        said = bork("create", "--stdin-user", "u" * length, f"{repository}::a{length}", "-", exit_code=code)
        assert (b"1024 bytes" in said.stderr) == bool(code)
    assert stored(bork, f"{repository}::a1024") == ["stdin"]


# ---- metadata of what has not changed ----------------------------------------------------------------------------


@pytest.mark.needs("root")
def test_the_names_in_an_acl_are_those_of_now(tmp_path: Path, repository: Path, bork: Bork) -> None:
    """The file has not changed, and the user of that number has."""
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "group").touch()
    (root / "data").mkdir()
    (root / "data" / "file").touch()
    access = acl((1, 6, NOBODY), (2, 6, 1000), (4, 4, NOBODY), (0x10, 6, NOBODY), (0x20, 0, NOBODY))
    os.setxattr(root / "data" / "file", "system.posix_acl_access", access)
    time.sleep(SETTLE_S)
    tars = []
    for name in ("bob", "alice"):
        (root / "etc" / "passwd").write_text(f"{name}:x:1000:1000::/:/bin/sh\n")
        bork("create", "--root", root, f"{repository}::{name}", "/data")
        tars.append(bork("export-tar", "--tar-format", "PAX", f"{repository}::{name}", "-").stdout)
    assert b"user:bob:rw" in tars[0]
    assert b"user:alice:rw" in tars[1]
    assert b"bob" not in tars[1]


@pytest.mark.needs("root", "loop", "mkfs.ext4")
def test_hard_links_stay_when_the_device_has_another_number(tmp_path: Path, repository: Path, bork: Bork) -> None:
    """After a reboot: one of the names is new in the archive, the other has not changed."""
    image, point = tmp_path / "image", tmp_path / "disk"
    point.mkdir()
    with image.open("wb") as file:
        file.truncate(16 << 20)
    run("mkfs.ext4", "-q", "-F", image)
    other = tmp_path / "other"
    shutil.copyfile(image, other)
    run("mount", "-o", "loop", image, point)
    (point / "one").write_bytes(os.urandom(10_000))
    (point / "two").mkdir()
    os.link(point / "one", point / "two" / "name")
    first = point.stat().st_dev
    time.sleep(SETTLE_S)
    bork("create", f"{repository}::a", "disk", cwd=tmp_path)
    unmount(point)
    occupied = tmp_path / "occupied"
    occupied.mkdir()
    run("mount", "-o", "loop", other, occupied)
    try:
        run("mount", "-o", "loop", image, point)
        assert point.stat().st_dev != first, "the device has the number that it had"
        (point / "two").rename(point / "three")
        bork("create", f"{repository}::b", "disk", cwd=tmp_path)
    finally:
        unmount(point)
        unmount(occupied)
    restored = tmp_path / "restored"
    restored.mkdir()
    bork("extract", f"{repository}::b", cwd=restored)
    assert (restored / "disk" / "one").samefile(restored / "disk" / "three" / "name")
