"""The codec: one encoding for each value, and no other bytes are read."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bork.protocol.codec import DEPTH_MAX, Malformed, Value, decode, encode

VECTORS: dict[str, Any] = json.loads((Path(__file__).resolve().parents[2] / "vectors" / "protocol.json").read_text())

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.text(st.characters(codec="utf-8"), max_size=300)
    | st.binary(max_size=300)
)


def nested(depth: int) -> st.SearchStrategy[Value]:
    if depth == 0:
        return SCALARS
    inner = nested(depth - 1)
    return inner | st.lists(inner, max_size=20) | st.dictionaries(st.text("abcz~é", max_size=4), inner, max_size=20)


def revived(value: Any) -> Value:  # noqa: ANN401  # whatever JSON holds
    """JSON has no byte strings: they are ``{"hex": "..."}`` there."""
    if isinstance(value, dict):
        if value.keys() == {"hex"}:
            return bytes.fromhex(value["hex"])
        return {key: revived(each) for key, each in value.items()}
    if isinstance(value, list):
        return [revived(each) for each in value]
    assert value is None or isinstance(value, bool | int | str)
    return value


@given(nested(2))
def test_what_was_encoded_is_decoded(value: Value) -> None:
    again = decode(encode(value))
    assert again == value
    assert encode(again) == encode(value)


@given(st.binary(max_size=40))
def test_bytes_that_are_read_are_the_encoding_of_what_was_read(data: bytes) -> None:
    try:
        value = decode(data)
    except Malformed:
        return
    assert encode(value) == data


@pytest.mark.parametrize("vector", VECTORS["values"], ids=lambda vector: vector["encoded"][:24])
def test_the_vectors_are_encoded_and_decoded(vector: dict[str, Any]) -> None:
    value = revived(vector["value"])
    assert encode(value).hex() == vector["encoded"]
    assert decode(bytes.fromhex(vector["encoded"])) == value


@pytest.mark.parametrize("vector", VECTORS["values"], ids=lambda vector: vector["encoded"][:24])
def test_every_prefix_of_a_value_is_malformed(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["encoded"])
    for length in range(len(data)):
        with pytest.raises(Malformed):
            decode(data[:length])


@pytest.mark.parametrize("vector", VECTORS["values"], ids=lambda vector: vector["encoded"][:24])
def test_a_flipped_bit_is_another_value_or_malformed(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["encoded"])
    value = decode(data)
    for bit in range(8 * min(len(data), 40)):  # text and bytes are alike behind that
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            other = decode(bytes(flipped))
        except Malformed:
            continue
        assert encode(other) == flipped
        assert json.dumps(other, default=repr) != json.dumps(value, default=repr)


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda vector: vector["why"])
def test_other_forms_are_refused(vector: dict[str, str]) -> None:
    with pytest.raises(Malformed):
        decode(bytes.fromhex(vector["encoded"]))


def test_values_nested_deeper_than_needed_are_refused() -> None:
    assert decode(b"\x91" * (DEPTH_MAX - 1) + b"\xc0") is not None
    with pytest.raises(Malformed, match="nested"):
        decode(b"\x91" * DEPTH_MAX + b"\xc0")
    with pytest.raises(Malformed, match="nested"):
        decode(b"\x91" * 100_000 + b"\xc0")


@pytest.mark.parametrize("head", ["dd7fffffff", "df7fffffff", "dbffffffff", "c6ffffffff", "ddffffffff"])
def test_a_count_that_cannot_be_is_refused_before_anything_is_made(head: str) -> None:
    with pytest.raises(Malformed):
        decode(bytes.fromhex(head) + bytes(100))


@pytest.mark.parametrize("value", [1 << 64, -(1 << 63) - 1])
def test_numbers_of_more_than_64_bits_have_no_encoding(value: int) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        encode(value)
