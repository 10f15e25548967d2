"""The names of objects: the only strings that a backend ever turns into a path or a key."""

from __future__ import annotations

import re
from typing import NewType

ObjectName = NewType("ObjectName", str)

CONFIG = ObjectName("config")
# Objects live in collections; True: in one directory for each first byte of the name, ``packs/0f/0f3a...``.
COLLECTIONS = {
    "archives": False,
    "damaged": False,
    "gc": False,
    "indexes": False,
    "keys": False,
    "packs": True,
    "sessions": False,
}
# Archives go first: without them what is left half removed promises nothing that it cannot hold. Keys go last, then
# the config, and then the sessions: as long as there is a repository, others see that somebody has it for himself.
SESSIONS = "sessions"
REMOVAL_ORDER = ("archives", *(name for name in COLLECTIONS if name not in ("archives", "keys", SESSIONS)), "keys")

# Bytes that an object of a kind can have at most, each with room to spare; the others are as long as what they hold.
# Who can write to a store must not choose how much memory its readers take.
KEY_LENGTH_MAX = 64 << 10
_LENGTHS_MAX = {"config": 8 << 10, "sessions": 8 << 10, "keys": KEY_LENGTH_MAX, "archives": 17 << 20}

_NUMBERED = "gc"  # named by 16 hexadecimal digits; all others by 64
_SHALLOW = "|".join(name for name, sharded in COLLECTIONS.items() if not sharded and name != _NUMBERED)
_SHARDED = "|".join(name for name, sharded in COLLECTIONS.items() if sharded)
_NAME = re.compile(
    rf"config|(?:{_SHALLOW})/[0-9a-f]{{64}}|{_NUMBERED}/[0-9a-f]{{16}}"
    rf"|(?:{_SHARDED})/([0-9a-f]{{2}})/\1[0-9a-f]{{62}}",
    re.ASCII,
)


def is_object_name(text: str) -> bool:
    """Whether ``text`` could name an object. Nothing else in a store's directory is ever listed or touched."""
    return _NAME.fullmatch(text) is not None


def checked(name: ObjectName) -> ObjectName:
    """``name`` itself. Raises ValueError: a caller built it wrongly; nothing that a user types can do that."""
    if not is_object_name(name):
        raise ValueError(f"not the name of an object: {name!r}")
    return name


def length_max(name: ObjectName) -> int | None:
    """How long the object can be; None: as long as it likes. Unit: bytes."""
    return _LENGTHS_MAX.get(name.partition("/")[0])


def checked_collection(name: str) -> str:
    """``name`` itself. Raises ValueError as ``checked``."""
    if name not in COLLECTIONS:
        raise ValueError(f"not the name of a collection: {name!r}")
    return name
