"""Answers to ``look``: names, lengths and contents of small objects, page by page. See docs/protocol.md."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from bork.protocol.codec import Malformed
from bork.protocol.verbs import LOOK_PAGE_BYTES, PAGE_ENTRIES
from bork.storage.base import Look
from bork.storage.names import COLLECTIONS, CONFIG, ObjectName, is_object_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from typing_extensions import Buffer

    from bork.protocol.codec import Value
    from bork.storage.base import Found, Store

ENTRY = struct.Struct(">32sQIBxxx")
NOT_CARRIED = 0xFFFF_FFFF
HELD = {False: 0, True: 1, None: 2}  # as ``Store.is_held``


def pages(store: Store, arguments: Mapping[str, Value]) -> Iterator[tuple[Mapping[str, Value], Buffer]]:
    """The answers.  Memory: one page, and what ``Store.look`` takes.  Raises: Malformed; StorageError."""
    what = arguments["what"]
    if what not in COLLECTIONS:
        checked_name(what)
    (shown,) = store.look([Look(str(what), arguments["contents"] is True, arguments["holders"] is True)])
    page, count = bytearray(), 0
    for found in shown:
        if count == PAGE_ENTRIES or len(page) - count * ENTRY.size >= LOOK_PAGE_BYTES:
            yield {"more": True}, bytes(page)
            page, count = bytearray(), 0
        page += _entry(found)
        count += 1
    yield {"more": False}, bytes(page)


def _entry(found: Found) -> bytes:
    carried = NOT_CARRIED if found.data is None else len(found.data)
    return ENTRY.pack(_id(found.name), found.length, carried, HELD[found.held]) + (found.data or b"")


def _id(name: ObjectName) -> bytes:
    return bytes(32) if name == CONFIG else bytes.fromhex(name.rpartition("/")[2])


def checked_name(text: Value) -> ObjectName:
    """The name of an object. Raises: Malformed."""
    if not isinstance(text, str) or not is_object_name(text):
        raise Malformed("the name of no object")
    return ObjectName(text)
