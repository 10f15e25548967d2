"""The names of a repository's objects. See docs/format/README.md."""

from __future__ import annotations

from typing import NewType

from bork.storage.names import ObjectName

RepositoryId = NewType("RepositoryId", bytes)  # 32, random
PackId = NewType("PackId", bytes)  # 32: BLAKE3 of the pack
IndexId = NewType("IndexId", bytes)  # 32: BLAKE3 of the index object
KeyId = NewType("KeyId", bytes)  # 32: BLAKE3 of the key object
HeadId = NewType("HeadId", bytes)  # 32: keyed hash of the archive's name
SessionId = NewType("SessionId", bytes)  # 32, random

PACKS = "packs"
INDEXES = "indexes"
KEYS = "keys"
ARCHIVES = "archives"
SESSIONS = "sessions"
GENERATIONS = "gc"
DAMAGED = "damaged"


def pack_name(pack: PackId) -> ObjectName:
    """``packs/0f/0f3a...``"""
    text = pack.hex()
    return ObjectName(f"{PACKS}/{text[:2]}/{text}")


def index_name(index: IndexId) -> ObjectName:
    """``indexes/...``"""
    return ObjectName(f"{INDEXES}/{index.hex()}")


def key_name(key: KeyId) -> ObjectName:
    """``keys/...``"""
    return ObjectName(f"{KEYS}/{key.hex()}")


def head_name(head: HeadId) -> ObjectName:
    """``archives/...``"""
    return ObjectName(f"{ARCHIVES}/{head.hex()}")


def session_name(session: SessionId) -> ObjectName:
    """``sessions/...``"""
    return ObjectName(f"{SESSIONS}/{session.hex()}")


def generation_name(number: int) -> ObjectName:
    """``gc/...``: 16 hexadecimal digits."""
    return ObjectName(f"{GENERATIONS}/{number:016x}")


def damaged_name(content: bytes) -> ObjectName:
    """``damaged/...``; ``content``: BLAKE3 of the object."""
    return ObjectName(f"{DAMAGED}/{content.hex()}")


def number_in(name: ObjectName) -> int:
    """The number of a generation."""
    return int(name.rpartition("/")[2], 16)


def id_in(name: ObjectName) -> bytes:
    """The 32 bytes that a name ends with."""
    return bytes.fromhex(name[-64:])
