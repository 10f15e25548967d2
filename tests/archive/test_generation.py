"""A generation is read in exactly the form in which it is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bork.archive.generation import Generation, decode
from bork.errors import IntegrityError, UnsupportedFormat
from bork.repository.layout import HeadId, PackId, SessionId

ID = st.binary(min_size=32, max_size=32)
NUMBER = 7
FULL = Generation(
    NUMBER,
    {PackId(b"p" * 32): 3, PackId(b"q" * 32): 7},
    frozenset({SessionId(b"s" * 32)}),
    frozenset({HeadId(b"h" * 32)}),
)


@given(
    condemned=st.dictionaries(ID.map(PackId), st.integers(1, NUMBER), max_size=5),
    fenced=st.frozensets(ID.map(SessionId), max_size=4),
    honoured=st.frozensets(ID.map(HeadId), max_size=4),
)
def test_what_is_encoded_is_decoded(
    condemned: dict[PackId, int], fenced: frozenset[SessionId], honoured: frozenset[HeadId]
) -> None:
    generation = Generation(NUMBER, condemned, fenced, honoured)
    assert decode(NUMBER, generation.encode()) == generation


def test_every_prefix_is_refused() -> None:
    data = FULL.encode()
    for length in range(len(data)):
        with pytest.raises(IntegrityError):
            decode(NUMBER, data[:length])


def test_bytes_behind_the_end_are_refused() -> None:
    with pytest.raises(IntegrityError):
        decode(NUMBER, FULL.encode() + b"\0")


def test_a_newer_version_is_named() -> None:
    data = bytearray(FULL.encode())
    data[8] += 1
    with pytest.raises(UnsupportedFormat):
        decode(NUMBER, bytes(data))


@pytest.mark.parametrize("first", [0, NUMBER + 1])
def test_a_pack_cannot_be_condemned_before_the_beginning_or_later_than_now(first: int) -> None:
    with pytest.raises(IntegrityError, match="canonical"):
        decode(NUMBER, Generation(NUMBER, {PackId(bytes(32)): first}).encode())


def test_records_in_another_order_or_twice_are_refused() -> None:
    data = FULL.encode()
    one, two = data[32:72], data[72:112]
    for records in (two + one, one + one):
        with pytest.raises(IntegrityError, match="canonical"):
            decode(NUMBER, data[:32] + records + data[112:])
