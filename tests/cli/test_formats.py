"""``--format`` of ``bork list``: what an engine gets, and what is rendered here. Results are those of Borg 1.4.5."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bork.cli import formats
from bork.cli.times import LocalTime
from bork.errors import CommandError

# ---- items -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        formats.ITEMS_DEFAULT,
        formats.ITEMS_SHORT,
        "{path}{NUL}",
        "{path:^20}|{size:08}|{mode:.3}|{size:,}|{mtime:%Y}|{path:*>10}{NL}",
        "{{{path}}}",
        "",
    ],
)
def test_a_format_of_items_reaches_the_engine_as_it_is(text: str) -> None:
    assert formats.for_items(text) == text


@pytest.mark.parametrize("text", ["{foo}", "{archive}", "{path!r}{foo}", "{comment}", "{}"])
def test_a_key_that_items_do_not_have_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="there is no key"):
        formats.for_items(text)


@pytest.mark.parametrize("text", ["{path!r}", "{size!s:>8}"])
def test_a_conversion_of_an_item_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match=r"![rs] behind (path|size) works for archives, not for items"):
        formats.for_items(text)


@pytest.mark.parametrize("text", ["{path", "}", "{path:{size}"])
def test_braces_that_do_not_match_are_refused(text: str) -> None:
    with pytest.raises(CommandError, match="--format"):
        formats.for_items(text)


def test_only_known_keys_count_for_json_lines_as_in_borg() -> None:
    text = "{xxh64:>20}{path}, {linktarget}{target}{NL}"
    assert formats.for_items(text, json_lines=True) == "{linktarget}{path}{xxh64}"


@given(st.text(alphabet="{}:<>0189 patheizr!NL.^"))
def test_no_format_gets_more_than_a_refusal(text: str) -> None:
    try:
        assert formats.for_items(text) == text
    except CommandError:
        return


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
