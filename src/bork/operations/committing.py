"""The commit of an archive: its head is stored. Every verb that makes an archive ends here.

Order before it: packs, then the index that names them. Before the head is stored there is no archive, whatever
happened; after it the archive is complete.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bork.archive.head import ArchiveStats
from bork.core import digest
from bork.errors import ArchiveAlreadyExists, ObjectExists, SessionBroken, StorageError
from bork.operations.deleting import delete_archive
from bork.operations.events import ArchiveProgress
from bork.operations.heads import Heads, head_id, load_heads, name_bytes, open_head
from bork.operations.merging import merge_small
from bork.operations.selection import ArchiveName

if TYPE_CHECKING:
    from bork.archive.head import ArchiveHead
    from bork.core import Keys
    from bork.operations.drive import Counters, Outcome
    from bork.operations.events import EventSink, Progress
    from bork.operations.heads import ArchiveEntry
    from bork.operations.index import LoadedIndex
    from bork.operations.opening import OpenRepository
    from bork.repository.layout import HeadId

MIB = 1 << 20
SEQUENCE_MAX = (1 << 63) - 1  # see docs/format/archive.md
PACK_SIZE_MIN = 16 * MIB  # large enough that fsync and seek cost little; two of them are in memory at a time
PACK_SIZE_MAX = 64 * MIB
PACKS_AIMED_AT = 8192  # above that the packs of a repository grow, not their number


def choose_pack_size(repository_bytes: int) -> int:
    """Bytes of a pack: packs grow with the repository, so that their number stays bearable."""
    return min(max(PACK_SIZE_MIN, repository_bytes // PACKS_AIMED_AT // MIB * MIB), PACK_SIZE_MAX)


def archive_stats(outcome: Outcome) -> ArchiveStats:
    """What an engine that makes archives has counted."""
    return ArchiveStats(*map(outcome.number, ArchiveStats._fields))


def archive_progress(counters: Counters, finished: bool) -> Progress:
    """An event of the counters that engines that make archives have."""
    original_size, compressed_size, deduplicated_size, files, path = counters
    return ArchiveProgress(original_size, compressed_size, deduplicated_size, files, path, finished)


def commit(opened: OpenRepository, head: ArchiveHead, heads: Heads) -> tuple[ArchiveEntry, Heads]:
    """Store ``head`` as a new archive. Its ``sequence``, ``ledger``, ``session`` and ``generation`` are set here.

    ``heads``: those seen so far; the result includes what other writers have committed meanwhile, and the new one.
    Raises: ArchiveAlreadyExists, SessionBroken, StorageError, StorageQuotaExceeded. Then there is no such archive.
    """
    repository, keys, session = opened.repository, opened.keys, opened.at_work
    names = repository.heads()
    seen = {entry.object for entry in heads.entries}
    newer = load_heads(repository, keys, [name for name in names if name not in seen])
    heads = Heads((*heads.entries, *newer.entries), newer.damaged)
    placed = head._replace(
        # The highest of all may be somebody's lie: it must not keep others from their commits.
        sequence=min(1 + max((entry.head.sequence for entry in heads.entries), default=0), SEQUENCE_MAX),
        ledger=digest(b"".join(sorted(names))),
        session=session.id.hex(),
        generation=session.record.generation,
    )
    entry, sealed = seal(keys, placed)
    put_head(opened, entry, sealed)
    return entry, Heads((*heads.entries, entry), heads.damaged)


def put_head(opened: OpenRepository, entry: ArchiveEntry, sealed: bytes) -> None:
    """Store a head, which is the commit. Raises: ArchiveAlreadyExists, SessionBroken, StorageError; then there is none.

    If the session was fenced in between, the archive may lack what a compaction has deleted, so it goes again.
    """
    try:
        is_intact = opened.at_work.put_head(entry.object, sealed)
    except ObjectExists:
        raise ArchiveAlreadyExists(entry.name) from None
    if not is_intact:
        delete_archive(opened.repository, entry)  # this one: its name may be another's by now
        raise SessionBroken(opened.repository.location)


def tidy_up(opened: OpenRepository, loaded: LoadedIndex, events: EventSink) -> None:
    """What every writer does when its archives are committed: keep the number of index objects bounded.

    A fault here takes nothing from the archives, so it is only told.
    """
    try:
        merge_small(opened.repository, opened.keys, loaded.chunks, loaded.generation.condemned)
    except StorageError as fault:
        events.log("warning", f"The indexes of the repository could not be merged: {fault}")


def seal(keys: Keys, head: ArchiveHead) -> tuple[ArchiveEntry, bytes]:
    """A head as it is stored. Nothing counts as stored that has not been opened again, so it is opened here."""
    name = ArchiveName(head.name)
    sealed = keys.seal_head(name_bytes(name), head.encode())
    object_id: HeadId = head_id(keys, name)
    return open_head(keys, object_id, sealed), sealed
