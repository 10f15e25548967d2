"""Placeholders mean what they mean in Borg."""

import os
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bork
from bork.cli.environment import Environment
from bork.cli.placeholders import NAMES, Placeholders, replace
from bork.errors import InvalidPlaceholder, PlaceholderError

MOMENT = datetime(2026, 11, 23, 8, 12, 14, 123456, tzinfo=UTC)
VALUES = Placeholders(Environment({"BORG_HOSTNAME": "alpha", "BORG_USERNAME": "ann"}), MOMENT)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("{hostname}-{user}", "alpha-ann"),
        ("{utcnow}", "2026-11-23T08:12:14"),
        ("{utcnow:%Y-%m-%d_%H:%M:%S}", "2026-11-23_08:12:14"),
        ("{unixtime}", "1795421534"),
        ("{{{hostname}}}", "{alpha}"),
        ("{{literal}}", "{literal}"),
        ("{hostname:>8}|", "   alpha|"),
        ("{borgversion} {borgmajor} {borgminor} {borgpatch}", "1.4.99 1 1.4 1.4.99"),
        ("/r::{utcnow:%H!%M}", "/r::08!12"),
    ],
)
def test_placeholders_are_replaced(text: str, expected: str) -> None:
    assert replace(text, VALUES) == expected


def test_the_process_id_is_that_of_this_process() -> None:
    assert replace("{pid}", VALUES) == str(os.getpid())


def test_now_is_local() -> None:
    assert replace("{now}", VALUES) == MOMENT.astimezone(None).strftime("%Y-%m-%dT%H:%M:%S")


def test_the_own_variable_wins_over_that_of_borg() -> None:
    environment = Environment({"BORG_HOSTNAME": "alpha", "BORK_HOSTNAME": "beta"})
    assert replace("{hostname}", Placeholders(environment)) == "beta"


def test_the_host_name_is_short() -> None:
    assert "." not in str(replace("{hostname}", Placeholders(Environment({}))))


@pytest.mark.parametrize("text", ["r::a{foo}", "{hostname!r}", "{}", "{0}", "{now.year}", "{now[0]}", "a{Hostname}"])
def test_an_unknown_placeholder_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidPlaceholder) as caught:
        replace(text, VALUES)
    assert str(caught.value).startswith('Invalid placeholder "')
    assert caught.value.exit_code == 6


@pytest.mark.parametrize("text", ["r::a{now:%Y", "}", "{", "{pid:x%}", "{pid:{now}"])
def test_braces_that_do_not_match_are_refused(text: str) -> None:
    with pytest.raises(PlaceholderError) as caught:
        replace(text, VALUES)
    assert text in str(caught.value)


def test_every_name_has_a_value() -> None:
    assert set(VALUES) == set(NAMES)
    assert all(f"{VALUES[name]}" for name in NAMES if name not in ("fqdn", "reverse-fqdn"))


def test_the_version_begins_as_that_of_borg() -> None:
    assert bork.BORG_VERSION.startswith("1.4.")


@given(st.text())
def test_text_with_doubled_braces_comes_out_as_it_was(text: str) -> None:
    assert replace(text.replace("{", "{{").replace("}", "}}"), VALUES) == text


@given(st.text(alphabet="{}:!.[]0abhostnmeu%Y "))
def test_no_text_gets_more_than_a_refusal(text: str) -> None:
    try:
        replaced = replace(text, VALUES)
    except PlaceholderError:
        return
    assert isinstance(replaced, str)
