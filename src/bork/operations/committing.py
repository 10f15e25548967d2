"""The commit of an archive: its head is stored. Every verb that makes an archive ends here.

Order before it: packs, then the index that names them. Before the head is stored there is no archive, whatever
happened; after it the archive is complete.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

from bork.archive.head import ArchiveStats
from bork.core import digest
from bork.errors import ArchiveAlreadyExists, ObjectExists
from bork.operations.heads import Heads, head_id, load_heads, name_bytes, open_head
from bork.operations.selection import ArchiveName

if TYPE_CHECKING:
    from bork.archive.head import ArchiveHead
    from bork.core import Keys
    from bork.operations.drive import Outcome
    from bork.operations.heads import ArchiveEntry
    from bork.repository.layout import HeadId
    from bork.repository.repository import Repository

MIB = 1 << 20
PACK_SIZE_MIN = 16 * MIB  # large enough that fsync and seek cost little; two of them are in memory at a time
PACK_SIZE_MAX = 64 * MIB
PACKS_AIMED_AT = 8192  # above that the packs of a repository grow, not their number


def choose_pack_size(repository_bytes: int) -> int:
    """Bytes of a pack: packs grow with the repository, so that their number stays bearable."""
    return min(max(PACK_SIZE_MIN, repository_bytes // PACKS_AIMED_AT // MIB * MIB), PACK_SIZE_MAX)


def archive_stats(outcome: Outcome) -> ArchiveStats:
    """What an engine that makes archives has counted."""
    return ArchiveStats(**{each.name: outcome.number(each.name) for each in fields(ArchiveStats)})


def commit(repository: Repository, keys: Keys, head: ArchiveHead, heads: Heads) -> tuple[ArchiveEntry, Heads]:
    """Store ``head``, whose ``sequence`` and ``ledger`` are set here, as a new archive.

    ``heads``: those seen so far; the result includes what other writers have committed meanwhile, and the new one.
    Raises: ArchiveAlreadyExists, StorageError, StorageQuotaExceeded. Then there is no such archive.
    """
    names = repository.heads()
    seen = {entry.object for entry in heads.entries}
    newer = load_heads(repository, keys, [name for name in names if name not in seen])
    heads = Heads((*heads.entries, *newer.entries), newer.damaged)
    placed = replace(
        head,
        sequence=1 + max((entry.head.sequence for entry in heads.entries), default=0),
        ledger=digest(b"".join(sorted(names))),
    )
    entry, sealed = seal(keys, placed)
    try:
        repository.put_head(entry.object, sealed)
    except ObjectExists:
        raise ArchiveAlreadyExists(entry.name) from None
    return entry, Heads((*heads.entries, entry), heads.damaged)


def seal(keys: Keys, head: ArchiveHead) -> tuple[ArchiveEntry, bytes]:
    """A head as it is stored. Nothing counts as stored that has not been opened again, so it is opened here."""
    name = ArchiveName(head.name)
    sealed = keys.seal_head(name_bytes(name), head.encode())
    object_id: HeadId = head_id(keys, name)
    return open_head(keys, object_id, sealed), sealed
