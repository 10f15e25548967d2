"""Inputs out of other inputs: bytes that are changed, moved, cut; and values that are changed and encoded again.

Bytes alone seldom get behind the first check of a decoder; a map in which one value is another one gets everywhere.
"""

from collections.abc import Callable
from random import Random

from bork.protocol.codec import Malformed, Value, decode, encode
from fuzz.protocol import frames

BYTES = (
    b"\0",
    b"\xff",
    b"\x80",
    b"\x90",
    b"\xa0",
    b"\xc0",
    b"\xc2",
    b"\xc4\0",
    b"\xcf" + b"\xff" * 8,
    b"\xdb\xff\xff\xff\xff",
)
NUMBERS: list[Value] = [0, 1, -1, 255, 1 << 31, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, -(1 << 63)]
WORDS: list[Value] = ["", "config", "x" * 100, "packs/ab/" + "ab" * 32, "..", "\0", "é\n", "open", "list", "gc"]
OTHERS: list[Value] = [None, False, True, b"", b"/", b"\xff" * 40, [], {}, [[]], [None], [["config", 0, 1]], {"": None}]
VALUES = NUMBERS + WORDS + OTHERS
LENGTH_MAX = 4096  # bytes


def mutated(random: Random, data: bytes, others: list[bytes], *, framed: int | None) -> bytes:
    """Another input. ``framed``: where the frames begin, or None if there are none."""
    for _ in range(random.choice((1, 1, 1, 2, 3, 5))):
        if framed is None or random.random() < 0.2:
            data = _of_value(random, data) if random.random() < 0.4 else _of_bytes(random, data, others)
        else:
            data = data[:framed] + _of_frames(random, data[framed:], [other[framed:] for other in others])
    return data[:LENGTH_MAX]


def _of_bytes(random: Random, data: bytes, others: list[bytes]) -> bytes:
    at, end = sorted((random.randint(0, len(data)), random.randint(0, len(data))))
    other = random.choice(others)
    cut = random.randint(0, len(other))
    ways: tuple[Callable[[], bytes], ...] = (
        lambda: _flipped(random, data),
        lambda: data[:at] + random.choice(BYTES) + data[at:],
        lambda: data[:at] + random.choice(BYTES) + data[at + 1 :],
        lambda: data[:at] + data[end:],
        lambda: data[:end] + data[at:end] * random.randint(1, 20) + data[end:],
        lambda: data[:at] + other[cut:],
        lambda: data[:at],
        lambda: data[:at] + random.randbytes(random.randint(1, 8)) + data[at:],
    )
    return random.choice(ways)()


def _flipped(random: Random, data: bytes) -> bytes:
    if not data:
        return b"\0"
    at = random.randrange(len(data))
    return data[:at] + bytes((data[at] ^ 1 << random.randrange(8),)) + data[at + 1 :]


def _of_frames(random: Random, data: bytes, others: list[bytes]) -> bytes:
    """One message changed, left out, twice, or one of another input."""
    parts = list(frames.split(data)) or [(b"", b"")]
    at = random.randrange(len(parts))
    body, more = parts[at]
    match random.randrange(10):
        case 0:
            parts[at] = (_of_bytes(random, body, [body]), more)
        case 1:
            parts[at] = (body, _of_bytes(random, more, [more]))
        case 2:
            del parts[at]
        case 3:
            parts.insert(at, random.choice(parts))
        case 4:
            parts[at:at] = list(frames.split(random.choice(others)))[:3]
        case _:
            parts[at] = (_of_value(random, body), more)
    return frames.join((body[:1000], more[:255]) for body, more in parts)


def _of_value(random: Random, data: bytes) -> bytes:
    """The same value with something in it changed; what is before the value stays. Bytes, where there is none."""
    for start in (0, 4, 5):
        try:
            value = decode(data[start:])
        except Malformed:
            continue
        try:
            return data[:start] + encode(_changed(random, value))
        except ValueError:
            break
    return _flipped(random, data)


def _changed(random: Random, value: Value) -> Value:
    if isinstance(value, dict) and value and random.random() < 0.9:
        key = random.choice([*value])
        chance = random.randrange(8)
        if chance == 0:
            return {name: each for name, each in value.items() if name != key}
        if chance == 1:
            return {**value, random.choice(("", "x", "verb", "more", "error", "data")): random.choice(VALUES)}
        return {**value, key: _changed(random, value[key])}
    if isinstance(value, list) and value and random.random() < 0.8:
        at = random.randrange(len(value))
        chance = random.randrange(4)
        if chance == 0:
            return value[:at] + value[at + 1 :]
        if chance == 1:
            return value[:at] + [value[at]] * random.randint(2, 30) + value[at:]
        return [*value[:at], _changed(random, value[at]), *value[at + 1 :]]
    if isinstance(value, int) and random.random() < 0.5:
        return value + random.choice((-1, 1))
    return random.choice(VALUES)
