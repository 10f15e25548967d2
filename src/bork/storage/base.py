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

from bork.errors import ObjectMissing
from bork.storage.names import CONFIG, REMOVAL_ORDER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from typing_extensions import Buffer

    from bork.storage.names import ObjectName


class Range(NamedTuple):
    """Bytes ``offset`` to ``offset + length`` of one object."""

    name: ObjectName
    offset: int
    length: int


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
        """The whole object. Raises: ObjectMissing."""

    @abstractmethod
    def get_range(self, name: ObjectName, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes. Raises: ObjectMissing; IntegrityError, if the object ends before them."""

    def get_ranges(self, ranges: Sequence[Range]) -> list[bytes]:
        """Each range, in the order asked. Fastest if ranges of one object follow each other by offset."""
        return [self.get_range(*wanted) for wanted in ranges]

    @abstractmethod
    def list(self, collection: str) -> Iterator[tuple[ObjectName, int]]:
        """Name and length of each object below ``collection`` (``packs``), in no order.

        Objects put or deleted meanwhile may be listed or not; all others are. Things that are no objects are skipped.
        """

    @abstractmethod
    def delete(self, name: ObjectName) -> None:
        """Remove an object durably. Raises: ObjectMissing."""

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
        """Make sure that objects which another writer put, perhaps this very moment, survive a power cut.

        Needed before something new refers to an object that was found by listing: its writer may have published it
        and not have been told yet that it is durable.
        """

    @abstractmethod
    def hold(self, name: ObjectName, data: bytes) -> Hold:
        """Put an object and keep it alive. Names are never used twice.

        Raises: ObjectExists; NoSpace, PermissionDenied, ReadOnlyStorage, StorageFault.
        """

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
        """Remove every object, archives first and ``config`` last, and then the place itself.

        What is interrupted can be repeated: there is a config as long as there is anything else. False: the place
        holds something that is no part of a store, and stays, with nothing but that in it. Raises: StorageError.
        """
        for collection in REMOVAL_ORDER:
            for name, _ in list(self.list(collection)):
                self._delete_quietly(name)
        self._delete_quietly(CONFIG)
        return True

    def _delete_quietly(self, name: ObjectName) -> None:
        with contextlib.suppress(ObjectMissing):
            self.delete(name)

    def stay(self) -> None:  # noqa: B027  # most backends need no sign of life
        """Call it now and then while nothing else is asked of the store for long, so that it is not given up."""

    def sweep(self) -> None:  # noqa: B027  # most backends leave nothing behind
        """Remove what writers that no longer live left half done. Never touches an object, nor a living writer."""

    def close(self) -> None:  # noqa: B027  # most backends hold nothing
        """Give back what the store holds. It can not be used after that."""
