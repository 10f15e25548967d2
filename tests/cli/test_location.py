"""Locations are read as Borg 1.4 reads them. The table was recorded from Borg 1.4.5, with ``BORG_REPO=/env/repo``."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bork.cli.location import Location, is_archive_name, parse

Parts = tuple[str, str, str | None, str | None, str | None, int | None]  # protocol, path, archive, user, host, port

BORG: list[tuple[str, Parts | None]] = [
    ("/some/path::archive", ("file", "/some/path", "archive", None, None, None)),
    ("/some/path", ("file", "/some/path", None, None, None, None)),
    ("some/path::archive", ("file", "some/path", "archive", None, None, None)),
    ("some/path", ("file", "some/path", None, None, None, None)),
    ("path", ("file", "path", None, None, None, None)),
    ("path::a", ("file", "path", "a", None, None, None)),
    ("file:///some/path::archive", ("file", "/some/path", "archive", None, None, None)),
    ("file:///some/path", ("file", "/some/path", None, None, None, None)),
    ("file://server/some/path::a", ("file", "server/some/path", "a", None, None, None)),
    ("/some/path:with:colons::a", ("file", "/some/path:with:colons", "a", None, None, None)),
    ("/some/path:with:colons", ("file", "/some/path:with:colons", None, None, None, None)),
    ("/p::a::b", ("file", "/p", "a::b", None, None, None)),
    ("/p::", None),
    ("/p::a/b", None),
    ("::archive", ("file", "/env/repo", "archive", None, None, None)),
    ("::", ("file", "/env/repo", None, None, None, None)),
    ("", ("file", "/env/repo", None, None, None, None)),
    ("::a/b", None),
    ("ssh://user@host:1234/some/path::archive", ("ssh", "/some/path", "archive", "user", "host", 1234)),
    ("ssh://user@host/some/path", ("ssh", "/some/path", None, "user", "host", None)),
    ("ssh://host/some/path::archive", ("ssh", "/some/path", "archive", None, "host", None)),
    ("ssh://host:22/./rel/p::a", ("ssh", "/./rel/p", "a", None, "host", 22)),
    ("ssh://host/~/rel::a", ("ssh", "/~/rel", "a", None, "host", None)),
    ("ssh://host/~user/rel", ("ssh", "/~user/rel", None, None, "host", None)),
    ("ssh://[::1]/p::a", ("ssh", "/p", "a", None, "::1", None)),
    ("ssh://[::1]:22/p", ("ssh", "/p", None, None, "::1", 22)),
    ("ssh://u@[2001:db8::1]/p::a", ("ssh", "/p", "a", "u", "2001:db8::1", None)),
    ("ssh://host", None),
    ("ssh://host::a", None),
    ("ssh://host/p:q::a", ("ssh", "/p:q", "a", None, "host", None)),
    ("user@host:/some/path::archive", ("ssh", "/some/path", "archive", "user", "host", None)),
    ("host:/some/path", ("ssh", "/some/path", None, None, "host", None)),
    ("host:some/path::archive", ("ssh", "some/path", "archive", None, "host", None)),
    ("host:path", ("ssh", "path", None, None, "host", None)),
    ("user@host:~/x::a", ("ssh", "~/x", "a", "user", "host", None)),
    ("host:/./rel", ("ssh", "/./rel", None, None, "host", None)),
    ("host:/~/rel", ("ssh", "/~/rel", None, None, "host", None)),
    ("[::1]:/p::a", ("ssh", "/p", "a", None, "::1", None)),
    ("u@[::1]:p", ("ssh", "p", None, "u", "::1", None)),
    ("host:", ("file", "host:", None, None, None, None)),
    ("host::a", ("file", "host", "a", None, None, None)),
    (":path", None),
    ("//double/slash", None),
    ("/a//b/../c/./d/::x", ("file", "/a/c/d", "x", None, None, None)),
    ("./rel::a", ("file", "rel", "a", None, None, None)),
    ("../rel::a", ("file", "../rel", "a", None, None, None)),
    ("~/x::a", ("file", "~/x", "a", None, None, None)),
    ("a b/c d::e f", ("file", "a b/c d", "e f", None, None, None)),
    ("/p::arch:with:colon", ("file", "/p", "arch:with:colon", None, None, None)),
    ("/p:::a", ("file", "/p", ":a", None, None, None)),
    ("@host:/p", ("ssh", "/p", None, None, "@host", None)),
    ("user@:/p", ("ssh", "/p", None, None, "user@", None)),
    ("/host:/p", ("file", "/host:/p", None, None, None, None)),
    ("C:/x::a", ("ssh", "/x", "a", None, "C", None)),
    ("/x/\ny::a", ("file", "/x/\ny", "a", None, None, None)),
    ("ssh://", None),
    ("/./p", ("file", "/./p", None, None, None, None)),
    ("a/./b", ("file", "a/b", None, None, None, None)),
    (".", ("file", ".", None, None, None, None)),
    ("..", ("file", "..", None, None, None, None)),
]


def parse_with_default(text: str) -> Location | None:
    return parse(text, default_repository=lambda: "/env/repo")


@pytest.mark.parametrize(("text", "expected"), BORG)
def test_a_location_is_read_as_by_borg(text: str, expected: Parts | None) -> None:
    found = parse_with_default(text)
    assert (None if found is None else tuple(found)) == expected


@pytest.mark.parametrize("text", ["sftp://host/p", "file://", "http://host/x::a"])
def test_an_unknown_scheme_is_refused_where_borg_makes_a_directory_of_that_name(text: str) -> None:
    assert parse_with_default(text) is None


@pytest.mark.parametrize("text", ["", "::", "::archive"])
def test_without_a_default_repository_nothing_stands_for_it(text: str) -> None:
    assert parse(text, default_repository=lambda: None) is None


def test_placeholders_are_replaced_in_the_text_and_in_the_default() -> None:
    def replace(text: str) -> str:
        return text.replace("{host}", "alpha")

    assert parse("/r::{host}", default_repository=lambda: None, replace=replace) == Location("file", "/r", "alpha")
    from_default = parse("::{host}", default_repository=lambda: "/{host}", replace=replace)
    assert from_default == Location("file", "/alpha", "alpha")


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("ssh://u@h:22/p::a", "ssh://u@h:22/p"),
        ("h:rel", "ssh://h/./rel"),
        ("h:~/x", "ssh://h/~/x"),
        ("ssh://[::1]:22/./p", "ssh://[::1]:22/./p"),
        ("/a/b::c", "/a/b"),
    ],
)
def test_the_canonical_name_is_a_url_or_an_absolute_path(text: str, canonical: str) -> None:
    location = parse_with_default(text)
    assert location is not None
    assert location.canonical() == canonical


def test_a_relative_path_becomes_absolute_by_the_working_directory() -> None:
    location = parse_with_default("a/../b")
    assert location is not None
    assert location.absolute_path() == os.path.join(os.getcwd(), "b")


@given(st.text(min_size=1), st.text(min_size=1))
def test_an_absolute_path_and_an_archive_name_are_always_told_apart(path: str, name: str) -> None:
    """Any path without two colons in a row, any name without slash and colon."""
    path = "/p" + path.replace(":", "")
    name = name.replace("/", "").replace(":", "") or "x"
    location = parse_with_default(f"{path}::{name}")
    assert location == Location("file", os.path.normpath(path), name)
    assert is_archive_name(name)


@given(st.text())
def test_no_text_makes_the_parser_fail(text: str) -> None:
    location = parse_with_default(text)
    assert location is None or location.path
