"""MessagePack, the canonical subset of docs/format/item.md: integers, binary strings, arrays, maps of fields."""

from itertools import pairwise
from typing import TypeAlias

from tests.reference.binary import Refused

Value: TypeAlias = "int | bytes | list[Value] | dict[int, Value]"

_DEPTH_MAX = 3  # a map of fields, an array in it, and what the array holds


def encode(value: Value) -> bytes:
    """The one encoding of a value."""
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, bytes):
        return _sized(len(value), ((0xC4, 1), (0xC5, 2), (0xC6, 4))) + value
    count, small, wide = len(value), 0x80 if isinstance(value, dict) else 0x90, ((0xDC, 2), (0xDD, 4))
    if isinstance(value, dict):
        wide, parts = ((0xDE, 2), (0xDF, 4)), [part for pair in value.items() for part in pair]
    else:
        parts = value
    start = bytes([small | count]) if count < 16 else _sized(count, wide)
    return start + b"".join(map(encode, parts))


def _integer(value: int) -> bytes:
    if -32 <= value < 128:
        return value.to_bytes(1, "big", signed=value < 0)
    tags, signed = ((0xCC, 0xCD, 0xCE, 0xCF), False) if value >= 0 else ((0xD0, 0xD1, 0xD2, 0xD3), True)
    for tag, length in zip(tags, (1, 2, 4, 8), strict=True):
        if -(1 << 8 * length - 1) <= value < 1 << 8 * length - signed:
            return bytes([tag]) + value.to_bytes(length, "big", signed=signed)
    raise ValueError(f"{value} has more than 64 bits")


def _sized(length: int, forms: tuple[tuple[int, int], ...]) -> bytes:
    tag, width = next(form for form in forms if length < 1 << 8 * form[1])
    return bytes([tag]) + length.to_bytes(width, "big")


def decode(data: bytes) -> Value:
    """The value of some bytes. Forms longer than needed are refused: the value must encode to the same bytes."""
    try:
        value, end = _value(data, 0, _DEPTH_MAX)
    except IndexError:
        raise Refused("item: it is truncated") from None
    if end != len(data) or encode(value) != data:
        raise Refused("item: it is not in its canonical form")
    return value


def _value(data: bytes, at: int, depth: int) -> tuple[Value, int]:
    tag = data[at]
    at += 1
    if tag <= 0x7F or tag >= 0xE0:
        return (tag if tag <= 0x7F else tag - 256), at
    if 0x80 <= tag <= 0x9F:
        return _collection(data, at, tag & 0x0F, tag < 0x90, depth)
    width = _WIDTHS.get(tag)
    if width is None:
        raise Refused(f"item: MessagePack tag {tag:#04x} is not in the subset")
    if at + width > len(data):
        raise IndexError
    number = int.from_bytes(data[at : at + width], "big", signed=0xD0 <= tag <= 0xD3)
    at += width
    if tag >= 0xDC:
        return _collection(data, at, number, tag >= 0xDE, depth)
    if tag >= 0xCC:
        return number, at
    if at + number > len(data):
        raise IndexError
    return data[at : at + number], at + number


_BINARIES = {0xC4: 1, 0xC5: 2, 0xC6: 4}
_INTEGERS = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
_COLLECTIONS = {0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4}
_WIDTHS = _BINARIES | _INTEGERS | _COLLECTIONS  # bytes of the number behind a tag


def _collection(data: bytes, at: int, count: int, is_map: bool, depth: int) -> tuple[Value, int]:
    if depth == 0 or count > len(data) - at:  # each value takes a byte at least
        raise Refused("item: it is truncated, or nested too deeply")
    values: list[Value] = []
    for _ in range(count * 2 if is_map else count):
        value, at = _value(data, at, depth - 1)
        values.append(value)
    if not is_map:
        return values, at
    keys = [key for key in values[::2] if isinstance(key, int)]
    if len(keys) != count or any(one >= other for one, other in pairwise(keys)):
        raise Refused("item: the keys of a map are not ascending integers")
    return dict(zip(keys, values[1::2], strict=True)), at
