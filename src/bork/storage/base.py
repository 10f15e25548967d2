"""The contract of every storage backend, and the promises that the rest of Bork builds on.

* An object appears under its name complete or not at all, and never changes after that.
* When ``put_if_absent`` returns, the object survives a power cut. What it wrote before it raised is either invisible or
  complete; objects whose name is their hash may be put again.
* Of several writers that put the same name, exactly one succeeds.
* Every failure is a ``StorageError`` (exit code 2), never an ``OSError``: a fault of the repository must not be
  mistaken for a fault of one file of a backup.
* A call is not repeated after an error by the backend itself unless the operation cannot have had an effect.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

from bork.core import digest
from bork.errors import ObjectMissing, StorageError, StorageFault
from bork.storage.names import COLLECTIONS, CONFIG, REMOVAL_ORDER, SESSIONS, ObjectName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from typing_extensions import Buffer


class Range(NamedTuple):
    """Bytes ``offset`` to ``offset + length`` of one object."""

    name: ObjectName
    offset: int
    length: int


class Look(NamedTuple):
    """What to see of a store at once. ``contents``: the bytes of objects, too, of those that are short."""

    what: str  # a collection, or the name of one object, of which only the contents can be seen
    contents: bool = False
    holders: bool = False  # whether each object is held, too, which is looked at first


class Found(NamedTuple):
    """An object that a look has shown."""

    name: ObjectName
    length: int
    data: bytes | None = None  # None: not asked for, dead, or longer than ``LOOK_LENGTH_MAX``: ``get`` it
    held: bool | None = None  # as ``Store.is_held``; None, too, if it was not asked for


LOOK_LENGTH_MAX = 64 << 10  # bytes of an object that a look carries


class Hold(ABC):
    """An object that is there as long as the process that holds it: the mark of a session.

    Where the storage can tell, it is alive exactly as long as its holder lives, and a crash leaves nothing that looks
    alive. It need not survive a power cut.
    """

    @abstractmethod
    def replace(self, data: bytes) -> None:
        """Change what it says. Raises: ObjectMissing, if somebody has removed it: it does not come back; as
        ``Store.hold``.
        """

    @abstractmethod
    def is_intact(self) -> bool:
        """Whether the object is still there, and still this one: somebody may have broken it. Raises: StorageError."""

    @abstractmethod
    def release(self) -> None:
        """Remove it. It is no error if it is gone. Raises: StorageError."""


class Put(ABC):
    """An object on its way into a store."""

    @abstractmethod
    def wait(self) -> None:
        """Return when the object survives a power cut. Raises: as ``Store.put_if_absent``."""


class Store(ABC):
    """A flat store of named objects. One instance is used by one thread at a time."""

    # How long an object that was put, or deleted, may be missing from listings, or still be there. Unit: seconds.
    listing_lag_s: float = 0.0
    # A session that nobody can tell to live and that says nothing for this time is dead; None: never. Unit: seconds.
    lease_s: float | None = None
    # Whoever keeps this store lets us only add: nothing that exists can be replaced or deleted.
    append_only: bool = False
    # Closing it releases what it holds, in the time of one request: nobody need do that before.
    releases_at_close: bool = False

    def __init__(self, location: str) -> None:
        self.location = location  # for messages

    @abstractmethod
    def put_if_absent(self, name: ObjectName, data: Buffer) -> None:
        """Store ``data`` durably under a name that is free. A page-aligned buffer is stored fastest.

        Raises: ObjectExists; NoSpace, PermissionDenied, ReadOnlyStorage, StorageFault: nothing counts as stored then.
        """

    def begin_put(self, name: ObjectName, data: Buffer) -> Put | None:
        """As ``put_if_absent``. None: it has happened; otherwise it has when the result was waited for, and until then
        ``data`` may not change.

        Objects that were begun and not waited for may become durable in any order, and some of them not at all.
        Raises: as ``put_if_absent``, here or there.
        """
        self.put_if_absent(name, data)
        return None

    @abstractmethod
    def replace(self, name: ObjectName, data: Buffer) -> None:
        """Store ``data`` durably, in place of what the name held: readers see the old or the new, nothing else."""

    @abstractmethod
    def get(self, name: ObjectName) -> bytes:
        """The whole object. Raises: ObjectMissing.

        Of an object that is longer than those of its kind can be (``names.length_max``) it may be a part, which is too
        long, too.
        """

    @abstractmethod
    def get_range(self, name: ObjectName, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes. Raises: ObjectMissing; IntegrityError, if the object ends before them."""

    def get_ranges(self, ranges: Sequence[Range]) -> list[bytes]:
        """Each range, in the order asked. Fastest if ranges of one object follow each other by offset."""
        return [self.get_range(*wanted) for wanted in ranges]

    def begin_ranges(self, ranges: Sequence[Range]) -> Callable[[], list[bytes]] | None:
        """``get_ranges``: they come when the result is called. None: there is no latency to hide, use that.

        Raises: as ``get_ranges``, here or there.
        """
        return None

    @abstractmethod
    def list(self, collection: str) -> Iterator[tuple[ObjectName, int]]:
        """Name and length of each object below ``collection`` (``packs``), in no order.

        Objects put or deleted meanwhile may be listed or not; all others are. Things that are no objects are skipped.
        """

    def look(self, looks: Sequence[Look]) -> Sequence[Sequence[Found]]:
        """What each look shows, with the latency of one request. They happen one after the other, in their order.

        An object that is not there shows nothing.  Memory: what they show.  Raises: StorageError.
        """
        return [list(self._look(each)) for each in looks]

    def _look(self, wanted: Look) -> Iterator[Found]:
        for name, length in self._looked_at(wanted.what):
            held = self.is_held(name) if wanted.holders else None
            if not wanted.contents or length > LOOK_LENGTH_MAX or held is False:
                yield Found(name, length, None, held)
                continue
            try:
                data = self.get(name)
            except ObjectMissing:
                continue
            except StorageFault:  # of this object: whoever needs it meets the fault
                yield Found(name, length, None, held)
                continue
            yield Found(name, len(data), data if len(data) <= LOOK_LENGTH_MAX else None, held)

    def _looked_at(self, what: str) -> Iterable[tuple[ObjectName, int]]:
        return self.list(what) if what in COLLECTIONS else [(ObjectName(what), 0)]

    @abstractmethod
    def delete(self, name: ObjectName) -> None:
        """Remove an object durably. Raises: ObjectMissing."""

    def begin_delete_if(self, name: ObjectName, content: bytes) -> Callable[[], bool]:
        """Remove an object durably if its BLAKE3 is ``content``; the result tells whether it was, when it is called.

        Deletions that were begun happen in their order, and each whatever became of those before.
        Raises: StorageError, here or there.
        """
        is_deleted = self.delete_if(name, content)
        return lambda: is_deleted

    def delete_if(self, name: ObjectName, content: bytes) -> bool:
        """As ``begin_delete_if``.

        The look before the deletion cannot close the gap to an object that is deleted and put anew with another content
        in the very same moment, and makes it as short as the store is fast.
        """
        try:
            if digest(self.get(name)) != content:
                return False
            self.delete(name)
        except ObjectMissing:
            return False
        return True

    def arrived_ns(self, name: ObjectName) -> int | None:
        """When the object was put, by the clock of the machine that keeps it: nanoseconds since 1970.

        No client of a server can choose it, so retention may rely on it. None: this storage cannot tell, or the object
        is not there.
        """
        return None

    def arrivals_ns(self, names: Sequence[ObjectName]) -> Sequence[int | None]:
        """``arrived_ns`` of each name, with the latency of one."""
        return [self.arrived_ns(name) for name in names]

    @abstractmethod
    def settle(self, names: Iterable[ObjectName]) -> None:
        """Make what other processes did to these names, perhaps this very moment, survive a power cut: objects that
        are there stay there, and those that are gone stay gone, with their collection.

        Needed before something new refers to an object that was found by listing, and before something is deleted
        because of what was listed: who put or deleted it may have been killed before it was durable.
        """

    @abstractmethod
    def hold(self, name: ObjectName, data: bytes) -> Hold:
        """Put an object and keep it alive. Names are never used twice.

        Raises: ObjectExists; NoSpace, PermissionDenied, ReadOnlyStorage, StorageFault.
        """

    def hold_and_look(
        self, name: ObjectName, data: bytes, looks: Sequence[Look]
    ) -> tuple[Hold, Sequence[Sequence[Found]]]:
        """``hold``, and then ``look``, with the latency of one request. Raises: as both; then nothing is held."""
        hold = self.hold(name, data)
        try:
            return hold, self.look(looks)
        except BaseException:
            with contextlib.suppress(StorageError):
                hold.release()
            raise

    def put_while_held(self, hold: Hold, name: ObjectName, data: bytes) -> bool:
        """Look whether a hold of this store is intact, ``put_if_absent``, and look again: with the latency of one
        request. False: it was not any more, and the object may have been seen.

        Raises: ObjectMissing, if it was not intact before: nothing was put; and as ``put_if_absent``.
        """
        if not hold.is_intact():
            raise ObjectMissing("of the session", self.location)
        self.put_if_absent(name, data)
        return hold.is_intact()

    @abstractmethod
    def is_held(self, name: ObjectName) -> bool | None:
        """Whether the holder of an object lives. False: it is dead, or the object is gone; it will never live again.
        None: this storage cannot tell.
        """

    def use_reserve(self) -> None:  # noqa: B027  # most backends have none
        """Give the space back that is kept for the day when the medium is full, so that deleting goes on."""

    def keep_reserve(self) -> None:  # noqa: B027  # as above
        """Keep such space again, if there is enough. Never raises."""

    @abstractmethod
    def free_space(self) -> int | None:
        """Bytes that can still be written, None if nobody can tell."""

    def destroy(self) -> bool:
        """Remove every object, archives first, ``config`` and then sessions last, and then the place itself.

        What is interrupted can be repeated: there is a config as long as there is anything else but sessions. False:
        the place holds something that is no part of a store, and stays, with nothing but that in it.
        Raises: StorageError.
        """
        for collection in REMOVAL_ORDER:
            self._empty(collection)
        self._delete_quietly(CONFIG)
        self._empty(SESSIONS)
        return True

    def _empty(self, collection: str) -> None:
        for name, _ in list(self.list(collection)):
            self._delete_quietly(name)

    def _delete_quietly(self, name: ObjectName) -> None:
        with contextlib.suppress(ObjectMissing):
            self.delete(name)

    def stay(self) -> None:  # noqa: B027  # most backends need no sign of life
        """Call it now and then while nothing else is asked of the store for long, so that it is not given up."""

    def sweep(self) -> None:  # noqa: B027  # most backends leave nothing behind
        """Remove what writers that no longer live left half done. Never touches an object, nor a living writer."""

    def close(self) -> None:  # noqa: B027  # most backends hold nothing
        """Give back what the store holds. It can not be used after that."""
