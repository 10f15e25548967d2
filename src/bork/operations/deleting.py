"""Remove the heads of archives: what ``delete``, ``prune`` and ``rename`` have in common.

Without its head an archive is gone at once. Its chunks stay until a compaction frees them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bork.operations.index import load_index
from bork.operations.totals import DeletedTotals, RepositoryTotals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bork.core import Keys
    from bork.operations.access import Access
    from bork.operations.events import EventSink
    from bork.operations.heads import ArchiveEntry, Heads
    from bork.repository.repository import Repository


def delete_archive(repository: Repository, entry: ArchiveEntry) -> bool:
    """Delete exactly this archive; False if it is gone already, or if its name belongs to another one by now.

    Raises: StorageError.
    """
    return begin_delete_archive(repository, entry)()


def begin_delete_archive(repository: Repository, entry: ArchiveEntry) -> Callable[[], bool]:
    """As ``delete_archive``: the result is known when it is called. Several can be under way."""
    return repository.begin_delete_head(entry.object, entry.id)


def deleted_totals(
    access: Access,
    repository: Repository,
    keys: Keys,
    heads: Heads,
    deleted: Sequence[ArchiveEntry],
    events: EventSink,
    *,
    whole: bool,
) -> DeletedTotals:
    """The numbers of ``--stats``. ``whole``: those of what is left, too, for which the index is loaded."""
    left = None
    if whole:
        gone = {entry.object for entry in deleted}
        rest = type(heads)(tuple(entry for entry in heads.entries if entry.object not in gone), heads.damaged)
        left = RepositoryTotals.of_index(rest, load_index(access, repository, keys, events).chunks)
    return DeletedTotals(
        original_size=sum(entry.head.stats.original_size for entry in deleted),
        compressed_size=sum(entry.head.stats.compressed_size for entry in deleted),
        left=left,
    )
