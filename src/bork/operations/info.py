"""Show what a repository and its archives are."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bork.operations.events import Silence
from bork.operations.heads import ArchiveEntry, find_archive, load_heads, select
from bork.operations.index import WHAT_IT_NEEDS, cache_directory, load_index
from bork.operations.opening import OpenRepository, open_repository
from bork.operations.selection import ArchiveFilter
from bork.operations.totals import RepositoryTotals
from bork.repository import layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bork.errors import RepositoryError
    from bork.operations.access import Access
    from bork.operations.heads import Heads
    from bork.operations.selection import ArchiveName
    from bork.repository.layout import RepositoryId


class RepositoryInfo(NamedTuple):
    repository_id: RepositoryId
    location: str
    encryption: str
    key_location: str | None
    append_only: bool
    storage_quota: int  # bytes; 0: none
    used_bytes: int  # of packs and indexes
    free_bytes: int | None
    cache_dir: str | None
    security_dir: str
    last_modified_ns: int | None
    archives: int
    totals: RepositoryTotals
    damaged: tuple[RepositoryError, ...]  # heads and indexes that could not be opened


class ArchiveInfo(NamedTuple):
    """One archive, and the repository around it."""

    archive: ArchiveEntry
    repository: RepositoryInfo


def repository(access: Access) -> RepositoryInfo:
    """A whole repository. Reads heads and index. Raises: as ``open_repository`` and ``load_index``."""
    with open_repository(access, sees=(layout.ARCHIVES, *WHAT_IT_NEEDS)) as opened:
        return _describe(access, opened, load_heads(opened.repository, opened.keys, sight=opened.sight))


def archives(access: Access, wanted: ArchiveFilter | Sequence[ArchiveName]) -> list[ArchiveInfo]:
    """Some archives: those of a filter, or by name. Raises: ArchiveDoesNotExist, and as ``repository``."""
    with open_repository(access, sees=(layout.ARCHIVES, *WHAT_IT_NEEDS)) as opened:
        heads = load_heads(opened.repository, opened.keys, sight=opened.sight)
        around = _describe(access, opened, heads)
        if isinstance(wanted, ArchiveFilter):
            chosen = select(heads.entries, wanted)
        else:
            chosen = [find_archive(opened.repository, opened.keys, name, sight=opened.sight) for name in wanted]
        return [ArchiveInfo(entry, around) for entry in chosen]


def _describe(access: Access, opened: OpenRepository, heads: Heads) -> RepositoryInfo:
    loaded = load_index(access, opened.repository, opened.keys, Silence(), sight=opened.sight)
    config = opened.repository.config
    return RepositoryInfo(
        repository_id=config.id,
        location=opened.repository.location,
        encryption=opened.mode.name,
        key_location=opened.key_location,
        append_only=config.append_only,
        storage_quota=config.storage_quota,
        used_bytes=sum(loaded.packs.values()),
        free_bytes=opened.repository.free_space(),
        cache_dir=cache_directory(access, opened.repository),
        security_dir=opened.security_dir,
        last_modified_ns=max((entry.head.end_ns for entry in heads.entries), default=None),
        archives=len(heads.entries),
        totals=RepositoryTotals.of_index(heads, loaded.chunks),
        damaged=(*heads.damaged, *loaded.damaged),
    )
