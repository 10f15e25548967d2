"""A store that is a dictionary: for tests, and the model that the other backends are compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bork.errors import ObjectExists, ObjectMissing
from bork.storage.base import Store
from bork.storage.faults import truncated
from bork.storage.names import ObjectName, checked, checked_collection

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from typing_extensions import Buffer


class MemoryStore(Store):
    """Holds ``objects``, which tests may look into, change, and share between instances."""

    def __init__(self, objects: dict[ObjectName, bytes] | None = None, location: str = "memory:") -> None:
        super().__init__(location)
        self.objects = {} if objects is None else objects

    def put_if_absent(self, name: ObjectName, data: Buffer) -> None:
        if checked(name) in self.objects:
            raise ObjectExists(name, self.location)
        self.objects[name] = bytes(data)

    def replace(self, name: ObjectName, data: Buffer) -> None:
        self.objects[checked(name)] = bytes(data)

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

    def settle(self, names: Iterable[ObjectName]) -> None:
        for name in names:
            checked(name)

    def free_space(self) -> int | None:
        return None
