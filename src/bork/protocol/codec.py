"""MessagePack, in the one subset that the protocol uses: each value has exactly one encoding, and no other is read.

None, booleans, integers of 64 bits, text (UTF-8), byte strings, arrays, and maps whose keys are text in ascending order
of their bytes. No floats, no extensions. See docs/protocol.md.
"""

from __future__ import annotations

from typing import TypeAlias

Value: TypeAlias = "bool | int | str | bytes | list[Value] | dict[str, Value] | None"

DEPTH_MAX = 5  # a map in an array in an array in a map, and what it holds
_INTEGER_TAGS = ((0xCC, 1, False), (0xCD, 2, False), (0xCE, 4, False), (0xCF, 8, False))
_NEGATIVE_TAGS = ((0xD0, 1, True), (0xD1, 2, True), (0xD2, 4, True), (0xD3, 8, True))
_TEXT_TAGS = ((0xD9, 1), (0xDA, 2), (0xDB, 4))
_BYTES_TAGS = ((0xC4, 1), (0xC5, 2), (0xC6, 4))
_ARRAY_TAGS = ((0xDC, 2), (0xDD, 4))
_MAP_TAGS = ((0xDE, 2), (0xDF, 4))


class Malformed(Exception):
    """Bytes that are no message. The text completes "... sent something that is no message: "."""


def encode(value: Value) -> bytes:
    """The one encoding of ``value``. Raises: ValueError, for what has none."""
    out: list[bytes] = []
    _encode(value, out)
    return b"".join(out)


def _encode(value: Value, out: list[bytes]) -> None:
    match value:
        case None:
            out.append(b"\xc0")
        case bool():
            out.append(b"\xc3" if value else b"\xc2")
        case int():
            out.append(_integer(value))
        case str():
            data = value.encode("utf-8")
            out += (_head(len(data), 0xA0, 32, _TEXT_TAGS), data)
        case bytes():
            out += (_head(len(value), 0, 0, _BYTES_TAGS), value)
        case list():
            out.append(_head(len(value), 0x90, 16, _ARRAY_TAGS))
            for each in value:
                _encode(each, out)
        case dict():
            out.append(_head(len(value), 0x80, 16, _MAP_TAGS))
            for key in sorted(value, key=lambda key: key.encode("utf-8")):
                _encode(key, out)
                _encode(value[key], out)


def _integer(value: int) -> bytes:
    if -32 <= value < 128:
        return value.to_bytes(1, "big", signed=value < 0)
    for tag, length, signed in _INTEGER_TAGS if value >= 0 else _NEGATIVE_TAGS:
        if -(1 << 8 * length - 1) <= value < 1 << 8 * length - signed:
            return bytes((tag,)) + value.to_bytes(length, "big", signed=signed)
    raise ValueError(f"{value} has more than 64 bits")


def _head(length: int, short: int, short_end: int, tags: tuple[tuple[int, int], ...]) -> bytes:
    if length < short_end:
        return bytes((short | length,))
    tag, width = next(each for each in tags if length < 1 << 8 * each[1])
    return bytes((tag,)) + length.to_bytes(width, "big")


def decode(data: bytes) -> Value:
    """The value that ``data`` is the encoding of. Memory: bounded by ``len(data)``, whatever it claims.

    Raises: Malformed.
    """
    reader = _Reader(data)
    value = reader.value(DEPTH_MAX)
    if reader.at != len(data):
        raise Malformed("bytes behind the end of a value")
    return value


class _Reader:
    """Reads one value after the other from ``at`` on."""

    __slots__ = ("_data", "at")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def value(self, depth: int) -> Value:
        tag = self._byte()
        if tag < 0x80:
            return tag
        if tag >= 0xE0:
            return tag - 256
        if tag in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[tag]
        for known, length, signed in _INTEGER_TAGS + _NEGATIVE_TAGS:
            if tag == known:
                return self._integer(length, signed=signed)
        return self._counted(tag, depth)

    def _counted(self, tag: int, depth: int) -> Value:
        if 0xA0 <= tag < 0xC0:
            return self._text(tag & 0x1F)
        if tag & 0xF0 == 0x90:
            return self._array(tag & 0x0F, depth)
        if tag & 0xF0 == 0x80:
            return self._map(tag & 0x0F, depth)
        for tags, short_end in ((_TEXT_TAGS, 32), (_BYTES_TAGS, 0), (_ARRAY_TAGS, 16), (_MAP_TAGS, 16)):
            for place, (known, width) in enumerate(tags):
                if tag == known:
                    length = self._number(width)
                    if length < short_end or (place and length < 1 << 8 * tags[place - 1][1]):
                        raise Malformed("a length in a longer form than needed")
                    return self._long(tags, length, depth)
        raise Malformed(f"the type 0x{tag:02x}")

    def _long(self, tags: tuple[tuple[int, int], ...], length: int, depth: int) -> Value:
        if tags is _TEXT_TAGS:
            return self._text(length)
        if tags is _BYTES_TAGS:
            return self._take(length)
        return self._array(length, depth) if tags is _ARRAY_TAGS else self._map(length, depth)

    def _integer(self, length: int, *, signed: bool) -> int:
        value = int.from_bytes(self._take(length), "big", signed=signed)
        if signed and value >= 0:
            raise Malformed("a positive number in the form of a negative one")
        if len(_integer(value)) != length + 1:
            raise Malformed("a number in a longer form than needed")
        return value

    def _text(self, length: int) -> str:
        try:
            return self._take(length).decode("utf-8")
        except UnicodeDecodeError:
            raise Malformed("text that is not UTF-8") from None

    def _array(self, count: int, depth: int) -> list[Value]:
        self._check(count, depth)
        return [self.value(depth - 1) for _ in range(count)]

    def _map(self, count: int, depth: int) -> dict[str, Value]:
        self._check(2 * count, depth)
        values: dict[str, Value] = {}
        last = b""
        for number in range(count):
            key = self.value(depth - 1)
            if not isinstance(key, str):
                raise Malformed("a key that is not text")
            data = key.encode("utf-8")
            if number and data <= last:
                raise Malformed("keys that are not in ascending order")
            last = data
            values[key] = self.value(depth - 1)
        return values

    def _check(self, count: int, depth: int) -> None:
        if depth <= 1:
            raise Malformed("values nested too deeply")
        if count > len(self._data) - self.at:  # every value takes a byte at least
            raise Malformed("more values than bytes")

    def _byte(self) -> int:
        if self.at >= len(self._data):
            raise Malformed("a value that is not whole")
        self.at += 1
        return self._data[self.at - 1]

    def _number(self, width: int) -> int:
        return int.from_bytes(self._take(width), "big")

    def _take(self, length: int) -> bytes:
        if length > len(self._data) - self.at:
            raise Malformed("a value that is not whole")
        self.at += length
        return self._data[self.at - length : self.at]
