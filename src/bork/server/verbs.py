"""From a request that fits its schema to a call of the store, and back to an answer."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, cast

from bork.errors import InternalError, StorageFault
from bork.protocol.codec import Malformed
from bork.protocol.messages import DATA_MAX
from bork.protocol.verbs import ID_MAX, OPENING, PAGE_ENTRIES
from bork.server import looking
from bork.server.looking import checked_name
from bork.storage.base import Range
from bork.storage.names import COLLECTIONS, ObjectName

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from typing_extensions import Buffer

    from bork.protocol.codec import Value
    from bork.protocol.messages import Message
    from bork.protocol.verbs import Request
    from bork.server.guarded import GuardedStore
    from bork.server.opening import Opener

    Answer = tuple[Mapping[str, Value], Buffer]

_ENTRY = struct.Struct(">32sQ")


class Verbs:
    """The verbs of one client, on the one repository that it opens."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._opened: GuardedStore | None = None

    def perform(self, request: Request, message: Message) -> Iterator[Answer]:
        """The answers to a request: one, or several parts of a list.

        Raises: Malformed, for what no client of ours sends; BorkError, for what the store says.
        """
        if (self._opened is None) != (request.verb in OPENING):
            raise Malformed(
                f"a request {request.verb} {'before' if self._opened is None else 'after'} a repository is open"
            )
        if request.verb == "list":
            yield from self._list(request)
        elif request.verb == "look":
            yield from looking.pages(self._store, request.arguments)
        elif request.verb == "put_while_held":
            yield self._put_while_held(request.arguments, message)
        else:
            yield self._answer(request, message)

    @property
    def _store(self) -> GuardedStore:
        assert self._opened is not None
        return self._opened

    def _answer(self, request: Request, message: Message) -> Answer:
        arguments = request.arguments
        match request.verb:
            case "open" | "create":
                return self._open(request)
            case "put_if_absent":
                self._store.put_if_absent(_name(arguments), message.data)
            case "replace":
                self._store.replace(_name(arguments), message.data)
            case "get":
                return {}, self._get(_name(arguments))
            case "get_ranges":
                return {}, b"".join(self._store.get_ranges(_ranges(arguments)))
            case "delete":
                self._store.delete(_name(arguments))
            case "settle":
                self._store.settle(_names(arguments))
            case "hold":
                self._store.hold(_name(arguments), bytes(message.data))
            case "hold_replace":
                self._store.held(_name(arguments)).replace(bytes(message.data))
            case "hold_is_intact":
                return {"intact": self._store.held(_name(arguments)).is_intact()}, b""
            case "hold_release":
                self._store.held(_name(arguments)).release()
            case _:
                return self._answer_about(request.verb, arguments)
        return {}, b""

    def _put_while_held(self, arguments: Mapping[str, Value], message: Message) -> Answer:
        held = self._store.held(checked_name(arguments["session"]))
        return {"intact": self._store.put_while_held(held, _name(arguments), bytes(message.data))}, b""

    def _answer_about(self, verb: str, arguments: Mapping[str, Value]) -> Answer:
        match verb:
            case "is_held":
                return {"held": self._store.is_held(_name(arguments))}, b""
            case "delete_if":
                return {"deleted": self._store.delete_if(_name(arguments), cast("bytes", arguments["content"]))}, b""
            case "arrivals":
                return {"times_ns": [_bounded(each) for each in self._store.arrivals_ns(_names(arguments))]}, b""
            case "free_space":
                return {"free_bytes": _bounded(self._store.free_space())}, b""
            case "destroy":
                return {"is_gone": self._store.destroy()}, b""
            case "use_reserve":
                self._store.use_reserve()
            case "keep_reserve":
                self._store.keep_reserve()
            case "sweep":
                self._store.sweep()
            case "ping":
                pass
            case _:
                raise InternalError(f"the verb {verb} is in the table and does nothing")
        return {}, b""

    def _open(self, request: Request) -> Answer:
        path = cast("bytes", request.arguments["path"])
        if request.verb == "open":
            self._opened = self._opener.open(path)
        else:
            parents = request.arguments["make_parent_dirs"] is True
            self._opened = self._opener.create(path, make_parent_dirs=parents)
        return {"append_only": self._opened.append_only}, b""

    def _get(self, name: ObjectName) -> bytes:
        data = self._store.get(name)
        if len(data) > DATA_MAX:
            raise StorageFault(self._store.location, "get", name, f"its {len(data)} bytes are too many for one message")
        return data

    def _list(self, request: Request) -> Iterator[Answer]:
        collection = cast("str", request.arguments["collection"])
        if collection not in COLLECTIONS:
            raise Malformed("a request list of what is no collection")
        page = bytearray()
        for name, length in self._store.list(collection):
            if len(page) == PAGE_ENTRIES * _ENTRY.size:
                yield {"more": True}, bytes(page)
                page.clear()
            page += _ENTRY.pack(bytes.fromhex(name.rpartition("/")[2]), length)
        yield {"more": False}, bytes(page)

    def close(self) -> None:
        """Close what is open. Raises: StorageError."""
        if self._opened is not None:
            self._opened.close()


def _bounded(value: int | None) -> int | None:
    return None if value is None else min(max(value, 0), ID_MAX)


def _name(arguments: Mapping[str, Value]) -> ObjectName:
    return checked_name(arguments["name"])


def _names(arguments: Mapping[str, Value]) -> list[ObjectName]:
    return [checked_name(each) for each in cast("list[Value]", arguments["names"])]


def _ranges(arguments: Mapping[str, Value]) -> list[Range]:
    ranges = []
    for each in cast("list[list[Value]]", arguments["ranges"]):
        name, numbers = checked_name(each[0]), cast("list[int]", each[1:])
        ranges += [Range(name, *pair) for pair in zip(numbers[::2], numbers[1::2], strict=True)]
    return ranges
