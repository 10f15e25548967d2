"""The numbers of a whole repository, as ``--stats`` and ``info`` show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from bork.core import ChunkIndex
    from bork.operations.heads import Heads


class RepositoryTotals(NamedTuple):
    """All archives together. Sizes in bytes; the names are those of Borg's JSON."""

    total_chunks: int  # references
    total_size: int  # of all files of all archives
    total_csize: int  # the same, compressed
    total_unique_chunks: int
    unique_size: int  # plain
    unique_csize: int  # what they take in the repository

    @classmethod
    def of_index(cls, heads: Heads, index: ChunkIndex) -> RepositoryTotals:
        """Sum up what the heads say of each archive, and add the chunks of the index."""
        stats = [entry.head.stats for entry in heads.entries]
        unique_chunks, unique_size, unique_csize = index.totals()
        return cls(
            total_chunks=sum(each.chunks for each in stats),
            total_size=sum(each.original_size for each in stats),
            total_csize=sum(each.compressed_size for each in stats),
            total_unique_chunks=unique_chunks,
            unique_size=unique_size,
            unique_csize=unique_csize,
        )


class DeletedTotals(NamedTuple):
    """What the archives that were deleted held, in bytes. How much space that frees, only a compaction finds out."""

    original_size: int
    compressed_size: int
    left: RepositoryTotals | None  # of the repository without them; None: not asked for
