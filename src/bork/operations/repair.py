"""Mend what can be mended, and set aside what cannot: ``bork check --repair``.

Every step leaves what was restorable restorable, also when it is interrupted: first what is good is stored again, then
what is damaged is moved to ``damaged/``. Nothing is deleted. Archives are not changed: a file that has lost a chunk
stays as it is, and is whole again when a later backup stores the chunk, for a chunk is known by its content.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bork.archive.generation import Generation
from bork.core import ChunkIndex, Marks, RewriteEngine
from bork.errors import IntegrityError, ObjectMissing, RepositoryError, StorageFault
from bork.operations import generations, merging
from bork.operations.committing import choose_pack_size
from bork.operations.create import Compression
from bork.operations.drive import drive
from bork.operations.events import Silence
from bork.operations.heads import open_head
from bork.operations.index import add_pack, cache_directory, load_index
from bork.operations.merging import Table
from bork.operations.reading import percent
from bork.repository import layout

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bork.operations.access import Access
    from bork.operations.events import EventSink
    from bork.operations.index import LoadedIndex
    from bork.operations.opening import OpenRepository
    from bork.repository.layout import PackId
    from bork.storage.names import ObjectName


class Repaired:
    """How many of each were mended or set aside."""

    __slots__ = ("generations", "heads", "indexes", "keys", "packs", "unreadable")

    def __init__(self) -> None:
        self.generations = self.heads = self.keys = self.indexes = self.packs = 0
        self.unreadable = 0  # that could not be moved, for the medium does not give them

    @property
    def total(self) -> int:
        """All together."""
        return self.generations + self.heads + self.keys + self.indexes + self.packs


class Repair:
    """One repair. The repository was opened for this process alone."""

    def __init__(self, access: Access, opened: OpenRepository, events: EventSink) -> None:
        self._access, self._events = access, events
        self._repository, self._keys = opened.repository, opened.keys
        self._repository.makes_room = True
        self.repaired = Repaired()
        self._unread: set[PackId] = set()  # packs that the medium did not give when they were to be moved

    def generation(self) -> None:
        """A generation that cannot be read condemns nothing, which is always right: put one that says so. All that
        cannot be read are set aside then.
        """
        number = generations.newest_number(self._repository)
        try:
            generations.newest(self._repository, self._keys)
        except IntegrityError:
            generations.publish(self._repository, self._keys, Generation(number + 1))
        for name, fault in generations.damaged(self._repository, self._keys):
            self._say("generation", name, fault)
            self.repaired.generations += self._set_aside(name)

    def heads(self) -> None:
        """Set aside heads that do not open: their archives are lost, and their names are free again."""
        for head in self._repository.heads():
            try:
                open_head(self._keys, head, self._repository.get_head(head))
            except ObjectMissing:
                continue
            except IntegrityError as fault:
                self._say("head of an archive", layout.head_name(head), fault)
                self.repaired.heads += self._set_aside(layout.head_name(head))

    def key_slots(self) -> None:
        """Set aside keys that are not what they were. Another one has opened the repository."""
        for key in self._repository.key_slots():
            try:
                self._repository.get_key(key)
            except IntegrityError as fault:
                self._say("key", layout.key_name(key), fault)
                self.repaired.keys += self._set_aside(layout.key_name(key))

    def packs(self, damaged: Iterable[PackId]) -> None:
        """Move everything that opens out of damaged packs, and set them aside."""
        loaded = self._load()
        packs = [pack for pack in damaged if pack in loaded.packs]
        # What a pack says of itself is the truth, as long as it can be read; an index may be wrong about it.
        by_themselves = ChunkIndex()
        telling = [pack for pack in packs if self._describes_itself(by_themselves, pack, loaded.packs[pack])]
        for index, group in ((by_themselves, telling), (loaded.chunks, sorted(set(packs) - set(telling)))):
            if group:
                self._rewrite(loaded, index, group)
        for pack in packs:
            if pack in self._unread:
                # Perhaps the medium gives it the next time: what is good in it was not all moved.
                self._keep(layout.pack_name(pack))
                continue
            self._events.log("info", f"Pack {pack.hex()} is damaged: what opens of it is in other packs now.")
            self.repaired.packs += self._set_aside(layout.pack_name(pack))

    def _describes_itself(self, index: ChunkIndex, pack: PackId, length: int) -> bool:
        try:
            add_pack(index, self._repository, self._keys, pack, length, to_index=False)
        except (RepositoryError, ObjectMissing, StorageFault):
            return False
        return True

    def indexes(self) -> None:
        """Set aside indexes that cannot be read, when new ones name their packs; let none name what is gone."""
        loaded = self._load()
        if loaded.adopted:
            self._rewrite(loaded, loaded.chunks, [])
            loaded = self._load()
        good = {table[0] for table in loaded.chunks.tables()}
        for index in self._repository.indexes():
            if index not in good:
                self._events.log("info", f"Index {index.hex()} is damaged: others name its packs now.")
                self.repaired.indexes += self._set_aside(layout.index_name(index))
        for group in merging.plan_rewrite(Table(*table) for table in loaded.chunks.tables()):
            if any(table.absent for table in group):
                merging.merge(self._repository, self._keys, loaded.chunks, group)
                self.repaired.indexes += len(group)

    def _load(self) -> LoadedIndex:
        return load_index(self._access, self._repository, self._keys, Silence(), trust_cache=False)

    def _rewrite(self, loaded: LoadedIndex, index: ChunkIndex, packs: list[PackId]) -> None:
        """Store everything of some packs again that opens; packs that ``index`` has adopted get an index, too."""
        marks = Marks(index)
        marks.mark_packs(packs)
        plan: dict[str, object] = {
            "threads": self._access.threads,
            "packs": packs,
            "verify": True,  # a chunk that is not what its id says must not be found again
            "compression": Compression("zstd", 3)._asdict(),
            "pack_size": choose_pack_size(sum(loaded.packs.values())),
            "scratch_dir": cache_directory(self._access, self._repository),
        }
        self._repository.settle_packs(loaded.adopted)
        engine = RewriteEngine(plan, self._keys, index, marks)
        # What cannot be moved has been told by the check already.
        drive(
            engine,
            self._repository,
            Silence(),
            progress=percent("compact.packs"),
            stored=engine.stored,
            unread=self._unread.add,
        )

    def _say(self, what: str, name: ObjectName, fault: Exception) -> None:
        self._events.log("info", f"The {what} {name} is damaged, and set aside: {fault}")

    def _set_aside(self, name: ObjectName) -> int:
        if self._repository.set_aside(name):
            return 1
        self._keep(name)
        return 0

    def _keep(self, name: ObjectName) -> None:
        self.repaired.unreadable += 1
        self._events.log("error", f"{name} cannot be read from the medium, and stays where it is.")
