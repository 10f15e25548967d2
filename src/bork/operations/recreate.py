"""Make archives anew from what is in them: with items left out, or content cut or compressed in another way.

An archive that is replaced is there at every moment. The new one is committed beside it as ``NAME.recreate``; then its
head takes the place of the old one in one step, and the name with the suffix goes. After a crash there is the old
archive, or the new one, and perhaps the one with the suffix, which is complete and which the next ``recreate`` takes
away.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Literal, NamedTuple

from bork.core import RecreateEngine, digest
from bork.errors import (
    ArchiveAlreadyExists,
    ArchiveDoesNotExist,
    CancelledByUser,
    CommandError,
    ObjectMissing,
    SessionBroken,
)
from bork.operations.committing import archive_progress, archive_stats, choose_pack_size, commit, seal, tidy_up
from bork.operations.create import Compression
from bork.operations.deleting import delete_archive
from bork.operations.drive import drive
from bork.operations.heads import Heads, load_heads
from bork.operations.index import WHAT_IT_NEEDS, cache_directory, load_index
from bork.operations.opening import open_repository
from bork.operations.selection import ArchiveName
from bork.operations.totals import RepositoryTotals
from bork.repository import layout

if TYPE_CHECKING:
    from collections.abc import Callable

    from bork.archive.head import ArchiveHead, ArchiveStats, Chunker
    from bork.operations.access import Access
    from bork.operations.events import EventSink
    from bork.operations.heads import ArchiveEntry
    from bork.operations.index import LoadedIndex
    from bork.operations.opening import OpenRepository
    from bork.operations.selection import ItemLines, PathArgument, Pattern
    from bork.repository.session import Role

SUFFIX = ".recreate"


class RecreateOptions(NamedTuple):
    """Options of ``bork recreate`` under their own names; see docs/usage/recreate.md. None: as it is."""

    patterns: tuple[Pattern, ...] = ()
    paths: tuple[PathArgument, ...] = ()
    exclude_caches: bool = False
    exclude_if_present: tuple[bytes, ...] = ()
    keep_exclude_tags: bool = False
    target: ArchiveName | None = None
    comment: str | None = None
    timestamp_ns: int | None = None
    recompress: Literal["never", "if-different", "always"] = "never"
    compression: Compression = Compression()
    chunker: Chunker | None = None
    lines: ItemLines | None = None
    dry_run: bool = False
    pack_size: int | None = None  # bytes; None: by the size of the repository
    # Called with the name of each archive of a repository before it is worked on.
    announce: Callable[[ArchiveName], None] | None = None

    def concerns(self, head: ArchiveHead) -> bool:
        """Whether there is anything to do with an archive."""
        return bool(
            self.patterns
            or self.paths
            or self.exclude_caches
            or self.exclude_if_present
            or self.comment is not None
            or self.timestamp_ns is not None
            or self.target is not None
            or self.recompress != "never"
            or self.rechunks(head)
        )

    def rechunks(self, head: ArchiveHead) -> bool:
        """Whether its content is to be cut in another way than it is."""
        return self.chunker is not None and tuple(self.chunker) != tuple(head.chunker)


# skipped: nothing was asked for that concerns it. unchanged: it is what was asked for. emptied: no item would be left;
# so it stays.
Action = Literal["recreated", "skipped", "unchanged", "emptied", "dry_run"]


class Recreated(NamedTuple):
    """One archive that was looked at."""

    name: ArchiveName
    action: Action
    entry: ArchiveEntry | None  # the new one
    start_ns: int
    end_ns: int


class RecreateOutcome(NamedTuple):
    archives: tuple[Recreated, ...]
    totals: RepositoryTotals | None  # of the repository at the end; None: dry run


def run(access: Access, names: ArchiveName | None, options: RecreateOptions, events: EventSink) -> RecreateOutcome:
    """Recreate one archive, or all but those whose names end in ``.recreate``, oldest first.

    A file whose content cannot be read is a problem, and stays in the archive as it is. An archive whose tree cannot
    be read ends the operation and stays as it is; those before it are done.
    Memory: as ``create``, and the paths of tagged directories.
    Raises: CommandError, ArchiveDoesNotExist, ArchiveAlreadyExists, AppendOnly, SessionBroken, CancelledByUser, and as
    ``open_repository``, ``load_index`` and ``drive``.
    """
    role: Role = "reader" if options.dry_run else "writer"
    with open_repository(access, role=role, sees=(layout.ARCHIVES, *WHAT_IT_NEEDS)) as opened:
        heads = load_heads(opened.repository, opened.keys, sight=opened.sight)
        for fault in heads.damaged:
            events.log("warning", f"The head of an archive is damaged: {fault}")
        chosen = _choose(heads, names)
        if options.target is None and not options.dry_run:
            opened.repository.require_deletable()
        if options.target is not None and is_temporary(options.target):
            raise CommandError(f'--target: a name that ends in "{SUFFIX}" is that of a remainder, which is removed')
        if options.target is not None and any(entry.name == options.target for entry in heads.entries):
            raise ArchiveAlreadyExists(options.target)
        if not options.dry_run:
            opened.repository.sweep()
        loaded = load_index(access, opened.repository, opened.keys, events, sight=opened.sight)
        if not options.dry_run:
            opened.repository.settle_packs(loaded.adopted)
        recreation = _Recreation(access, options, opened, loaded, heads, events)
        archives = []
        for entry in chosen:
            if names is None and options.announce is not None:
                options.announce(entry.name)
            archives.append(recreation.recreate(entry))
        if not options.dry_run:
            tidy_up(opened, loaded, events)
        totals = None if options.dry_run else RepositoryTotals.of_index(recreation.heads, loaded.chunks)
        return RecreateOutcome(tuple(archives), totals)


def is_temporary(name: str) -> bool:
    """Whether an archive is one that a recreation has left."""
    return name.endswith(SUFFIX)


def _choose(heads: Heads, wanted: ArchiveName | None) -> list[ArchiveEntry]:
    if wanted is None:
        entries = [entry for entry in heads.entries if not is_temporary(entry.name)]
        return sorted(entries, key=lambda entry: entry.head.time_ns)
    for entry in heads.entries:
        if entry.name == wanted:
            return [entry]
    for fault in heads.damaged:  # it may be the one that is wanted
        raise fault
    raise ArchiveDoesNotExist(wanted)


class _Recreation:
    """What the archives of one call share: the index above all, so that nothing is compressed twice."""

    def __init__(
        self,
        access: Access,
        options: RecreateOptions,
        opened: OpenRepository,
        loaded: LoadedIndex,
        heads: Heads,
        events: EventSink,
    ) -> None:
        self.heads = heads
        self._access, self._options, self._opened, self._events = access, options, opened, events
        self._index = loaded.chunks
        self._tables = loaded.chunks.table_count()
        self._pack_size = options.pack_size or choose_pack_size(sum(loaded.packs.values()))

    def recreate(self, entry: ArchiveEntry) -> Recreated:
        """One archive."""
        start_ns = self._access.clock.now_ns()
        if not self._options.concerns(entry.head):
            return self._result(entry, "skipped", None, start_ns)
        engine = RecreateEngine(self._plan(entry.head), self._opened.keys, self._index)
        outcome = drive(engine, self._opened.repository, self._events, progress=archive_progress, stored=engine.stored)
        if self._events.cancelled():
            raise CancelledByUser
        if self._options.dry_run:
            return self._result(entry, "dry_run", None, start_ns)
        stats = archive_stats(outcome)
        if stats.items == 0 and entry.head.stats.items > 0:
            return self._result(entry, "emptied", None, start_ns)
        head = self._head(entry.head, outcome.digest("root"), stats)
        if self._options.target is None and self._is_same(head, entry.head):
            with contextlib.suppress(ArchiveAlreadyExists):  # a crash may have come right after the exchange
                self._remove_remainder(ArchiveName(head.name + SUFFIX), entry)
            return self._result(entry, "unchanged", None, start_ns)
        new = self._commit(head, entry) if self._options.target is None else self._add(head)
        return self._result(entry, "recreated", new, start_ns)

    def _result(self, entry: ArchiveEntry, action: Action, new: ArchiveEntry | None, start_ns: int) -> Recreated:
        return Recreated(entry.name, action, new, start_ns, self._access.clock.now_ns())

    def _plan(self, head: ArchiveHead) -> dict[str, object]:
        options = self._options
        return {
            "threads": self._access.threads,
            "root": head.root,
            "patterns": [tuple(pattern) for pattern in options.patterns],
            "paths": [tuple(path) for path in options.paths],
            "exclude_caches": options.exclude_caches,
            "exclude_if_present": list(options.exclude_if_present),
            "keep_exclude_tags": options.keep_exclude_tags,
            "dry_run": options.dry_run,
            "lines": None if options.lines is None else options.lines.plan(),
            "recompress": options.recompress,
            "compression": options.compression._asdict(),
            "rechunk": options.rechunks(head),
            "chunker": options.chunker or head.chunker,
            "pack_size": self._pack_size,
            "scratch_dir": cache_directory(self._access, self._opened.repository),
            "tables": self._tables,
        }

    def _head(self, old: ArchiveHead, root: bytes, stats: ArchiveStats) -> ArchiveHead:
        """``start_ns`` stays: what changed at or after it has to be read again by the next backup, as before."""
        options = self._options
        return old._replace(
            name=old.name if options.target is None else options.target,
            root=root,
            chunker=options.chunker or old.chunker,
            comment=old.comment if options.comment is None else options.comment,
            time_ns=old.time_ns if options.timestamp_ns is None else options.timestamp_ns,
            stats=stats,
            session=None,
            generation=0,
        )

    def _is_same(self, head: ArchiveHead, old: ArchiveHead) -> bool:
        """Whether there is nothing to replace. What was compressed anew shows only in the compressed size."""
        recompressed = self._options.recompress != "never" and head.stats.compressed_size != old.stats.compressed_size
        same = head._replace(stats=old.stats, session=old.session, generation=old.generation) == old
        return same and not recompressed

    def _add(self, head: ArchiveHead) -> ArchiveEntry:
        """Commit under a new name."""
        entry, self.heads = commit(self._opened, head, self.heads)
        return entry

    def _commit(self, head: ArchiveHead, old: ArchiveEntry) -> ArchiveEntry:
        """Commit in place of ``old``; it keeps its place in the order of archives.

        The head that takes the place names no session, for it must never count as void: there is no other one then.
        So the session is looked for after the exchange, too, and if it was fenced the old head comes back: what that
        needs was marked all the time.
        """
        repository, keys = self._opened.repository, self._opened.keys
        name = ArchiveName(head.name + SUFFIX)
        self._remove_remainder(name, old)
        beside = self._add(head._replace(name=name))
        entry, sealed = seal(keys, head)
        before = self._unchanged_head(old, beside)
        repository.replace_head(entry.object, sealed)
        try:
            self._opened.at_work.verify()
        except SessionBroken:
            repository.replace_head(entry.object, before)
            raise
        delete_archive(repository, beside)
        kept = [one for one in self.heads.entries if one.object not in (beside.object, entry.object)]
        ordered = sorted([*kept, entry], key=lambda one: (one.head.sequence, one.head.start_ns, one.object))
        self.heads = Heads(tuple(ordered), self.heads.damaged)
        return entry

    def _unchanged_head(self, old: ArchiveEntry, beside: ArchiveEntry) -> bytes:
        """The stored bytes of an archive that is about to be replaced. Raises: ArchiveDoesNotExist, if somebody has
        deleted or replaced it meanwhile: it is not for us to bring it back.
        """
        repository = self._opened.repository
        with contextlib.suppress(ObjectMissing):
            data = repository.get_head(old.object)
            if digest(data) == old.id:
                return data
        delete_archive(repository, beside)
        raise ArchiveDoesNotExist(old.name)

    def _remove_remainder(self, name: ArchiveName, old: ArchiveEntry) -> None:
        """What a recreation of the same archive has left that was interrupted; another archive of that name stays."""
        for entry in self.heads.entries:
            if entry.name != name:
                continue
            theirs, ours = entry.head, old.head
            if (theirs.start_ns, theirs.hostname, theirs.roots) != (ours.start_ns, ours.hostname, ours.roots):
                raise ArchiveAlreadyExists(name)
            delete_archive(self._opened.repository, entry)
            kept = tuple(one for one in self.heads.entries if one.object != entry.object)
            self.heads = Heads(kept, self.heads.damaged)
