"""A store that fails, tears or stops at one chosen operation; everything else goes to the store inside."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NoReturn

from bork.errors import NoSpace, StorageFault
from bork.storage.base import Hold, Store
from bork.storage.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from typing_extensions import Buffer

    from bork.storage.names import ObjectName

# fail: an error, and nothing happened. full: the same as "no space". late: an error, although it happened.
# stop: the process ends before it. stop_after: the process ends when it has happened. For a put "late" and
# "stop_after" are what a torn reply, or a crash between rename and return, look like: an object is never half there.
Fault = Literal["fail", "full", "late", "stop", "stop_after"]
FAULTS: tuple[Fault, ...] = ("fail", "full", "late", "stop", "stop_after")


class Crash(BaseException):
    """The process ends here. Nothing may catch it and go on."""


@dataclass
class Schedule:
    """Which operation fails, counted from 0 over all stores that share the schedule; None: none, only count."""

    at: int | None = None
    fault: Fault = "fail"
    repeat: bool = False  # whether every later operation fails as well, as on a disk that is gone
    count: int = 0
    log: list[str] = field(default_factory=list)
    has_crashed: bool = False

    def strikes(self, operation: str) -> bool:
        """Count one operation; whether it is the one."""
        self.log.append(operation)
        number, self.count = self.count, self.count + 1
        return self.at is not None and (number == self.at or (self.repeat and number > self.at))


class FaultyStore(Store):
    """Wraps ``inner``. Each verb is one operation; listing is one when it begins."""

    def __init__(self, inner: Store, schedule: Schedule) -> None:
        super().__init__(inner.location)
        self._inner = inner
        self._schedule = schedule

    def _before(self, verb: str, name: str) -> bool:
        """Whether the operation strikes and still has to happen first."""
        if self._schedule.has_crashed:
            raise Crash
        if not self._schedule.strikes(f"{verb} {name}"):
            return False
        match self._schedule.fault:
            case "fail":
                raise StorageFault(self.location, verb, name, "injected fault")
            case "full":
                raise NoSpace(self.location, verb, name)
            case "stop":
                self._die()
            case "late" | "stop_after":
                pass
        return True

    def _after(self, verb: str, name: str, *, strikes: bool) -> None:
        if strikes:
            if self._schedule.fault == "stop_after":
                self._die()
            raise StorageFault(self.location, verb, name, "late")

    def _die(self) -> NoReturn:
        """What the process held is held by nobody, and it does nothing any more."""
        if isinstance(self._inner, MemoryStore):
            self._inner.die()
        self._schedule.has_crashed = True
        raise Crash

    def put_if_absent(self, name: ObjectName, data: Buffer) -> None:
        strikes = self._before("put", name)
        self._inner.put_if_absent(name, data)
        self._after("put", name, strikes=strikes)

    def replace(self, name: ObjectName, data: Buffer) -> None:
        strikes = self._before("replace", name)
        self._inner.replace(name, data)
        self._after("replace", name, strikes=strikes)

    def get(self, name: ObjectName) -> bytes:
        strikes = self._before("get", name)
        data = self._inner.get(name)
        self._after("get", name, strikes=strikes)
        return data

    def get_range(self, name: ObjectName, offset: int, length: int) -> bytes:
        strikes = self._before("get_range", name)
        data = self._inner.get_range(name, offset, length)
        self._after("get_range", name, strikes=strikes)
        return data

    def list(self, collection: str) -> Iterator[tuple[ObjectName, int]]:
        strikes = self._before("list", collection)
        found = list(self._inner.list(collection))
        self._after("list", collection, strikes=strikes)
        return iter(found)

    def delete(self, name: ObjectName) -> None:
        strikes = self._before("delete", name)
        self._inner.delete(name)
        self._after("delete", name, strikes=strikes)

    def arrived_ns(self, name: ObjectName) -> int | None:
        return self._inner.arrived_ns(name)

    def settle(self, names: Iterable[ObjectName]) -> None:
        names = list(names)
        strikes = self._before("settle", " ".join(names))
        self._inner.settle(names)
        self._after("settle", " ".join(names), strikes=strikes)

    def hold(self, name: ObjectName, data: bytes) -> Hold:
        strikes = self._before("hold", name)
        hold = self._inner.hold(name, data)
        self._after("hold", name, strikes=strikes)
        return FaultyHold(hold, self, name)

    def is_held(self, name: ObjectName) -> bool | None:
        return self._inner.is_held(name)

    def free_space(self) -> int | None:
        return self._inner.free_space()

    def sweep(self) -> None:
        strikes = self._before("sweep", "")
        self._inner.sweep()
        self._after("sweep", "", strikes=strikes)

    def release(self, hold: Hold, name: ObjectName) -> None:
        strikes = self._before("release", name)
        hold.release()
        self._after("release", name, strikes=strikes)

    def close(self) -> None:
        self._inner.close()


class FaultyHold(Hold):
    """A hold whose changes are operations, too. After a crash it is not released: the process is gone."""

    def __init__(self, inner: Hold, store: FaultyStore, name: ObjectName) -> None:
        self._inner, self._store, self._name = inner, store, name

    def replace(self, data: bytes) -> None:
        self._inner.replace(data)

    def is_intact(self) -> bool:
        return self._inner.is_intact()

    def release(self) -> None:
        self._store.release(self._inner, self._name)
