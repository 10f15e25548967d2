"""What a session says is read in one form; everything else is a session that nobody knows, and so in the way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bork.repository.session import LENGTH_MAX, UNKNOWN, SessionRecord, decode

RECORD = SessionRecord("compactor", 3, True, "host é", 77, 5)


@given(st.sampled_from(["reader", "writer", "deleter", "compactor", "exclusive"]), st.integers(-1, 9), st.text())
def test_what_is_encoded_is_decoded(role: str, generation: int, host: str) -> None:
    record = SessionRecord(role, generation, host=host)  # type: ignore[arg-type]  # one of them
    if len(record.encode()) <= LENGTH_MAX:
        assert decode(record.encode()) == record


def test_every_prefix_is_unknown() -> None:
    data = RECORD.encode()
    assert {decode(data[:length]) for length in range(len(data))} == {UNKNOWN}


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"[]", b"null", b"[" * 5000, b"\xff", b"{}", RECORD.encode() + b" ", b" " + RECORD.encode()),
        RECORD.encode().replace(b'"version":1', b'"version":2'),
        RECORD.encode().replace(b"compactor", b"janitor"),
        RECORD.encode().replace(b'"generation":3', b'"generation":"3"'),
        RECORD.encode().replace(b'"generation":3', b'"generation":true'),
        RECORD.encode().replace(b'"process":77', b'"process":77,"more":1'),
        RECORD._replace(host="x" * LENGTH_MAX).encode(),
    ],
)
def test_anything_else_is_unknown(data: bytes) -> None:
    assert decode(data) == UNKNOWN


def test_an_unknown_session_has_seen_nothing_and_may_write() -> None:
    assert UNKNOWN._asdict()["generation"] == -1
    assert UNKNOWN.role == "writer"
