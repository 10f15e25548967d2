"""A store behind a connection. It adds nothing to the promises of a store, and takes nothing away.

Objects are durable when their put has returned (or its ``wait``), since the server answers only then. A hold is held by
the server's process, so a connection that breaks lets the session die.
"""

from __future__ import annotations

import contextlib
import struct
from functools import partial
from typing import TYPE_CHECKING, cast

from bork.errors import (
    ParentPathDoesNotExist,
    PathAlreadyExists,
    RepositoryAlreadyExists,
    RepositoryDoesNotExist,
    StorageError,
    UnexpectedRPCDataFormatFromServer,
)
from bork.protocol.verbs import ENTRY_LENGTH, NAMES_MAX, RANGES_BYTES_MAX, RANGES_MAX
from bork.storage.base import Hold, Put, Range, Store
from bork.storage.names import COLLECTIONS, ObjectName, checked, checked_collection
from bork.storage.remote import looking
from bork.storage.remote.connection import Connection, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from typing_extensions import Buffer

    from bork.protocol.codec import Value
    from bork.storage.base import Found, Look
    from bork.storage.remote.connection import Pending

_ENTRY = struct.Struct(">32sQ")
BATCH_BYTES = 8 << 20  # of ranges in one request: several are in flight


class RemoteStore(Store):
    """Use ``open`` or ``create``. ``location`` is for messages; ``path`` is what the server makes of it."""

    releases_at_close = True

    def __init__(self, location: str, connection: Connection, opened: Pending) -> None:
        super().__init__(location)
        self._connection = connection
        self._holds: set[ObjectName] = set()
        self._swept: Pending | None = None
        self.append_only = opened.members["append_only"] is True

    @classmethod
    def open(cls, location: str, path: str, settings: Settings) -> RemoteStore:
        """Raises: RepositoryDoesNotExist, InvalidRepository, PathPermissionDenied, PathNotAllowed, RemoteFault."""
        return cls._opened(location, settings, "open", {"path": _path_bytes(path)})

    @classmethod
    def create(cls, location: str, path: str, settings: Settings, *, make_parent_dirs: bool = False) -> RemoteStore:
        """Raises: RepositoryAlreadyExists, PathAlreadyExists, ParentPathDoesNotExist, and as ``open``."""
        arguments: dict[str, Value] = {"path": _path_bytes(path), "make_parent_dirs": make_parent_dirs}
        return cls._opened(location, settings, "create", arguments)

    @classmethod
    def _opened(cls, location: str, settings: Settings, verb: str, arguments: dict[str, Value]) -> RemoteStore:
        connection = Connection(settings)
        try:
            return cls(location, connection, connection.ask(verb, arguments))
        except (ParentPathDoesNotExist, PathAlreadyExists, RepositoryAlreadyExists, RepositoryDoesNotExist) as fault:
            connection.close()
            raise type(fault)(location) from None  # the server knows its path, and the user on which host that is
        except BaseException:
            connection.close()
            raise

    # ---- put -----------------------------------------------------------------------------------------------------

    def put_if_absent(self, name: ObjectName, data: Buffer) -> None:
        self._connection.ask("put_if_absent", {"name": checked(name)}, data)

    def begin_put(self, name: ObjectName, data: Buffer) -> Put | None:
        return _RemotePut(self._connection, self._connection.begin("put_if_absent", {"name": checked(name)}, data))

    def replace(self, name: ObjectName, data: Buffer) -> None:
        self._connection.ask("replace", {"name": checked(name)}, data)

    def delete(self, name: ObjectName) -> None:
        self._connection.ask("delete", {"name": checked(name)})

    def begin_delete_if(self, name: ObjectName, content: bytes) -> Callable[[], bool]:
        if not self._connection.can("look"):
            return super().begin_delete_if(name, content)
        pending = self._connection.begin("delete_if", {"name": checked(name), "content": content})
        return lambda: self._connection.wait(pending).members["deleted"] is True

    def settle(self, names: Iterable[ObjectName]) -> None:
        self._all("settle", [checked(name) for name in names])

    # ---- get -----------------------------------------------------------------------------------------------------

    def get(self, name: ObjectName) -> bytes:
        return bytes(self._connection.ask("get", {"name": checked(name)}).parts[0])

    def get_range(self, name: ObjectName, offset: int, length: int) -> bytes:
        return self.get_ranges([Range(name, offset, length)])[0]

    def get_ranges(self, ranges: Sequence[Range]) -> list[bytes]:
        return self.begin_ranges(ranges)()

    def begin_ranges(self, ranges: Sequence[Range]) -> Callable[[], list[bytes]]:
        requests = [(batch, self._begin_ranges(batch)) for batch in _batches(_pieces(ranges))]
        return partial(self._ranges, requests)

    def _ranges(self, requests: Iterable[tuple[Sequence[tuple[Range, bool]], Pending]]) -> list[bytes]:
        found: list[bytes] = []
        for batch, pending in requests:
            data = memoryview(self._connection.wait(pending).parts[0]).cast("B")
            if len(data) != sum(piece.length for piece, _ in batch):
                raise UnexpectedRPCDataFormatFromServer(f"{len(data)} bytes of ranges in place of those asked for")
            at = 0
            for piece, continues in batch:
                part = bytes(data[at : at + piece.length])
                at += piece.length
                if continues:
                    found[-1] += part
                else:
                    found.append(part)
            pending.parts.clear()
        return found

    def _begin_ranges(self, batch: Sequence[tuple[Range, bool]]) -> Pending:
        wanted: list[Value] = []
        for piece, _ in batch:
            if wanted and cast("list[Value]", wanted[-1])[0] == piece.name:
                cast("list[Value]", wanted[-1]).extend((piece.offset, piece.length))
            else:
                wanted.append([piece.name, piece.offset, piece.length])
        return self._connection.begin(
            "get_ranges", {"ranges": wanted}, expected=sum(piece.length for piece, _ in batch)
        )

    def list(self, collection: str) -> Iterator[tuple[ObjectName, int]]:
        pending = self._connection.ask("list", {"collection": checked_collection(collection)})
        for part in pending.parts:
            data = memoryview(part).cast("B")
            if len(data) % ENTRY_LENGTH:
                raise UnexpectedRPCDataFormatFromServer("a listing that is not whole")
            for object_id, length in _ENTRY.iter_unpack(data):
                yield looking.name_of(collection, object_id), length

    def arrived_ns(self, name: ObjectName) -> int | None:
        return self.arrivals_ns([name])[0]

    def arrivals_ns(self, names: Sequence[ObjectName]) -> Sequence[int | None]:
        times: Sequence[int | None] = ()
        for pending, count in self._all("arrivals", [checked(name) for name in names]):
            found = cast("Sequence[int | None]", pending.members["times_ns"])
            if len(found) != count:
                raise UnexpectedRPCDataFormatFromServer("times of other objects than asked for")
            times = [*times, *found]
        return times

    def _all(self, verb: str, names: Sequence[ObjectName]) -> Sequence[tuple[Pending, int]]:
        """Ask about any number of names, with the latency of one request."""
        batches = [names[at : at + NAMES_MAX] for at in range(0, len(names), NAMES_MAX)]
        begun = [(self._connection.begin(verb, {"names": [*batch]}), len(batch)) for batch in batches]
        return [(self._connection.wait(pending), count) for pending, count in begun]

    # ---- looks ---------------------------------------------------------------------------------------------------

    def look(self, looks: Sequence[Look]) -> Sequence[Sequence[Found]]:
        if not self._connection.can("look"):
            return super().look(looks)
        return self._looked(looks, self._begin_looks(looks))

    def _begin_looks(self, looks: Sequence[Look]) -> Sequence[Pending]:
        return [
            self._connection.begin(
                "look", {"what": _checked_what(each.what), "contents": each.contents, "holders": each.holders}
            )
            for each in looks
        ]

    def _looked(self, looks: Sequence[Look], begun: Sequence[Pending]) -> Sequence[Sequence[Found]]:
        return [
            [*looking.found(wanted, self._connection.wait(pending).parts)]
            for wanted, pending in zip(looks, begun, strict=True)
        ]

    def hold_and_look(
        self, name: ObjectName, data: bytes, looks: Sequence[Look]
    ) -> tuple[Hold, Sequence[Sequence[Found]]]:
        if not self._connection.can("look"):
            return super().hold_and_look(name, data, looks)
        # The server performs one after the other, so the looks see what is there when the object is held.
        held = self._connection.begin("hold", {"name": checked(name)}, data)
        begun = self._begin_looks(looks)
        hold = self._held(held, name)
        try:
            return hold, self._looked(looks, begun)
        except BaseException:
            with contextlib.suppress(StorageError):
                hold.release()
            raise

    def put_while_held(self, hold: Hold, name: ObjectName, data: bytes) -> bool:
        if not self._connection.can("look") or not isinstance(hold, _RemoteHold):
            return super().put_while_held(hold, name, data)
        if self._swept is not None:
            self._connection.wait(self._swept)
        arguments: dict[str, Value] = {"name": checked(name), "session": hold.name}
        return self._connection.ask("put_while_held", arguments, data).members["intact"] is True

    # ---- the rest ------------------------------------------------------------------------------------------------

    def hold(self, name: ObjectName, data: bytes) -> Hold:
        return self._held(self._connection.begin("hold", {"name": checked(name)}, data), name)

    def _held(self, pending: Pending, name: ObjectName) -> Hold:
        self._connection.wait(pending)
        self._holds.add(name)
        return _RemoteHold(self._connection, name, self._holds)

    def is_held(self, name: ObjectName) -> bool | None:
        return cast("bool | None", self._connection.ask("is_held", {"name": checked(name)}).members["held"])

    def use_reserve(self) -> None:
        self._connection.ask("use_reserve")

    def keep_reserve(self) -> None:
        self._connection.ask("keep_reserve")

    def free_space(self) -> int | None:
        return cast("int | None", self._connection.ask("free_space").members["free_bytes"])

    def destroy(self) -> bool:
        return self._connection.ask("destroy").members["is_gone"] is True

    def stay(self) -> None:
        self._connection.stay()

    def sweep(self) -> None:
        # Nothing waits for it but a commit, so that it costs no round trip of its own.
        self._swept = self._connection.begin("sweep")

    def close(self) -> None:
        self._connection.finish("hold_release", [{"name": name} for name in self._holds])
        self._connection.close()


class _RemotePut(Put):
    def __init__(self, connection: Connection, pending: Pending) -> None:
        self._connection, self._pending = connection, pending

    def wait(self) -> None:
        self._connection.wait(self._pending)


class _RemoteHold(Hold):
    def __init__(self, connection: Connection, name: ObjectName, holds: set[ObjectName]) -> None:
        self._connection, self.name, self._holds = connection, name, holds

    def replace(self, data: bytes) -> None:
        self._connection.ask("hold_replace", {"name": self.name}, data)

    def is_intact(self) -> bool:
        return self._connection.ask("hold_is_intact", {"name": self.name}).members["intact"] is True

    def release(self) -> None:
        if self.name in self._holds:
            self._connection.ask("hold_release", {"name": self.name})
            self._holds.discard(self.name)


def _path_bytes(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _checked_what(what: str) -> str:
    return what if what in COLLECTIONS else checked(ObjectName(what))


def _pieces(ranges: Sequence[Range]) -> Iterator[tuple[Range, bool]]:
    """Ranges of lengths that one request may have; True: it continues the one before."""
    for wanted in ranges:
        checked(wanted.name)
        offset, left, continues = wanted.offset, wanted.length, False
        while left > RANGES_BYTES_MAX:
            yield Range(wanted.name, offset, RANGES_BYTES_MAX), continues
            offset, left, continues = offset + RANGES_BYTES_MAX, left - RANGES_BYTES_MAX, True
        yield Range(wanted.name, offset, left), continues


def _batches(pieces: Iterable[tuple[Range, bool]]) -> Iterator[Sequence[tuple[Range, bool]]]:
    batch: list[tuple[Range, bool]] = []
    size = 0
    for piece in pieces:
        if batch and (len(batch) == RANGES_MAX or size + piece[0].length > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(piece)
        size += piece[0].length
    if batch:
        yield batch
