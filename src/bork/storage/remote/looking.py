"""What a server answers to ``look`` and ``list``, taken apart. Nothing that it says is believed unseen."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from bork.errors import UnexpectedRPCDataFormatFromServer
from bork.protocol.verbs import LOOK_ENTRY_LENGTH
from bork.storage.base import LOOK_LENGTH_MAX, Found, Look
from bork.storage.names import COLLECTIONS, ObjectName, is_object_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from typing_extensions import Buffer

_ENTRY = struct.Struct(">32sQIB3s")
_NOT_CARRIED = 0xFFFF_FFFF
_HELD = (False, True, None)


def found(wanted: Look, parts: Iterable[Buffer]) -> Iterator[Found]:
    """The objects in all parts of an answer. Raises: UnexpectedRPCDataFormatFromServer."""
    for part in parts:
        data, at = memoryview(part).cast("B"), 0
        while at < len(data):
            if len(data) - at < LOOK_ENTRY_LENGTH:
                raise UnexpectedRPCDataFormatFromServer("a look that is not whole")
            object_id, length, carried, held, reserved = _ENTRY.unpack_from(data, at)
            at += LOOK_ENTRY_LENGTH
            content = None
            if carried != _NOT_CARRIED:
                if not wanted.contents or carried != length or carried > min(LOOK_LENGTH_MAX, len(data) - at):
                    raise UnexpectedRPCDataFormatFromServer(f"a look that shows {carried} bytes of an object")
                content = bytes(data[at : at + carried])
                at += carried
            if held >= len(_HELD) or any(reserved):
                raise UnexpectedRPCDataFormatFromServer("a look that does not fit its schema")
            yield Found(_shown(wanted, object_id), length, content, _HELD[held])


def _shown(wanted: Look, object_id: bytes) -> ObjectName:
    return name_of(wanted.what, object_id) if wanted.what in COLLECTIONS else ObjectName(wanted.what)


def name_of(collection: str, object_id: bytes) -> ObjectName:
    """The object of a collection that an entry names."""
    text = object_id.hex()
    if collection == "gc":
        if text[16:].strip("0"):
            raise UnexpectedRPCDataFormatFromServer("a generation whose number is too long")
        text = text[:16]
    name = f"{collection}/{text[:2]}/{text}" if COLLECTIONS[collection] else f"{collection}/{text}"
    assert is_object_name(name)
    return ObjectName(name)
