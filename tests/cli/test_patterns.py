"""Patterns of the command line and of pattern files, on their way into a plan."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bork.cli.patterns import STYLES, Rules, split_style
from bork.errors import PatternInvalid

Triple = tuple[str, str, bytes]


def added(*commands: str) -> list[Triple]:
    rules = Rules()
    for command in commands:
        rules.add(command)
    return [(pattern.action, pattern.style, pattern.text) for pattern in rules.patterns]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*.o", ("!", "fm", b"*.o")),
        ("sh:**/x", ("!", "sh", b"**/x")),
        ("re:^home/", ("!", "re", b"^home/")),
        ("pp:a/b", ("!", "pp", b"a/b")),
        ("pf:/a/b", ("!", "pf", b"/a/b")),
        ("a:b", ("!", "fm", b"a:b")),
        ("abc:d", ("!", "fm", b"abc:d")),
        ("/:x", ("!", "fm", b"/:x")),
        ("", ("!", "fm", b"")),
        ("re:(?s:a/b)$|(?s:a/b/.*)$", ("!", "re", b"(?s:a/b)$|(?s:a/b/.*)$")),
    ],
)
def test_an_exclude_is_not_even_looked_into(text: str, expected: Triple) -> None:
    rules = Rules()
    rules.exclude(text)
    assert [tuple(pattern) for pattern in rules.patterns] == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("+ a/b", ("+", "sh", b"a/b")),
        ("+a/b", ("+", "sh", b"a/b")),
        ("- fm:*.o", ("-", "fm", b"*.o")),
        ("!re:^proc", ("!", "re", b"^proc")),
        ("-   x y", ("-", "sh", b"x y")),
    ],
)
def test_a_pattern_command_names_what_is_done(text: str, expected: Triple) -> None:
    assert added(text) == [expected]


@pytest.mark.parametrize(
    "text", ["", "x", "+", "- ", "P", "P xx", "R", "xx:x", "+ xx:x", "- re:(", "! re:[", "* a", "#a"]
)
def test_what_is_no_pattern_command_is_refused_with_the_pattern_in_the_message(text: str) -> None:
    with pytest.raises(PatternInvalid, match="Invalid pattern") as caught:
        added(text)
    assert text.strip() in str(caught.value) or text[2:] in str(caught.value)


@pytest.mark.parametrize("text", ["xx:foo", "re:("])
def test_an_exclude_of_an_unknown_style_is_refused(text: str) -> None:
    with pytest.raises(PatternInvalid):
        Rules().exclude(text)


def test_a_root_in_a_pattern_is_a_root() -> None:
    rules = Rules()
    rules.add("R /home/user")
    rules.add("r relative/./path")
    assert (rules.roots, rules.patterns) == (["/home/user", "relative/./path"], [])


def test_a_pattern_file_is_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "rules"
    path.write_text(
        "# a comment\n\n  \nR /\n  R /etc\nP fm\n- *.o\nP re\n+ ^etc/\n! pp:proc\n\t- re:^x \nP sh\n- home/*\n"
    )
    rules = Rules()
    rules.add_from(str(path))
    assert rules.roots == ["/", "/etc"]
    assert [tuple(pattern) for pattern in rules.patterns] == [
        ("-", "fm", b"*.o"),
        ("+", "re", b"^etc/"),
        ("!", "pp", b"proc"),
        ("-", "re", b"^x"),
        ("-", "sh", b"home/*"),
    ]


def test_the_style_of_one_file_is_forgotten_at_its_end(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    first.write_text("P re\n- a\n")
    second.write_text("- b\n")
    rules = Rules()
    rules.add_from(str(first))
    rules.add_from(str(second))
    assert [pattern.style for pattern in rules.patterns] == ["re", "sh"]


def test_an_exclude_file_has_one_pattern_a_line(tmp_path: Path) -> None:
    path = tmp_path / "excludes"
    path.write_text("# Comment line\nhome/*/junk\n*.tmp\nfm:aa:something/*\nre:^home/[^/]+\\.tmp/\nfile with spaces\n")
    rules = Rules()
    rules.exclude_from(str(path))
    assert [tuple(pattern) for pattern in rules.patterns] == [
        ("!", "fm", b"home/*/junk"),
        ("!", "fm", b"*.tmp"),
        ("!", "fm", b"aa:something/*"),
        ("!", "re", b"^home/[^/]+\\.tmp/"),
        ("!", "fm", b"file with spaces"),
    ]


@pytest.mark.parametrize("name", ["add_from", "exclude_from"])
def test_a_file_that_is_not_there_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(PatternInvalid, match="nofile: No such file or directory"):
        getattr(Rules(), name)(str(tmp_path / "nofile"))


def test_bytes_that_are_no_text_survive_a_pattern_file(tmp_path: Path) -> None:
    path = tmp_path / "rules"
    path.write_bytes(b"- \xff\xfe\n")
    rules = Rules()
    rules.add_from(str(path))
    assert rules.patterns[0].text == b"\xff\xfe"


def test_path_arguments_are_path_prefixes_unless_they_say_otherwise() -> None:
    assert [tuple(one) for one in Rules().path_arguments(["/home/user", "sh:**/x", "re:y"])] == [
        ("pp", b"/home/user"),
        ("sh", b"**/x"),
        ("re", b"y"),
    ]


def test_a_root_counts_as_a_path_argument() -> None:
    rules = Rules()
    rules.add("R /etc")
    rules.add("R sh:home/*")
    assert [tuple(one) for one in rules.path_arguments(["srv"])] == [("pp", b"/etc"), ("sh", b"home/*"), ("pp", b"srv")]


@given(st.sampled_from(STYLES[:2] + STYLES[3:]), st.text())
def test_a_named_style_is_always_split_off(style: str, text: str) -> None:
    assert split_style(f"{style}:{text}", "fm") == (style, text)


@given(st.binary().filter(lambda data: b"\r" not in data))
def test_no_pattern_file_gets_more_than_a_refusal(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("patterns") / "rules"
    path.write_bytes(data)
    rules = Rules()
    try:
        rules.add_from(str(path))
    except PatternInvalid:
        return
    assert all(pattern.style in STYLES and isinstance(pattern.text, bytes) for pattern in rules.patterns)


@given(st.lists(st.text(alphabet="ab*?[]/ :.", min_size=1).map(str.strip).filter(bool)))
def test_every_line_of_a_file_becomes_one_pattern(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    lines = [f"/{line}" for line in lines]  # so that no style is named
    path = tmp_path_factory.mktemp("patterns") / "rules"
    path.write_text("".join(f"- {line}\n" for line in lines))
    rules = Rules()
    rules.add_from(str(path))
    assert [os.fsdecode(pattern.text) for pattern in rules.patterns] == lines
