"""Recursion roots: what is read, and under which path it is stored. The table was recorded from Borg 1.4.5."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bork.cli import paths

BORG = [
    ("/home/u", "/home/u", "home/u"),
    ("home/u", "home/u", "home/u"),
    ("./src", "src", "src"),
    ("../../src", "../../src", "src"),
    (".", ".", "."),
    ("/", "/", "."),
    ("/a/b/./c/d", "/a/b/c/d", "c/d"),
    ("/a/b/./", "/a/b", "."),
    ("/a/b/.", "/a/b", "a/b"),
    ("a/./b", "a/b", "b"),
    ("/./x", "/x", "x"),
    ("./x/./y", "x/y", "y"),
    ("//x/y", "//x/y", "x/y"),
    ("a//b", "a/b", "a/b"),
    ("/a/../b", "/b", "b"),
    ("/a/b/./../c", "/a/c", "a/c"),
    ("/a/./b/./c", "/a/b/c", "b/c"),
    ("../a/./b", "../a/b", "b"),
    ("/a/./", "/a", "."),
    ("..//x", "../x", "x"),
    ("/..", "/", "."),
    ("./.", ".", "."),
    ("a/..", ".", "."),
    ("...", "...", "..."),
    ("/a/b/", "/a/b", "a/b"),
]


INSIDE = [
    ("/", ".", "."),
    (".", ".", "."),
    ("/etc", "etc", "etc"),
    ("etc/", "etc", "etc"),
    ("//etc", "etc", "etc"),
    ("../../etc", "etc", "etc"),
    ("/../etc", "etc", "etc"),
    ("home/../../etc", "etc", "etc"),
    ("srv/data/./a/b", "srv/data/a/b", "a/b"),
]


@pytest.mark.parametrize(("path", "source", "stored"), INSIDE)
def test_a_path_inside_a_foreign_root_stays_inside(path: str, source: str, stored: str) -> None:
    assert paths.root_inside(path) == (os.fsencode(source), os.fsencode(stored))


@pytest.mark.parametrize(("path", "source", "stored"), BORG)
def test_a_root_is_read_and_stored_as_by_borg(path: str, source: str, stored: str) -> None:
    assert paths.root(path) == (source.encode(), stored.encode())


@pytest.mark.parametrize("path", ["..", "../..", "/a/b/./.."])
def test_dots_alone_are_never_stored(path: str) -> None:
    """Borg stores the item ``..`` for the first two, which its own extract refuses."""
    assert b".." not in paths.root(path)[1].split(b"/")


def test_a_path_that_is_no_text_keeps_its_bytes() -> None:
    assert paths.root(os.fsdecode(b"/a/\xff/./\xfe")) == (b"/a/\xff/\xfe", b"\xfe")


@given(st.text(alphabet="ab./ \udcff", min_size=1))
def test_a_stored_path_is_relative_and_stays_below(path: str) -> None:
    stored = paths.stored(path)
    assert not stored.startswith("/")
    assert stored == "." or not {"", ".", ".."} & set(stored.split("/"))


NAMES = [
    ("db.sql", "db.sql"),
    ("./dump.sql", "dump.sql"),
    ("a/./b", "a/b"),
    ("a//b", "a/b"),
    ("/abs", "abs"),
    ("a/.", "a"),
    ("a/", "a"),
    ("...", "..."),
]


@pytest.mark.parametrize(("name", "stored"), NAMES)
def test_a_name_for_stdin_becomes_a_path_that_an_archive_can_hold(name: str, stored: str) -> None:
    assert paths.stdin_name(name) == stored


@pytest.mark.parametrize("name", ["", ".", "/", "./", "..", "../x", "a/../b", "a/..", "x" * 65536])
def test_a_name_for_stdin_that_no_archive_can_hold_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no path of an archive"):
        paths.stdin_name(name)
