"""A repository on a store: what may be put where, and the checks that need no key."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from bork.core import digest
from bork.errors import (
    AppendOnly,
    ChangeRefused,
    IntegrityError,
    InvalidRepository,
    ObjectExists,
    ObjectMissing,
    RepositoryAlreadyExists,
    StorageFault,
    StorageQuotaExceeded,
)
from bork.repository import layout
from bork.repository.config import RepositoryConfig, decode
from bork.repository.layout import HeadId, IndexId, KeyId, PackId, RepositoryId, SessionId
from bork.repository.sight import Sight, looks_at
from bork.storage.base import Range
from bork.storage.names import CONFIG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from typing_extensions import Buffer

    from bork.storage.base import Hold, Store
    from bork.storage.names import ObjectName

ID_LENGTH = 32  # bytes of every digest


def _look(store: Store, whats: Sequence[str]) -> Sight:
    return Sight(dict(zip(whats, store.look(looks_at(whats)), strict=True)))


class Repository:
    """One repository. Use ``open``, or make one and put its config last with ``publish_config``.

    Order of a backup: ``put_pack`` for all packs, ``put_index``, then ``put_head``, which is the commit. Each returns
    when its object survives a power cut.
    """

    def __init__(self, store: Store, config: RepositoryConfig, seen: Sight | None = None) -> None:
        self._store = store
        self.config = config
        self.seen = seen  # keys and generations, as they were when it was opened
        self.is_only_read = False  # by this process: a generation that is damaged does not stop it
        self.makes_room = False  # what is put replaces what is deleted right after: no quota stops that
        self._used_bytes: int | None = None  # what the quota limits; counted when a quota first needs it
        self.stored_bytes = 0  # that this process has put, of packs, indexes and heads

    @classmethod
    def open(cls, store: Store) -> Repository:
        """Reads the config, and sees the keys and generations, which are what comes next.

        Raises: InvalidRepository, InvalidRepositoryConfig, UnsupportedFormat, MandatoryFeatureUnsupported.
        """
        sight = _look(store, (CONFIG, layout.KEYS, layout.GENERATIONS))
        data = sight.object(CONFIG)
        if data is None:  # missing, too long to be a config, or it cannot be read: which of these?
            try:
                data = store.get(CONFIG)
            except ObjectMissing:
                raise InvalidRepository(store.location, 'it holds no file "config"') from None
        return cls(store, decode(data, store.location), sight)

    @property
    def id(self) -> RepositoryId:
        """32 random bytes."""
        return self.config.id

    @property
    def location(self) -> str:
        """For messages."""
        return self._store.location

    @property
    def listing_lag_s(self) -> float:
        """See ``Store``."""
        return self._store.listing_lag_s

    @property
    def lease_s(self) -> float | None:
        """See ``Store``."""
        return self._store.lease_s

    @property
    def is_append_only(self) -> bool:
        """Whether what exists can neither be replaced nor deleted: its config says so, or the server that keeps it."""
        return self.config.append_only or self._store.append_only

    def publish_config(self) -> None:
        """Make it a repository: the last step of making one. Raises: RepositoryAlreadyExists."""
        try:
            self._store.put_if_absent(CONFIG, self.config.encode())
        except ObjectExists:
            raise RepositoryAlreadyExists(self.location) from None

    def look(self, *whats: str) -> Sight:
        """See collections and single objects, one after the other, with the latency of one request."""
        return _look(self._store, whats)

    def hold_and_look(self, session: SessionId, data: bytes, *whats: str) -> tuple[Hold, Sight]:
        """Put a session that lives as long as this process, then ``look``. Raises: StorageError; then there is none."""
        hold, found = self._store.hold_and_look(layout.session_name(session), data, looks_at(whats))
        return hold, Sight(dict(zip(whats, found, strict=True)))

    @property
    def releases_at_close(self) -> bool:
        """See ``Store``."""
        return self._store.releases_at_close

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    # ---- put: each object once --------------------------------------------------------------------------------

    def put_pack(self, pack: PackId, data: Buffer) -> None:
        """``pack`` is the digest of ``data``. Raises: StorageQuotaExceeded, StorageError, IntegrityError."""
        self._charge(memoryview(data).nbytes)
        self._put_by_digest(layout.pack_name(pack), pack, data)

    def begin_pack(self, pack: PackId, data: Buffer) -> Callable[[], None] | None:
        """As ``put_pack``. None: it has happened; otherwise it has when the result was called, and until then ``data``
        may not change.
        """
        self._charge(memoryview(data).nbytes)
        name = layout.pack_name(pack)
        try:
            put = self._store.begin_put(name, data)
        except ObjectExists:
            self._verify_existing(name, pack, memoryview(data).nbytes)
            return None
        if put is None:
            return None
        length = memoryview(data).nbytes

        def finish() -> None:
            try:
                put.wait()
            except ObjectExists:
                self._verify_existing(name, pack, length)

        return finish

    def put_index(self, index: IndexId, data: Buffer) -> None:
        """As ``put_pack``. All packs that it names are stored before it."""
        self._charge(memoryview(data).nbytes)
        self._put_by_digest(layout.index_name(index), index, data)

    def put_key(self, data: bytes) -> KeyId:
        """A new key slot."""
        key = KeyId(digest(data))
        self._put_by_digest(layout.key_name(key), key, data)
        return key

    def put_head(self, head: HeadId, data: bytes) -> None:
        """Commit an archive. Raises: ObjectExists, if there is one with that name already; StorageError."""
        self._charge(len(data))
        self._store.put_if_absent(layout.head_name(head), data)

    def put_head_while_held(self, hold: Hold, head: HeadId, data: bytes) -> bool:
        """As ``put_head``, for a session. See ``Store.put_while_held``."""
        self._charge(len(data))
        return self._store.put_while_held(hold, layout.head_name(head), data)

    def _put_by_digest(self, name: ObjectName, expected: bytes, data: Buffer) -> None:
        """What is there already under its own digest is the same object, once that has been verified."""
        try:
            self._store.put_if_absent(name, data)
        except ObjectExists:
            self._verify_existing(name, expected, memoryview(data).nbytes)

    def _verify_existing(self, name: ObjectName, expected: bytes, length: int) -> None:
        found = self._store.get(name)
        if len(found) != length or digest(found) != expected:
            raise self._damaged(name, expected, found)
        self._store.settle([name])

    def _charge(self, length: int) -> None:
        self.stored_bytes += length
        quota = self.config.storage_quota
        if quota and not self.makes_room:
            self._used_bytes = length + (self.used_bytes() if self._used_bytes is None else self._used_bytes)
            if self._used_bytes > quota:
                raise StorageQuotaExceeded(quota, self._used_bytes)

    # ---- list and get -----------------------------------------------------------------------------------------

    def packs(self) -> dict[PackId, int]:
        """Every pack and its length in bytes. Memory: about 150 bytes a pack."""
        return {PackId(layout.id_in(name)): length for name, length in self._store.list(layout.PACKS)}

    def indexes(self) -> list[IndexId]:
        """Every index object, sorted."""
        return sorted(IndexId(layout.id_in(name)) for name, _ in self._store.list(layout.INDEXES))

    def key_slots(self) -> list[KeyId]:
        """Every key slot, sorted."""
        return sorted(KeyId(layout.id_in(name)) for name, _ in self._store.list(layout.KEYS))

    def heads(self) -> list[HeadId]:
        """The head of every archive, sorted."""
        return sorted(HeadId(layout.id_in(name)) for name, _ in self._store.list(layout.ARCHIVES))

    def get_index(self, index: IndexId) -> bytes:
        """Raises: ObjectMissing; IntegrityError, if its digest is not its name."""
        return self._get_by_digest(layout.index_name(index), index)

    def get_key(self, key: KeyId) -> bytes:
        """As ``get_index``."""
        return self._get_by_digest(layout.key_name(key), key)

    def keys_seen(self) -> dict[KeyId, bytes | None]:
        """Every key slot when the repository was opened. See ``Sight.verified_keys``."""
        return (self.look(layout.KEYS) if self.seen is None else self.seen).verified_keys()

    def get_head(self, head: HeadId) -> bytes:
        """Raises: ObjectMissing."""
        return self._store.get(layout.head_name(head))

    def replace_head(self, head: HeadId, data: bytes) -> None:
        """Commit an archive in place of the one of the same name: at each moment there is one of them, whole.

        Raises: StorageError, StorageQuotaExceeded.
        """
        self._charge(len(data))
        self._store.replace(layout.head_name(head), data)

    def arrivals_ns(self, heads: Sequence[HeadId]) -> Sequence[int | None]:
        """When each archive was committed, by the clock of who keeps the repository. See ``Store.arrived_ns``."""
        return self._store.arrivals_ns([layout.head_name(head) for head in heads])

    def delete_head(self, head: HeadId) -> None:
        """Delete an archive; a compaction frees its space. Raises: ObjectMissing, StorageError."""
        self._store.delete(layout.head_name(head))

    def begin_delete_head(self, head: HeadId, content: bytes) -> Callable[[], bool]:
        """Delete an archive if its head is still the one with this BLAKE3. See ``Store.begin_delete_if``."""
        return self._store.begin_delete_if(layout.head_name(head), content)

    def verify(self, name: ObjectName) -> None:
        """Compare a head or a generation with the checksum at its end; no key is needed. Raises: as ``get_index``."""
        data = self._store.get(name)
        if len(data) < ID_LENGTH or digest(data[:-ID_LENGTH]) != data[-ID_LENGTH:]:
            raise self._damaged(name, data[-ID_LENGTH:], data[:-ID_LENGTH])

    def read(self, ranges: Sequence[tuple[PackId, int, int]]) -> list[bytes]:
        """Parts of packs: ``(pack, offset, length)``. Raises: ObjectMissing, IntegrityError, StorageError."""
        return self._store.get_ranges(
            [Range(layout.pack_name(pack), offset, length) for pack, offset, length in ranges]
        )

    def begin_read(self, ranges: Sequence[tuple[PackId, int, int]]) -> Callable[[], list[bytes]] | None:
        """As ``read``: they come when the result is called. None: use ``read``."""
        return self._store.begin_ranges(
            [Range(layout.pack_name(pack), offset, length) for pack, offset, length in ranges]
        )

    def _get_by_digest(self, name: ObjectName, expected: bytes) -> bytes:
        data = self._store.get(name)
        if digest(data) != expected:
            raise self._damaged(name, expected, data)
        return data

    def _damaged(self, name: ObjectName, expected: bytes, found: bytes) -> IntegrityError:
        return IntegrityError(
            f"the object {name}",
            self.location,
            f"BLAKE3 {expected.hex()}",
            f"{digest(found).hex()} ({len(found)} bytes)",
        )

    # ---- sessions and generations: see docs/format/sessions.md ---------------------------------------------------

    def get_session(self, session: SessionId) -> bytes:
        """Raises: ObjectMissing."""
        return self._store.get(layout.session_name(session))

    def delete_session(self, session: SessionId) -> None:
        """Remove a session that is dead, or shall not go on. It is no error if it is gone."""
        self._delete_quietly(layout.session_name(session))

    def generations(self) -> list[int]:
        """The numbers of all generations that are there, sorted."""
        return sorted(layout.number_in(name) for name, _ in self._store.list(layout.GENERATIONS))

    def get_generation(self, number: int) -> bytes:
        """Raises: ObjectMissing."""
        return self._store.get(layout.generation_name(number))

    def put_generation(self, number: int, data: bytes) -> None:
        """Raises: ObjectExists, if another compaction was faster; StorageError."""
        self._store.put_if_absent(layout.generation_name(number), data)

    def delete_generation(self, number: int) -> None:
        """It is no error if it is gone."""
        self._delete_quietly(layout.generation_name(number))

    def delete_pack(self, pack: PackId) -> None:
        """Only a compaction does that, and says why it may. It is no error if the pack is gone."""
        self._delete_quietly(layout.pack_name(pack))
        self._used_bytes = None

    def delete_index(self, index: IndexId) -> None:
        """Another index says the same now. It is no error if it is gone."""
        self._delete_quietly(layout.index_name(index))
        self._used_bytes = None

    def set_aside(self, name: ObjectName) -> bool:
        """Move a damaged object to ``damaged/``, where nobody looks but people. False: it cannot be read, and stays.

        A crash in between leaves both.  Raises: StorageError.
        """
        try:
            data = self._store.get(name)
        except ObjectMissing:
            return True
        except StorageFault:
            return False
        with contextlib.suppress(ObjectExists):
            self._store.put_if_absent(layout.damaged_name(digest(data)), data)
        self._delete_quietly(name)
        self._used_bytes = None
        return True

    def _delete_quietly(self, name: ObjectName) -> None:
        with contextlib.suppress(ObjectMissing):
            self._store.delete(name)

    def use_reserve(self) -> None:
        """See ``Store.use_reserve``."""
        self._store.use_reserve()

    def keep_reserve(self) -> None:
        """See ``Store.keep_reserve``."""
        self._store.keep_reserve()

    # ---- the rest ---------------------------------------------------------------------------------------------

    def settle_packs(self, packs: Iterable[PackId]) -> None:
        """Make packs that were found by listing durable, before something new refers to them."""
        self._store.settle(layout.pack_name(pack) for pack in packs)

    def settle_all(self, packs: Iterable[PackId]) -> None:
        """Before something is deleted because of what was listed: these packs are there, and archives, indexes and
        generations are there or gone, for good.
        """
        any_id = bytes(ID_LENGTH)  # one name of a collection settles all of it
        whole = (layout.head_name(HeadId(any_id)), layout.index_name(IndexId(any_id)), layout.generation_name(1))
        self._store.settle([*whole, *map(layout.pack_name, packs)])

    def require_deletable(self) -> None:
        """For what deletes archives that were complete, before it begins. Raises: AppendOnly, ChangeRefused."""
        if self.config.append_only:
            raise AppendOnly(self.location)
        if self._store.append_only:
            raise ChangeRefused(self.location, "delete", "an archive")

    def change_config(self, change: Callable[[RepositoryConfig], RepositoryConfig]) -> None:
        """Change the settings of this moment; who opens the repository sees old or new ones. Raises: StorageError."""
        self.config = change(decode(self._store.get(CONFIG), self.location))
        self._store.replace(CONFIG, self.config.encode())

    def destroy(self) -> bool:
        """Remove the whole repository. As ``Store.destroy``. Raises: AppendOnly, StorageError."""
        self.require_deletable()
        return self._store.destroy()

    def delete_key(self, key: KeyId) -> None:
        """Remove a key slot. The caller has put another one before."""
        self._store.delete(layout.key_name(key))

    def stay(self) -> None:
        """See ``Store.stay``."""
        self._store.stay()

    def sweep(self) -> None:
        """Remove what writers that no longer live left half done; no object is touched."""
        self._store.sweep()

    def used_bytes(self) -> int:
        """Bytes of all packs, indexes and heads, which is what the quota limits. Cost: lists them all."""
        collections = (layout.PACKS, layout.INDEXES, layout.ARCHIVES)
        return sum(length for collection in collections for _, length in self._store.list(collection))

    def free_space(self) -> int | None:
        """Bytes that can still be put, by the medium and the quota; None if nobody can tell."""
        free = self._store.free_space()
        if not self.config.storage_quota or self.makes_room:
            return free
        left = max(0, self.config.storage_quota - self.used_bytes())
        return left if free is None else min(free, left)
