"""``--format`` of ``bork list``: what an engine gets, and what is rendered here. Results are those of Borg 1.4.5."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bork.cli import formats
from bork.cli.times import LocalTime
from bork.errors import CommandError
from bork.operations.selection import Key, Text

ITEM = (
    b'{"type": "-", "mode": "hrw-r--r--", "user": "root", "group": "root", "uid": 0, "gid": 0, "path": "d/f", '
    b'"healthy": true, "source": "d/hl", "linktarget": "d/hl", "flags": 0, "mtime": "2026-11-23T08:12:13.751909", '
    b'"isomtime": "2026-11-23T08:12:13.751909", "size": 1234567}\n'
)

# ---- items -------------------------------------------------------------------------------------------------------


def test_the_default_format_is_compiled_into_segments() -> None:
    assert formats.compile_items(formats.ITEMS_DEFAULT).segments == (
        Key("mode"),
        Text(b" "),
        Key("user", "<", 6),
        Text(b" "),
        Key("group", "<", 6),
        Text(b" "),
        Key("size", ">", 8),
        Text(b" "),
        Key("mtime"),
        Text(b" "),
        Key("path"),
        Key("extra"),
        Text(b"\n"),
    )


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("{path}{NL}", (Key("path"), Text(b"\n"))),
        ("{path}{NUL}", (Key("path"), Text(b"\0"))),
        ("{size:<8}|{user:>3}", (Key("size", "<", 8), Text(b"|"), Key("user", ">", 3))),
        ("{{{path}}}", (Text(b"{"), Key("path"), Text(b"}"))),
        ("ä{TAB}", ("ä".encode(), b"\t")),
        ("", ()),
    ],
)
def test_a_format_is_compiled(text: str, segments: tuple[Text | Key | bytes, ...]) -> None:
    expected = tuple(Text(one) if isinstance(one, bytes) else one for one in segments)
    assert formats.compile_items(text) == (expected, False)


@pytest.mark.parametrize("text", ["{foo}", "{archive}", "{path!r}{foo}", "{comment}"])
def test_a_key_that_items_do_not_have_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="there is no key"):
        formats.compile_items(text)


@pytest.mark.parametrize("text", ["{path", "}", "{path:{size}"])
def test_braces_that_do_not_match_are_refused(text: str) -> None:
    with pytest.raises(CommandError, match="--format"):
        formats.compile_items(text)


def test_unknown_keys_are_left_out_of_json_lines_as_in_borg() -> None:
    compiled = formats.compile_items("{xxh64}{path}{linktarget}{target}", json_lines=True)
    assert [segment.key for segment in compiled.segments if isinstance(segment, Key)] == ["xxh64", "path", "linktarget"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "{path:^20}|{size:08}|{mode:.3}|{size:,}|{mtime:%Y}|{path:*>10}{NL}",
            "        d/f         |01234567|hrw|1,234,567|2026|*******d/f\n",
        ),
        ("{mtime:%H:%M}{extra}", "08:12 link to d/hl"),
        ("{path!r}{health:>9}", "'d/f'  healthy"),
        ("{bpath:>5}{NL:>3}", "  d/f  \n"),
    ],
)
def test_what_an_engine_cannot_do_is_rendered_from_its_json_lines(text: str, line: str) -> None:
    compiled = formats.compile_items(text)
    assert compiled.in_python
    assert all(isinstance(segment, Key) for segment in compiled.segments)
    assert formats.ItemText(text)(ITEM * 2).decode() == line * 2


def test_a_spec_that_does_not_fit_its_key_is_refused() -> None:
    with pytest.raises(CommandError, match="--format"):
        formats.ItemText("{path:x}")(ITEM)


@given(st.text(alphabet="{}:<>0189 patheizr!NL.^"))
def test_no_format_gets_more_than_a_refusal(text: str) -> None:
    try:
        compiled = formats.compile_items(text)
        if compiled.in_python:
            formats.ItemText(text)(ITEM)
    except CommandError:
        return
    assert isinstance(compiled, formats.ItemFormat)


# ---- archives ----------------------------------------------------------------------------------------------------

ARCHIVE = {"archive": "a", "id": "3e2b", "time": LocalTime(0), "hostname": "vm"}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (formats.ARCHIVES_DEFAULT, "a                                    Thu, 1970-01-01 00:00:00 [3e2b]\n"),
        (formats.ARCHIVES_SHORT, "a\n"),
        ("{archive:5}|{archive:>5}|{time:%Y}|{hostname}{NUL}", "a    |    a|1970|vm\0"),
    ],
)
def test_a_line_of_an_archive_looks_as_in_borg(text: str, line: str) -> None:
    assert formats.render(text, ARCHIVE) == line


@pytest.mark.parametrize("text", ["{foo}", "{path}"])
def test_a_key_that_archives_do_not_have_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="there is no key"):
        formats.require_known(text, formats.ARCHIVE_KEYS)


def test_a_spec_that_does_not_fit_archives_is_refused() -> None:
    with pytest.raises(CommandError, match="--format"):
        formats.render("{archive:x}", ARCHIVE)


def test_the_help_names_every_key() -> None:
    text = formats.keys_help()
    assert all(f"  {key}" in text for key in (*formats.ARCHIVE_KEYS, *formats.ITEM_KEYS))
