"""Give back the space of what no archive needs, beside running backups. See docs/format/sessions.md, "Compaction".

In rounds: what is needed of some packs is moved into new ones, a generation condemns the old ones, and when every
session that lives has seen it, they are deleted. The first round condemns packs that nothing is needed of, and so makes
room for the others. Nothing is deleted that an archive needs, whenever it was committed: archives that came meanwhile
are looked at before.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from bork.core import MarkEngine, Marks, RewriteEngine
from bork.operations import generations, merging
from bork.operations.committing import choose_pack_size
from bork.operations.create import Compression
from bork.operations.drive import drive
from bork.operations.heads import load_heads, name_bytes
from bork.operations.index import cache_directory, load_index, look_at_all
from bork.operations.merging import Table
from bork.operations.opening import OpenRepository, open_repository
from bork.operations.reading import percent
from bork.operations.reserving import with_reserve
from bork.repository.layout import PackId

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bork.archive.generation import Generation
    from bork.operations.access import Access
    from bork.operations.events import EventSink
    from bork.operations.heads import ArchiveEntry, Heads
    from bork.operations.index import LoadedIndex
    from bork.operations.selection import ArchiveId
    from bork.operations.sessions import Seen
    from bork.repository.layout import SessionId
    from bork.repository.sight import Sight

# Of needed chunks that are moved before packs are deleted: so much space is taken meanwhile, or half of what is free.
ROUND_BYTES = 1 << 30


GENERATION_MAX = 1 << 48  # no compaction gets there


class CompactOptions(NamedTuple):
    """``threshold``: a pack is rewritten if at least so many percent of it are not needed; above 100: none is."""

    threshold: int = 10
    dry_run: bool = False
    compression: Compression = Compression("zstd", 3)  # of what is grouped anew


class CompactOutcome(NamedTuple):
    """Sizes in bytes."""

    unused_bytes: int  # what no archive needed, in the packs that were to be rewritten or deleted
    freed_bytes: int  # of packs that were deleted, less those of packs that were made
    deleted_packs: int
    rewritten_packs: int
    waiting_bytes: int  # of packs that are condemned and could not be deleted yet
    waiting_for: tuple[Seen, ...]  # the sessions that these packs wait for
    missing_chunks: int  # that archives refer to: damage that was there before


class PackUsage(NamedTuple):
    """What the archives need of one pack. Sizes in bytes."""

    name: PackId
    length: int  # of the file
    stored: int  # of its objects
    needed: int  # of its objects: an estimate, for what is needed of an object is a share of it
    chunks: int  # that are needed: exact. What becomes of a pack depends on this alone

    @property
    def unused_percent(self) -> float:
        """Share of its objects that nobody needs."""
        return 100.0 * (self.stored - self.needed) / max(self.stored, 1)


def run(access: Access, options: CompactOptions, events: EventSink) -> CompactOutcome:
    """Compact. With ``dry_run`` only the numbers are found, and nothing is changed.

    Memory: 2 bytes and a bit a chunk, 150 bytes a pack, and the buffers of new packs.
    Raises: LockTimeout, if another compaction is at work; IntegrityError, if an archive cannot be read, for then nobody
    knows what it needs; AppendOnly; StorageError; CancelledByUser.
    """
    with open_repository(access, role="reader" if options.dry_run else "compactor") as opened:
        if not options.dry_run:
            opened.repository.require_deletable()
        compaction = _Compaction(access, options, opened, events)
        compaction.mark()
        return compaction.numbers() if options.dry_run else compaction.run()


def plan_rewrite(usage: Iterable[PackUsage], threshold: int) -> list[PackUsage]:
    """Packs to rewrite: those of which something is needed, and too much is not. The emptiest ones first."""
    chosen = [pack for pack in usage if pack.chunks and pack.needed < pack.stored and pack.unused_percent >= threshold]
    return sorted(chosen, key=lambda pack: (-pack.unused_percent, pack.name))


class _Compaction:
    def __init__(self, access: Access, options: CompactOptions, opened: OpenRepository, events: EventSink) -> None:
        self._access, self._options, self._events = access, options, events
        self._repository, self._keys = opened.repository, opened.keys
        self._opened = opened
        self._repository.makes_room = True
        if not options.dry_run:
            self._repository.sweep()
        # Heads before the index: what it knows then is all that these archives refer to.
        sight = look_at_all(opened.repository)
        self._archives = self._entries(sight)
        self._loaded: LoadedIndex = load_index(access, opened.repository, opened.keys, events, sight=sight)
        if not options.dry_run:
            # Whoever put or deleted something that was seen may have been killed before it was durable. What is deleted
            # here must not be what a power cut brings the need for back, or the only durable copy.
            self._repository.settle_all(self._loaded.adopted)
        self._indexed = frozenset(PackId(pack) for pack in self._loaded.chunks.packs())
        self._generation = self._loaded.generation
        self._marks = Marks(self._loaded.chunks)
        self._marked: frozenset[ArchiveId] = frozenset()
        self._usage: dict[PackId, PackUsage] = {}
        self._missing = 0
        self._rewritten = 0
        self._deleted: dict[PackId, int] = {}
        self._made_bytes = 0

    # ---- what is needed ------------------------------------------------------------------------------------------

    def mark(self) -> None:
        """Find out what all archives need."""
        self._missing = self._run_marks(self._archives, self._loaded, self._marks)
        self._marked = frozenset(entry.id for entry in self._archives)
        self._usage = _usage(self._marks)
        if self._missing:
            self._events.log(
                "warning", f'{self._missing} chunks that archives refer to are missing. Run "bork check" to see which.'
            )

    def _entries(self, sight: Sight | None = None) -> tuple[ArchiveEntry, ...]:
        return self._heads(sight).entries

    def _heads(self, sight: Sight | None = None) -> Heads:
        heads = load_heads(self._repository, self._keys, sight=sight)
        for damage in heads.damaged:
            raise damage
        return heads

    def _all_entries(self) -> tuple[ArchiveEntry, ...]:
        """As ``_entries``, and none is missed that gets another name this very moment, even if it gets its old one
        back: all that are listed are read, twice, and are the same. No two heads that were ever stored are the same.
        """
        before: tuple[ArchiveEntry, ...] | None = None
        while True:
            self._access.clock.wait(self._repository.listing_lag_s)
            names = self._repository.heads()
            heads = self._heads()
            is_whole = heads.names == frozenset(names)
            if is_whole and heads.entries == before:
                return heads.entries
            before = heads.entries if is_whole else None

    def _run_marks(self, entries: Iterable[ArchiveEntry], loaded: LoadedIndex, marks: Marks) -> int:
        archives = [(name_bytes(entry.name).decode("utf-8", "replace"), entry.head.root) for entry in entries]
        plan: dict[str, object] = {"threads": self._access.threads, "archives": archives}
        engine = MarkEngine(plan, self._keys, loaded.chunks, marks)
        outcome = drive(engine, self._repository, self._events, progress=percent("compact.mark"))
        return outcome.number("missing")

    def _plan(self) -> tuple[Sequence[PackUsage], Sequence[PackUsage]]:
        """Packs that nothing is needed of, and packs to rewrite, of those that are not condemned."""
        usage = [pack for pack in self._usage.values() if pack.name not in self._generation.condemned]
        others = [] if self._opened.session is None else self._opened.session.others()
        fresh: frozenset[PackId] = frozenset()
        if any(seen.record.role == "writer" for seen in others):
            fresh = frozenset(self._loaded.adopted)  # most likely theirs, and needed soon
        dead = [pack for pack in usage if not pack.chunks and pack.name not in fresh]
        return dead, plan_rewrite(usage, self._options.threshold)

    def numbers(self) -> CompactOutcome:
        """What a compaction would give back."""
        dead, rewritten = self._plan()
        unused = sum(pack.length for pack in dead) + sum(pack.stored - pack.needed for pack in rewritten)
        waiting = sum(self._usage[pack].length for pack in self._generation.condemned if pack in self._usage)
        return CompactOutcome(unused, 0, len(dead), len(rewritten), waiting, (), self._missing)

    # ---- rounds --------------------------------------------------------------------------------------------------

    def run(self) -> CompactOutcome:
        """All rounds, and the indexes at the end."""
        dead, to_rewrite = self._plan()
        unused = sum(pack.length for pack in dead) + sum(pack.stored - pack.needed for pack in to_rewrite)
        needed_again = [pack for pack in self._generation.condemned if self._needed(pack)]
        waiting_for: Sequence[Seen] = ()
        if dead or needed_again or self._has_useless_records() or self._generation_is_lost():
            self._condemn([pack.name for pack in dead], pardoned=needed_again)
        waiting_for = self._sweep()
        while to_rewrite:
            room = self._room()
            if waiting_for and room < ROUND_BYTES:
                break  # what was moved takes its space twice until then: what is left belongs to those who are at work
            chosen, to_rewrite = _round(to_rewrite, room)
            self._condemn(self._rewrite(chosen))
            waiting_for = self._sweep()
        self._clean_indexes()
        self._repository.keep_reserve()
        waiting = [pack for pack in self._generation.condemned if pack not in self._deleted]
        return CompactOutcome(
            unused_bytes=unused,
            freed_bytes=sum(self._deleted.values()) - self._made_bytes,
            deleted_packs=len(self._deleted),
            rewritten_packs=self._rewritten,
            waiting_bytes=sum(self._loaded.packs.get(pack, 0) for pack in waiting),
            waiting_for=tuple(waiting_for),
            missing_chunks=self._missing,
        )

    def _room(self) -> int:
        free = self._repository.free_space()
        return ROUND_BYTES if free is None else min(ROUND_BYTES, free // 2)

    def _needed(self, pack: PackId) -> bool:
        usage = self._usage.get(pack)
        return usage is not None and usage.chunks > 0

    def _has_useless_records(self) -> bool:
        """Whether the generation names packs that are gone, and that no index names any more."""
        return any(not self._is_recorded(pack) for pack in self._generation.condemned)

    def _generation_is_lost(self) -> bool:
        """Whether a session that lives has seen a newer one, of which nobody knows any more what it pardoned."""
        return any(_has_seen(seen) > self._generation.number for seen in self._opened.at_work.others())

    def _is_recorded(self, pack: PackId) -> bool:
        # A deleted pack stays condemned until no index names it: if we end before that, it must not look lost.
        return pack in self._indexed or (pack in self._loaded.packs and pack not in self._deleted)

    def _rewrite(self, chosen: Sequence[PackUsage]) -> list[PackId]:
        """Move what is needed of some packs into new ones. The result is those that have nothing needed any more."""
        before = self._repository.stored_bytes
        plan: dict[str, object] = {
            "threads": self._access.threads,
            "packs": [pack.name for pack in chosen],
            "verify": False,
            "compression": self._options.compression._asdict(),
            "pack_size": choose_pack_size(sum(self._loaded.packs.values())),
            "scratch_dir": cache_directory(self._access, self._repository),
        }
        engine = RewriteEngine(plan, self._keys, self._loaded.chunks, self._marks)
        try:
            drive(engine, self._repository, self._events, progress=percent("compact.packs"), stored=engine.stored)
        finally:
            self._made_bytes += self._repository.stored_bytes - before
        kept = set(engine.kept())
        moved = [pack.name for pack in chosen if pack.name not in kept]
        self._rewritten += len(moved)
        return moved

    def _condemn(self, packs: Sequence[PackId], pardoned: Sequence[PackId] = ()) -> None:
        """Publish the next generation: nothing new refers to ``packs`` from now on."""
        # A number never comes twice while somebody lives who has seen it: he would seem to know what this one condemns.
        number = 1 + max([self._generation.number, *map(_has_seen, self._opened.at_work.others())])
        # Those that are deleted stay named until no index of the beginning named them: somebody may have merged indexes
        # meanwhile, and what an index names must be there or condemned.
        condemned = {
            pack: first
            for pack, first in self._generation.condemned.items()
            if pack not in pardoned and self._is_recorded(pack)
        }
        if self._generation_is_lost():
            condemned = dict.fromkeys(condemned, number)
        condemned |= dict.fromkeys(packs, number)
        self._publish(self._generation._replace(number=number, condemned=condemned))

    def _publish(self, generation: Generation) -> None:
        self._opened.at_work.verify()
        with_reserve(self._repository, partial(generations.publish, self._repository, self._keys, generation))
        self._generation = generation

    def _sweep(self) -> Sequence[Seen]:
        """Delete condemned packs that no session and no archive can need. The result is the sessions in the way."""
        due = [pack for pack in self._generation.condemned if pack not in self._deleted and pack in self._loaded.packs]
        if not due:
            return ()
        in_the_way = self._in_the_way()
        seen_by_all = min(map(_has_seen, in_the_way), default=self._generation.number)
        due = [pack for pack in due if self._generation.condemned[pack] <= seen_by_all]
        needed = self._needed_by_new_archives() if due else frozenset()
        self._opened.at_work.verify()
        for pack in due:
            if pack not in needed:
                self._repository.delete_pack(pack)
                self._deleted[pack] = self._loaded.packs[pack]
        return in_the_way

    def _in_the_way(self) -> list[Seen]:
        """Sessions that began before the newest generation and may live."""
        in_the_way = self._behind()
        lease_s = self._repository.lease_s
        uncertain = {seen.id: seen.record for seen in in_the_way if not seen.is_certain}
        if not uncertain or lease_s is None:
            return in_the_way
        self._access.clock.wait(lease_s)
        later = {seen.id: seen.record for seen in self._behind()}
        silent = [session for session, record in uncertain.items() if later.get(session) == record]
        if silent:
            self._fence(silent)
        return self._behind()

    def _behind(self) -> list[Seen]:
        # Who is not found by this listing has put its session after the generation, and so has seen it.
        self._access.clock.wait(self._repository.listing_lag_s)
        others = [seen for seen in self._opened.at_work.others() if not seen.record.waiting]
        return [seen for seen in others if _has_seen(seen) < self._generation.number]

    def _fence(self, silent: Sequence[SessionId]) -> None:
        """Sessions that have not said anything for the time of a lease cannot commit any more."""
        for session in silent:
            self._repository.delete_session(session)
        # A commit looks for its session after it has stored its head. So a head that is not found here belongs to
        # nobody who has been told that it is complete.
        self._access.clock.wait(self._repository.listing_lag_s)
        names = {session.hex() for session in silent}
        honoured = {entry.object for entry in self._entries() if entry.head.session in names}
        before = self._generation
        self._publish(
            before._replace(
                number=before.number + 1,
                fenced=before.fenced | frozenset(silent),
                honoured=before.honoured | honoured,
            )
        )

    def _needed_by_new_archives(self) -> frozenset[PackId]:
        """Condemned packs that archives need which were committed since the marking."""
        new = [entry for entry in self._all_entries() if entry.id not in self._marked]
        if not new:
            return frozenset()
        loaded = load_index(self._access, self._repository, self._keys, self._events)
        marks = Marks(loaded.chunks)
        self._run_marks(new, loaded, marks)
        return frozenset(pack.name for pack in _usage(marks).values() if pack.chunks)

    # ---- the end -------------------------------------------------------------------------------------------------

    def _clean_indexes(self) -> None:
        """Let no index name packs that were deleted."""
        index = self._loaded.chunks
        index.forget_packs(sorted(self._deleted))
        for group in merging.plan_rewrite(Table(*table) for table in index.tables()):
            merging.merge(self._repository, self._keys, index, group)


def _has_seen(seen: Seen) -> int:
    """The newest generation that a session knows. Anything can stand in a session, and numbers must not run out."""
    return seen.record.generation if seen.record.generation < GENERATION_MAX else -1


def _usage(marks: Marks) -> dict[PackId, PackUsage]:
    return {PackId(pack[0]): PackUsage(PackId(pack[0]), *pack[1:]) for pack in sorted(marks.usage())}


def _round(packs: Sequence[PackUsage], room: int) -> tuple[Sequence[PackUsage], Sequence[PackUsage]]:
    """The first packs, at least one, of which no more than ``room`` is needed; and the others."""
    count, size = 1, packs[0].needed
    while count < len(packs) and size + packs[count].needed <= room:
        size += packs[count].needed
        count += 1
    return packs[:count], packs[count:]
