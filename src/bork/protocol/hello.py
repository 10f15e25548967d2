"""The first words of both ends: who speaks which versions. This form is the same for all versions, for ever.

Each end sends its hello at once, and does not wait for the other's. Both come to the same version by themselves: the
highest that both know. Members that are not known are ignored here, and nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bork.protocol.codec import Malformed

if TYPE_CHECKING:
    from bork.protocol.codec import Value

MAGIC = b"BORK\r\n\x1a\n"  # a stream that changes line ends, or is not clean for 8 bits, breaks it
HELLO_MAX = 4096  # bytes of the body
VERSION_MIN = 1
VERSION_MAX = 1
FEATURES = ("look",)  # what one end can do and the other need not know: the verbs ``look`` and ``put_while_held``
_TEXT_MAX = 200  # characters


class Hello(NamedTuple):
    """What an end says of itself."""

    role: str  # "client" or "server"
    program: str  # for people
    version_min: int = VERSION_MIN
    version_max: int = VERSION_MAX
    features: tuple[str, ...] = FEATURES

    def encode(self) -> dict[str, Value]:
        """The body of the message."""
        return {
            "features": list(self.features),
            "program": self.program,
            "role": self.role,
            "versions": [self.version_min, self.version_max],
        }


def decode(body: dict[str, Value]) -> Hello:
    """Raises: Malformed."""
    match body:
        case {
            "role": "client" | "server" as role,
            "program": str(program),
            "versions": [int(low), int(high)],
            "features": list(features),
        } if (
            1 <= low <= high and len(program) <= _TEXT_MAX and not isinstance(low, bool) and not isinstance(high, bool)
        ):
            names = tuple(each for each in features if isinstance(each, str))
            if len(names) == len(features):
                return Hello(role, program, low, high, names)
    raise Malformed("a hello that is none")


def common_version(ours: Hello, theirs: Hello) -> int | None:
    """The version that both ends speak from now on, None if there is none."""
    version = min(ours.version_max, theirs.version_max)
    return version if version >= max(ours.version_min, theirs.version_min) else None
