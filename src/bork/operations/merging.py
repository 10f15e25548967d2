"""Keep the number of index objects bounded, whatever the number of backups: small ones are merged, size by size.

A table of a size is merged with its likes when there are eight of them, so each chunk record is written again once for
each factor of eight. Tables of a million chunks stay as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bork.repository.layout import IndexId

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bork.core import ChunkIndex, Keys
    from bork.repository.layout import PackId
    from bork.repository.repository import Repository

FANOUT = 8  # tables of one size that are merged
CHUNKS_MAX = 1 << 20  # of a merged table: 68 MiB, which is in memory twice while it is made
_TIER_CHUNKS = 1 << 12  # the smallest size


class Table(NamedTuple):
    """An index object, as ``ChunkIndex.tables`` describes it."""

    name: bytes
    chunks: int
    packs: int
    absent: int  # packs that the storage does not hold

    @property
    def tier(self) -> int:
        """Which size."""
        tier, limit = 0, _TIER_CHUNKS
        while self.chunks >= limit:
            tier, limit = tier + 1, limit * FANOUT
        return tier


def plan(tables: Iterable[Table]) -> list[list[Table]]:
    """Which tables to merge with each other: all of a size, when there are enough of it."""
    tiers: dict[int, list[Table]] = {}
    for table in sorted(tables, key=lambda table: (table.chunks, table.name)):
        tiers.setdefault(table.tier, []).append(table)
    groups = []
    for tier in tiers.values():
        if len(tier) >= FANOUT:
            groups += [group for group in _fitting(tier) if len(group) > 1]
    return groups


def plan_rewrite(tables: Iterable[Table]) -> list[list[Table]]:
    """After packs were deleted: every table that names some of them, together with all small ones."""
    concerned = [table for table in tables if table.absent or table.chunks < CHUNKS_MAX // FANOUT]
    groups = _fitting(sorted(concerned, key=lambda table: (table.chunks, table.name)))
    return [group for group in groups if len(group) > 1 or group[0].absent]


def _fitting(tables: Sequence[Table]) -> list[list[Table]]:
    """Cut a sequence where the chunks would be too many for one table."""
    groups: list[list[Table]] = []
    size = 0
    for table in tables:
        if not groups or size + table.chunks > CHUNKS_MAX:
            groups.append([])
            size = 0
        groups[-1].append(table)
        size += table.chunks
    return groups


def merge(
    repository: Repository, keys: Keys, index: ChunkIndex, group: Sequence[Table], dropped: Iterable[PackId] = ()
) -> None:
    """Put the table that supersedes those of a group, then delete them. ``dropped``: packs that it does not name.

    A crash in between leaves tables that say the same twice.  Raises: StorageError.
    """
    names = [table.name for table in group]
    merged = index.merge(keys, names, list(dropped))
    if merged is not None:
        name, data = merged
        repository.put_index(IndexId(name), data)
        names = [old for old in names if old != name]
    for old in names:
        repository.delete_index(IndexId(old))


def merge_small(repository: Repository, keys: Keys, index: ChunkIndex, dropped: Iterable[PackId]) -> None:
    """What every writer does after its commit. Raises: StorageError."""
    if repository.is_append_only:
        return
    dropped = list(dropped)
    for group in plan(Table(*table) for table in index.tables()):
        merge(repository, keys, index, group, dropped)
