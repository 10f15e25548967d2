"""Reads the items of a plain repository that Bork has made, without Bork: what it stored, not what it shows."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lz4.block  # type: ignore[import-untyped]  # lz4 brings no types
import zstandard

from tests.real.hostile.sealer import TAG
from tests.real.hostile.wire import FIELDS, Cursor

NAMES = {number: name for name, number in FIELDS.items()}


def chunks(repository: Path) -> dict[bytes, bytes]:
    """Every chunk of every pack, by id."""
    found = {}
    for pack in sorted((repository / "packs").glob("*/*")):
        data = pack.read_bytes()
        toc_length, count = struct.unpack("<II", data[-32:-24])
        toc, offset = data[-32 - toc_length : -32 - TAG], 64
        at = 16 * count
        for number in range(count):
            stored, payload, plain, codec, _, inside = struct.unpack("<IIIBBH", toc[16 * number : 16 * number + 16])
            content = decompress(codec, data[offset : offset + payload], plain)
            start = 0
            for _ in range(inside):
                (length,) = struct.unpack("<I", toc[at + 32 : at + 36])
                found[toc[at : at + 32]] = content[start : start + length]
                start, at = start + length, at + 36
            offset += stored
    return found


def decompress(codec: int, payload: bytes, plain: int) -> bytes:
    """The codecs that a default ``create`` uses."""
    if codec == 1:
        return bytes(lz4.block.decompress(payload, uncompressed_size=plain))
    return zstandard.decompress(payload, plain) if codec == 2 else payload


def items(repository: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Path and fields of each item of the only archive."""
    (head,) = (repository / "archives").iterdir()
    known = chunks(repository)
    root = bytes.fromhex(json.loads(head.read_bytes()[64 : -32 - TAG])["root"])
    yield from _node(known, root)


def _node(known: dict[bytes, bytes], node: bytes) -> Iterator[tuple[bytes, dict[str, Any]]]:
    cursor, path = Cursor(known[node]), b""
    if cursor.take(2)[0] == 2:
        cursor.take(1)
        while cursor.at < len(cursor.data):
            child = cursor.take(32)
            cursor.take(16)
            cursor.take(cursor.varint())
            yield from _node(known, child)
        return
    while cursor.at < len(cursor.data):
        shared, length = cursor.varint(), cursor.varint()
        path = path[:shared] + cursor.take(length)
        body = Cursor(cursor.take(cursor.varint())).value()
        assert isinstance(body, dict)
        yield path, {NAMES[number]: value for number, value in body.items()}
