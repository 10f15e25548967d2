"""Delete archives, or a whole repository with everything that this machine remembers of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from bork.errors import BorkError, CacheFault, CancelledByUser, ObjectMissing, RepositoryError
from bork.operations import security
from bork.operations.deleting import delete_archive, deleted_totals
from bork.operations.events import PercentProgress
from bork.operations.heads import ArchiveEntry, Heads, head_id, load_heads, open_head, select
from bork.operations.opening import open_repository
from bork.repository import layout

if TYPE_CHECKING:
    from bork.core import Keys
    from bork.operations.access import Access
    from bork.operations.events import EventSink
    from bork.operations.selection import ArchiveFilter, ArchiveName
    from bork.operations.totals import DeletedTotals
    from bork.repository.layout import HeadId, RepositoryId
    from bork.repository.repository import Repository
    from bork.repository.session import Role


class DeleteOptions(NamedTuple):
    """Which archives: either ``names`` in their order, or those of a ``filter``. Neither means none."""

    names: tuple[ArchiveName, ...] = ()
    filter: ArchiveFilter | None = None
    force: bool = False  # also a named archive whose head cannot be opened
    dry_run: bool = False
    totals: bool = False  # count what the repository holds afterwards


class Step(NamedTuple):
    """One archive, before it is deleted. ``entry`` is None for a name that does not exist, or whose head is damaged."""

    name: ArchiveName
    entry: ArchiveEntry | None
    is_damaged: bool
    number: int  # from 1
    total: int


class DeleteOutcome(NamedTuple):
    """``deleted``: how many, or would be in a dry run. ``totals``: None in a dry run and where nothing was chosen."""

    deleted: int
    totals: DeletedTotals | None
    damaged: tuple[RepositoryError, ...]  # heads that no filter can look at: nothing was done to them


class _Chosen(NamedTuple):
    name: ArchiveName
    object: HeadId
    entry: ArchiveEntry | None
    is_damaged: bool


def archives(access: Access, options: DeleteOptions, events: EventSink, tell: Callable[[Step], None]) -> DeleteOutcome:
    """Delete archives one by one, each at once and for good. ``tell`` hears of each one before.

    Everything is looked up before the first one is deleted. A name that does not exist is told, and the rest goes on.
    Raises: IntegrityError, if a named archive is damaged, without ``force``: nothing was deleted then; AppendOnly;
    CancelledByUser between two archives; and as ``open_repository``.
    """
    role: Role = "reader" if options.dry_run else "deleter"
    needs_heads = options.filter is not None or options.totals
    with open_repository(access, role=role, sees=(layout.ARCHIVES,) if needs_heads else ()) as opened:
        repository, keys = opened.repository, opened.keys
        if not options.dry_run:
            repository.require_deletable()
        heads = load_heads(repository, keys, sight=opened.sight) if needs_heads else Heads((), ())
        chosen = _choose(repository, keys, options, heads)
        deleted: list[ArchiveEntry] = []
        count = 0
        for number, one in enumerate(chosen, 1):
            if events.cancelled():
                raise CancelledByUser
            tell(Step(one.name, one.entry, one.is_damaged, number, len(chosen)))
            if one.entry is None and not one.is_damaged:
                continue
            if options.dry_run or _delete(repository, one):
                count += 1
                deleted += [] if one.entry is None else [one.entry]
            events.progress(PercentProgress("delete", number, len(chosen), b""))
        events.progress(PercentProgress("delete", len(chosen), len(chosen), b"", finished=True))
        damaged = heads.damaged if options.filter is not None else ()
        if options.dry_run or not chosen:
            return DeleteOutcome(count, None, damaged)
        totals = deleted_totals(access, repository, keys, heads, deleted, events, whole=options.totals)
        return DeleteOutcome(count, totals, damaged)


def _choose(repository: Repository, keys: Keys, options: DeleteOptions, heads: Heads) -> list[_Chosen]:
    if options.filter is not None:
        wanted = options.filter._replace(consider_checkpoints=True)
        return [_Chosen(entry.name, entry.object, entry, False) for entry in select(heads.entries, wanted)]
    chosen = []
    for name in dict.fromkeys(options.names):  # a name that is given twice is deleted once
        head = head_id(keys, name)
        try:
            chosen.append(_Chosen(name, head, open_head(keys, head, repository.get_head(head)), False))
        except ObjectMissing:
            chosen.append(_Chosen(name, head, None, False))
        except RepositoryError:
            if not options.force:
                raise
            chosen.append(_Chosen(name, head, None, True))
    return chosen


def _delete(repository: Repository, one: _Chosen) -> bool:
    if one.entry is not None:
        return delete_archive(repository, one.entry)
    try:
        repository.delete_head(one.object)
    except ObjectMissing:
        return False
    return True


# ---- the whole repository ----------------------------------------------------------------------------------------


class Loss(NamedTuple):
    """What goes with a repository."""

    repository_id: RepositoryId
    location: str
    archives: int
    entries: tuple[ArchiveEntry, ...] | None  # oldest first; None: not asked for, or they cannot be opened
    unknown: BorkError | None  # why they cannot be opened


class RepositoryDeleteOptions(NamedTuple):
    cache_only: bool = False
    keep_security_info: bool = False


def loss(access: Access, *, names: bool) -> Loss:
    """What ``repository`` would take away, for the question that comes before. Only ``names`` needs the key.

    Raises: as ``open_repository`` without a key; AppendOnly.
    """
    entries, unknown = None, None
    with open_repository(access, needs_key=False) as opened:
        opened.repository.require_deletable()
        count = len(opened.repository.heads())
        repository_id, location = opened.repository.id, opened.repository.location
    if names:
        try:
            with open_repository(access, sees=(layout.ARCHIVES,)) as opened:
                entries = load_heads(opened.repository, opened.keys, sight=opened.sight).entries
        except BorkError as fault:
            unknown = fault
    return Loss(repository_id, location, count, entries, unknown)


def repository(access: Access, options: RepositoryDeleteOptions) -> bool:
    """Remove a repository, without asking, with its cache and what this user remembers of it. Key files stay.

    Waits until nobody else is at work in it.

    False: something that is not of Bork lies in the directory of the repository, which stays with it.
    Raises: as ``loss``; StorageError; CacheFault.
    """
    role: Role = "reader" if options.cache_only else "exclusive"
    with open_repository(access, needs_key=False, role=role) as opened:
        is_gone = opened.repository.destroy() if not options.cache_only else True
        if not options.cache_only and not options.keep_security_info:
            _remove_tree(security.directory(access, opened.repository))
        if access.cache_dir is not None:
            _remove_tree(os.path.join(access.cache_dir, opened.repository.id.hex()))
        return is_gone


def _remove_tree(path: str) -> None:
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return
    except OSError as fault:
        raise CacheFault(fault.filename or path, os.strerror(fault.errno or 0)) from fault
