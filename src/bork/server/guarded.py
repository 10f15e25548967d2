"""A store with a policy in front: what a client may put is verified, and what it may not touch is refused.

Append-only means that nothing which exists can be replaced or deleted: archives, packs, indexes, keys and the config.
A client may add packs, indexes and archives, hold sessions that read or write, and make a repository where there is
none. It may take back one thing: an archive that it has just put, if its own session was broken in between, since such
an archive may lack what a compaction has deleted.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bork.core import digest
from bork.errors import BorkError, ChangeRefused, IntegrityError, ObjectMissing, StorageFault, StorageQuotaExceeded
from bork.repository import config as configs
from bork.repository import layout
from bork.repository import session as records
from bork.storage.base import Hold, Range, Store
from bork.storage.names import CONFIG, KEY_LENGTH_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from typing_extensions import Buffer

    from bork.server.policy import Policy
    from bork.storage.base import Found, Look
    from bork.storage.names import ObjectName

RECOUNT_S = 60.0  # after which what other clients have stored is counted again
HOLDS_MAX = 16  # of one client
# Bytes of the objects that are small; all others may have what a message can carry.
LENGTH_MAX = {"config": configs.LENGTH_MAX, layout.KEYS: KEY_LENGTH_MAX, layout.ARCHIVES: 1 << 20}
_BY_DIGEST = (layout.PACKS, layout.INDEXES, layout.KEYS)
_COUNTED = (layout.PACKS, layout.INDEXES, layout.ARCHIVES)
_REPLACED = ("config", layout.ARCHIVES)
_ROLES = ("reader", "writer")  # of an append-only client


class GuardedStore(Store):
    """Everything that one client reaches. ``store`` is closed with it."""

    def __init__(self, store: Store, policy: Policy, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(store.location)
        self._store, self._policy, self._clock = store, policy, clock
        self._holds: dict[ObjectName, Hold] = {}
        self._own_heads: set[ObjectName] = set()
        self._used_bytes, self._counted_at = 0, -RECOUNT_S
        self._has_config = False
        self._quota = policy.storage_quota
        self.append_only = policy.append_only
        self._read_config()

    def _read_config(self) -> None:
        """The rules of the repository, on top of those of the policy. One that cannot be read is a careful one."""
        try:
            data = self._store.get(CONFIG)
        except ObjectMissing:
            return
        self._has_config = True
        try:
            config = configs.decode(data, self.location)
        except BorkError:
            self.append_only = True
            return
        self.append_only = self.append_only or config.append_only
        quotas = [quota for quota in (self._policy.storage_quota, config.storage_quota) if quota]
        self._quota = min(quotas, default=0)

    def _deny(self, operation: str, name: str) -> ChangeRefused:
        return ChangeRefused(self.location, operation, name)

    # ---- put -----------------------------------------------------------------------------------------------------

    def put_if_absent(self, name: ObjectName, data: Buffer) -> None:
        collection = _collection(name)
        self._check_length(name, data)
        if self.append_only and not (collection in _COUNTED or (collection in (CONFIG, layout.KEYS) and self._is_new)):
            raise self._deny("put", name)
        if collection in _BY_DIGEST:
            found = digest(data)
            if found != layout.id_in(name):
                raise IntegrityError(f"the object {name}", self.location, "bytes with this BLAKE3", found.hex())
        length = memoryview(data).nbytes if collection in _COUNTED else 0
        self._charge(length)
        try:
            self._store.put_if_absent(name, data)
        except BaseException:
            self._used_bytes -= length
            raise
        if collection == layout.ARCHIVES:
            self._own_heads.add(name)
        if name == CONFIG:
            self._read_config()

    @property
    def _is_new(self) -> bool:
        """Whether the repository is still being made: nothing in it is anybody's yet."""
        if not self._has_config:
            self._read_config()
        return not self._has_config

    def replace(self, name: ObjectName, data: Buffer) -> None:
        if self.append_only:
            raise self._deny("replace", name)
        if _collection(name) not in _REPLACED:
            raise StorageFault(self.location, "replace", name, "it can only be put once")
        self._check_length(name, data)
        self._charge(memoryview(data).nbytes)
        self._store.replace(name, data)
        self._counted_at = -RECOUNT_S
        self._read_config()

    def delete(self, name: ObjectName) -> None:
        if self.append_only and not self._may_delete(name):
            raise self._deny("delete", name)
        self._store.delete(name)
        self._counted_at = -RECOUNT_S

    def _may_delete(self, name: ObjectName) -> bool:
        collection = _collection(name)
        if collection == layout.SESSIONS:
            return self._store.is_held(name) is False
        if name in self._own_heads:
            return any(not hold.is_intact() for hold in self._holds.values())
        return False

    def _check_length(self, name: ObjectName, data: Buffer) -> None:
        longest, length = LENGTH_MAX.get(_collection(name)), memoryview(data).nbytes
        if longest is not None and length > longest:
            raise StorageFault(self.location, "put", name, f"it is {length} bytes long, and may have {longest}")

    def _charge(self, length: int) -> None:
        if not self._quota or not length:
            return
        if self._clock() - self._counted_at >= RECOUNT_S:
            self._count()
        if self._used_bytes + length > self._quota:
            raise StorageQuotaExceeded(self._quota, self._used_bytes + length)
        self._used_bytes += length

    def _count(self) -> None:
        self._used_bytes = sum(size for collection in _COUNTED for _, size in self._store.list(collection))
        self._counted_at = self._clock()

    # ---- sessions ------------------------------------------------------------------------------------------------

    def hold(self, name: ObjectName, data: bytes) -> Hold:
        self._check_session("hold", name, data)
        if len(self._holds) >= HOLDS_MAX:
            raise StorageFault(self.location, "hold", name, f"this client has {HOLDS_MAX} sessions already")
        self._holds[name] = self._store.hold(name, data)
        return _GuardedHold(self, name)

    def held(self, name: ObjectName) -> Hold:
        """A hold of this client. Raises: ObjectMissing."""
        if name not in self._holds:
            raise ObjectMissing(name, self.location)
        return _GuardedHold(self, name)

    def replace_hold(self, name: ObjectName, data: bytes) -> None:
        """See ``Hold.replace``."""
        self._check_session("replace", name, data)
        self._holds[name].replace(data)

    def is_intact(self, name: ObjectName) -> bool:
        """See ``Hold.is_intact``."""
        return self._holds[name].is_intact()

    def release(self, name: ObjectName) -> None:
        """See ``Hold.release``."""
        self._holds.pop(name).release()

    def _check_session(self, operation: str, name: ObjectName, data: bytes) -> None:
        if _collection(name) != layout.SESSIONS:
            raise StorageFault(self.location, operation, name, "it is no session")
        if self.append_only and records.decode(data).role not in _ROLES:
            raise self._deny(f"{records.decode(data).role}'s", "session")

    # ---- what everybody may do -----------------------------------------------------------------------------------

    def get(self, name: ObjectName) -> bytes:
        return self._store.get(name)

    def get_range(self, name: ObjectName, offset: int, length: int) -> bytes:
        return self._store.get_range(name, offset, length)

    def get_ranges(self, ranges: Sequence[Range]) -> list[bytes]:
        return self._store.get_ranges(ranges)

    def list(self, collection: str) -> Iterator[tuple[ObjectName, int]]:
        return self._store.list(collection)

    def look(self, looks: Sequence[Look]) -> Sequence[Sequence[Found]]:
        return self._store.look(looks)

    def settle(self, names: Iterable[ObjectName]) -> None:
        self._store.settle(names)

    def is_held(self, name: ObjectName) -> bool | None:
        return self._store.is_held(name)

    def arrived_ns(self, name: ObjectName) -> int | None:
        return self._store.arrived_ns(name)

    def use_reserve(self) -> None:
        if not self.append_only:  # it is kept for the owner's deleting
            self._store.use_reserve()

    def keep_reserve(self) -> None:
        self._store.keep_reserve()

    def free_space(self) -> int | None:
        free = self._store.free_space()
        if not self._quota:
            return free
        self._count()
        left = max(0, self._quota - self._used_bytes)
        return left if free is None else min(free, left)

    def destroy(self) -> bool:
        if self.append_only:
            raise self._deny("delete", "all of it")
        return self._store.destroy()

    def sweep(self) -> None:
        self._store.sweep()

    def close(self) -> None:
        """Let all sessions go that the client has left, and close the store."""
        try:
            while self._holds:
                self._holds.popitem()[1].release()
        finally:
            self._store.close()


class _GuardedHold(Hold):
    def __init__(self, store: GuardedStore, name: ObjectName) -> None:
        self._store, self._name = store, name

    def replace(self, data: bytes) -> None:
        self._store.replace_hold(self._name, data)

    def is_intact(self) -> bool:
        return self._store.is_intact(self._name)

    def release(self) -> None:
        self._store.release(self._name)


def _collection(name: ObjectName) -> str:
    return name.partition("/")[0]
