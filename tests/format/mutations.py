"""Inputs for decoders that are nearly right: what is valid with some bytes changed, and values of other types."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

# What a program may write where something else belongs.
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.integers(-1, 70),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def changed_bytes(draw: st.DrawFn, valid: Sequence[bytes]) -> bytes:
    """One of ``valid`` with up to four changes: a bit, a byte, a part lost, repeated, or taken from another one."""
    data = bytearray(draw(st.sampled_from(valid)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        end = draw(st.integers(at, min(len(data), at + 40)))
        match draw(st.sampled_from(("bit", "byte", "lose", "repeat", "foreign", "cut"))):
            case "bit" if at < len(data):
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "byte" if at < len(data):
                data[at] = draw(st.integers(0, 255))
            case "lose":
                del data[at:end]
            case "repeat":
                data[at:at] = data[at:end]
            case "foreign":
                other = draw(st.sampled_from(valid))
                data[at:end] = other[at:end]
            case "cut":
                del data[at:]
            case _:
                pass
    return bytes(data)


@st.composite
def changed_json(draw: st.DrawFn, valid: Sequence[bytes]) -> bytes:
    """One of ``valid`` with a value of another kind somewhere, in canonical form: only its meaning can be refused."""
    values = json.loads(draw(st.sampled_from(valid)))
    for _ in range(draw(st.integers(1, 2))):
        place, key = draw(st.sampled_from(places(values)))
        match draw(st.sampled_from(("value", "lose", "add"))):
            case "value":
                place[key] = draw(JSON)
            case "lose":
                del place[key]
            case "add" if isinstance(place, dict):
                place[draw(st.text(max_size=5))] = draw(JSON)
            case _:
                place.insert(key, draw(JSON))
        if not values:
            break
    return json.dumps(values, sort_keys=True, separators=(",", ":")).encode()


def places(value: object) -> list[tuple[Any, Any]]:
    """Every container below ``value`` with every key in it."""
    keys = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, inner in keys for found in ((value, key), *places(inner))]


def changed_text(valid: Sequence[bytes]) -> st.SearchStrategy[str]:
    """Like ``changed_bytes``, read as text."""
    return changed_bytes(valid).map(lambda data: data.decode("latin-1"))


def mended(strategy: st.SearchStrategy[bytes], mend: Callable[[bytes], bytes]) -> st.SearchStrategy[bytes]:
    """Changed input whose checksum is right again half of the time, so that what comes behind the checksum is met."""
    return st.tuples(strategy, st.booleans()).map(lambda pair: mend(pair[0]) if pair[1] else pair[0])
