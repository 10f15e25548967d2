"""The head of an archive: what is accepted is exactly what is written."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bork.archive.head import ArchiveHead, ArchiveStats, decode
from bork.errors import BorkError, IntegrityError, UnsupportedFormat

HEAD = ArchiveHead(
    name="monday",
    root=bytes(range(32)),
    chunker=("gear", 19, 23, 21),
    hostname="host",
    username="user",
    cwd="/home/user",
    comment="",
    command_line=("bork", "create", "repo::monday", "/home"),
    time_ns=-1,
    start_ns=1_700_000_000_000_000_000,
    end_ns=1_700_000_001_000_000_000,
    roots=(b"/home", b"/\xff"),
    stats=ArchiveStats(items=3, files=2, chunks=5, original_size=100, compressed_size=50, deduplicated_size=25),
    sequence=7,
    ledger=bytes(32),
)

text = st.text(st.characters(exclude_categories=[]))  # lone surrogates included: arguments that are not UTF-8
times = st.integers(-(1 << 63), (1 << 63) - 1)
counts = st.integers(0, (1 << 63) - 1)
digests = st.binary(min_size=32, max_size=32)
heads = st.builds(
    ArchiveHead,
    name=text,
    root=digests,
    chunker=st.sampled_from([("gear", 19, 23, 21), ("fixed", 4096, 0)]),
    hostname=text,
    username=text,
    cwd=text,
    comment=text,
    command_line=st.lists(text).map(tuple),
    time_ns=times,
    start_ns=times,
    end_ns=times,
    roots=st.lists(st.binary()).map(tuple),
    stats=st.builds(ArchiveStats, *[counts] * len(ArchiveStats._fields)),
    sequence=counts,
    ledger=digests,
    session=st.none() | text,
    generation=counts,
)


@given(heads)
def test_what_is_written_is_read(head: ArchiveHead) -> None:
    assert decode(head.encode(), "here") == head


def test_the_form_is_sorted_compact_ascii() -> None:
    data = HEAD.encode()
    assert data.isascii()
    assert data == json.dumps(json.loads(data), sort_keys=True, separators=(",", ":")).encode()


def changed(**values: object) -> bytes:
    """The head with some fields set to something else; ``...`` takes one away."""
    content = json.loads(HEAD.encode()) | values
    content = {name: value for name, value in content.items() if value is not ...}
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def test_a_newer_version_is_named_as_such() -> None:
    with pytest.raises(UnsupportedFormat, match="version 2"):
        decode(changed(version=2, something="new"), "here")


@pytest.mark.parametrize("version", [0, -1, 1.0, True, "1", None, ...])
def test_no_other_version_is_read(version: object) -> None:
    with pytest.raises(IntegrityError, match="here"):
        decode(changed(version=version), "here")


@pytest.mark.parametrize("name", sorted(json.loads(HEAD.encode())))
@pytest.mark.parametrize("value", [..., {}, [{}], 1.5, True, "\u00e9", "a\ud800", 1 << 63, -1, [[]], "zz" * 32])
def test_no_field_may_be_missing_or_of_another_kind(name: str, value: object) -> None:
    fits = (name in ("time_ns", "start_ns", "end_ns") and value == -1) or (
        name in ("name", "hostname", "username", "cwd", "comment", "session")
        and isinstance(value, str)
        and value != "a\ud800"  # a surrogate that stands for no byte
    )
    if not fits:
        with pytest.raises(BorkError):
            decode(changed(**{name: value}), "here")


@pytest.mark.parametrize("stats", [{"more": 1}, {"items": ...}, {"items": -1}, {"items": "1"}])
def test_the_numbers_are_read_as_strictly(stats: dict[str, Any]) -> None:
    content = json.loads(HEAD.encode())["stats"] | stats
    content = {name: value for name, value in content.items() if value is not ...}
    with pytest.raises(IntegrityError):
        decode(changed(stats=content), "here")


@pytest.mark.parametrize(
    "chunker",
    [[], ["gear"], ["gear", 1, 2], ["fixed", 1, 2, 3], ["other", 1, 2, 3], ["gear", 1, 2, "3"], ["fixed", 64, True]],
)
def test_an_unknown_chunker_is_refused(chunker: list[object]) -> None:
    with pytest.raises(IntegrityError):
        decode(changed(chunker=chunker), "here")


def test_an_unknown_field_is_refused_by_name() -> None:
    with pytest.raises(IntegrityError, match="surprise"):
        decode(changed(surprise=1), "here")


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data + b" ",
        lambda data: data.replace(b",", b", ", 1),
        lambda data: b'{"name":"other",' + data[1:],
        lambda data: data.replace(b"monday", b"m\\u006fnday"),
        lambda data: data.replace(b"0001020304", b"00010203 04"),
        lambda data: data.replace(b"0a0b0c", b"0A0B0C"),
        lambda _: b"[" * 100_000,
    ],
)
def test_no_other_spelling_of_the_same_head_is_accepted(change: Callable[[bytes], bytes]) -> None:
    data = change(HEAD.encode())
    assert data != HEAD.encode()
    with pytest.raises(IntegrityError):
        decode(data, "here")


def test_every_prefix_is_refused() -> None:
    data = HEAD.encode()
    for length in range(len(data)):
        with pytest.raises(IntegrityError):
            decode(data[:length], "here")


def test_a_head_of_impossible_length_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(IntegrityError, match="at most"):
        decode(b" " * (17 << 20), "here")


def test_reserved_fields_have_their_place() -> None:
    assert decode(HEAD._replace(session="s", generation=3).encode(), "here").generation == 3
