"""A store that is a dictionary: for tests, and the model that the other backends are compared with."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bork.errors import ObjectExists, ObjectMissing
from bork.storage.base import Hold, Store
from bork.storage.faults import truncated
from bork.storage.names import ObjectName, checked, checked_collection

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from typing_extensions import Buffer


class Objects(dict[ObjectName, bytes]):
    """What a medium holds, with the names that living processes hold."""

    def __init__(self, objects: Mapping[ObjectName, bytes] | None = None) -> None:
        super().__init__(objects or {})
        self.held: set[ObjectName] = set()
        self.arrivals: dict[ObjectName, int] = {}  # nanoseconds since 1970; what tests put in directly has none


class MemoryStore(Store):
    """Holds ``objects``, which tests may look into, change, and share between instances: each is one process."""

    def __init__(self, objects: Objects | None = None, location: str = "memory:") -> None:
        super().__init__(location)
        self.objects = Objects() if objects is None else objects
        self.holds: set[ObjectName] = set()  # of this process

    def put_if_absent(self, name: ObjectName, data: Buffer) -> None:
        if checked(name) in self.objects:
            raise ObjectExists(name, self.location)
        self._put(name, data)

    def replace(self, name: ObjectName, data: Buffer) -> None:
        self._put(checked(name), data)

    def _put(self, name: ObjectName, data: Buffer) -> None:
        self.objects[name] = bytes(data)
        self.objects.arrivals[name] = time.time_ns()

    def get(self, name: ObjectName) -> bytes:
        try:
            return self.objects[checked(name)]
        except KeyError:
            raise ObjectMissing(name, self.location) from None

    def get_range(self, name: ObjectName, offset: int, length: int) -> bytes:
        content = self.get(name)
        if offset + length > len(content):
            raise truncated(self.location, name, offset + length, len(content))
        return content[offset : offset + length]

    def list(self, collection: str) -> Iterator[tuple[ObjectName, int]]:
        prefix = checked_collection(collection) + "/"
        return iter([(name, len(data)) for name, data in self.objects.items() if name.startswith(prefix)])

    def delete(self, name: ObjectName) -> None:
        if self.objects.pop(checked(name), None) is None:
            raise ObjectMissing(name, self.location)

    def arrived_ns(self, name: ObjectName) -> int | None:
        return self.objects.arrivals.get(checked(name)) if name in self.objects else None

    def settle(self, names: Iterable[ObjectName]) -> None:
        for name in names:
            checked(name)

    def hold(self, name: ObjectName, data: bytes) -> Hold:
        self.put_if_absent(name, data)
        self.objects.held.add(name)
        self.holds.add(name)
        return MemoryHold(self, name)

    def is_held(self, name: ObjectName) -> bool | None:
        return checked(name) in self.objects and name in self.objects.held

    def die(self) -> None:
        """The process ends without a word: what it held stays, and nobody holds it."""
        self.objects.held -= self.holds

    def free_space(self) -> int | None:
        return None


class MemoryHold(Hold):
    """See ``MemoryStore.hold``."""

    def __init__(self, store: MemoryStore, name: ObjectName) -> None:
        self._store, self._name = store, name

    def replace(self, data: bytes) -> None:
        if not self.is_intact():
            raise ObjectMissing(self._name, self._store.location)
        self._store.replace(self._name, data)

    def is_intact(self) -> bool:
        return self._name in self._store.objects

    def release(self) -> None:
        self._store.objects.pop(self._name, None)
        self._store.objects.held.discard(self._name)
        self._store.holds.discard(self._name)
