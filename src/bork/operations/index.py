"""Load the chunk index: from the local cache what is there, from the repository what is new, from packs what is left.

An index object is only a copy of what the packs say of themselves. A pack that no index names comes from a backup that
was interrupted, or its index is lost: it is taken over by reading its own table of contents. So an interrupted backup
is cheap to repeat, and a lost index loses nothing.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from bork.core import ChunkIndex
from bork.errors import CacheFault, IntegrityError, ObjectMissing, RepositoryError
from bork.operations.generations import known, newest, what_shows_newest
from bork.repository import layout
from bork.repository.layout import PackId

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bork.archive.generation import Generation
    from bork.core import Keys
    from bork.operations.access import Access
    from bork.operations.events import EventSink
    from bork.repository.layout import IndexId
    from bork.repository.repository import Repository
    from bork.repository.sight import Sight

# Packs are listed after indexes: one that is published in between looks unnamed and is taken over, which is harmless.
# In the other order a new index would seem to name packs that are missing.
WHAT_IT_NEEDS = (layout.INDEXES, layout.PACKS)  # in this order, behind the newest generation
PACK_HEADER_LENGTH = 64  # bytes; see docs/format/pack.md
PACK_TRAILER_LENGTH = 32  # bytes
_TABLE = re.compile(r"index-[0-9a-f]{64}\.table", re.ASCII)
_TAG = b"Signature: 8a477f597d28d172789f06886806bc55\n# This directory can be deleted; Bork makes it again.\n"


class LoadedIndex(NamedTuple):
    """The index, and what loading it showed about the repository."""

    chunks: ChunkIndex
    packs: dict[PackId, int]  # lengths of all packs that the storage holds
    adopted: tuple[PackId, ...]  # of these: not named by any index, taken over
    missing: tuple[PackId, ...]  # named by an index, not condemned, and the storage does not hold them
    damaged: tuple[RepositoryError, ...]  # indexes that could not be used
    generation: Generation  # the newest: nothing new refers to what it condemned


def look_at_all(repository: Repository) -> Sight | None:
    """Heads, and what ``load_index`` needs, in one look; None where listings lag: look when they have caught up."""
    if repository.listing_lag_s:
        return None
    return repository.look(layout.ARCHIVES, *what_shows_newest(known(repository)), *WHAT_IT_NEEDS)


def load_index(
    access: Access,
    repository: Repository,
    keys: Keys,
    events: EventSink,
    *,
    trust_cache: bool = True,
    sight: Sight | None = None,
) -> LoadedIndex:
    """The index of everything that is stored now. A damaged index or pack is left out, with a line in the log.

    Cost: lists indexes and packs; reads index objects that are new since the last time, and 3 ranges of each pack that
    no index names.  Memory: the tables are mapped files, or about 70 bytes a chunk without a cache directory.
    ``trust_cache``: False reads every index object again and compares it with its name. ``sight``: what this session
    has seen when it was put, in this order: the newest generation, indexes, packs; otherwise this looks.
    Raises: StorageError.
    """
    directory = cache_directory(access, repository)
    index = ChunkIndex()
    # What was stored when this began is listed then: archives that the caller has found, and what a generation that its
    # session has seen put in place of what it condemned.
    if sight is None or layout.PACKS not in sight:
        access.clock.wait(repository.listing_lag_s)
        sight = repository.look(*what_shows_newest(known(repository)), *WHAT_IT_NEEDS)
    generation = newest(repository, keys, sight, events)
    names, damaged, sight = _add_indexes(index, repository, keys, events, directory, sight, trust_cache=trust_cache)
    packs = sight.packs()
    _remove_stale_tables(directory, names)
    indexed = {PackId(pack) for pack in index.packs()}
    missing = sorted(indexed - packs.keys())
    if missing:
        index.forget_packs(missing)
    condemned = generation.condemned.keys()
    adopted = []
    for pack in sorted(packs.keys() - indexed):
        is_adopted = _adopt(index, repository, keys, pack, packs[pack], events, is_condemned=pack in condemned)
        if is_adopted and pack not in condemned:
            adopted.append(pack)
    if condemned:
        index.condemn_packs(sorted(condemned))
    missing = [pack for pack in missing if pack not in condemned]
    return LoadedIndex(index, packs, tuple(adopted), tuple(missing), tuple(damaged), generation)


def _add_indexes(
    index: ChunkIndex,
    repository: Repository,
    keys: Keys,
    events: EventSink,
    directory: str | None,
    sight: Sight,
    *,
    trust_cache: bool,
) -> tuple[set[IndexId], list[RepositoryError], Sight]:
    """All index objects, what was wrong with some, and the sight that they were in. One that vanishes was merged: its
    successor is there when this looks again.
    """
    seen: set[IndexId] = set()
    damaged: list[RepositoryError] = []
    while True:
        has_vanished = False
        for name in sight.indexes():
            if name in seen:
                continue
            seen.add(name)
            try:
                _add_index(index, repository, keys, name, directory, trust_cache=trust_cache)
            except ObjectMissing:
                has_vanished = True
            except RepositoryError as fault:
                events.log("warning", f"An index cannot be used, its packs are read instead: {fault}")
                damaged.append(fault)
        if not has_vanished:
            return seen, damaged, sight
        sight = repository.look(layout.INDEXES, layout.PACKS)


def cache_directory(access: Access, repository: Repository) -> str | None:
    """The directory for what is kept of this repository between commands, made if need be; None: nothing is kept."""
    if access.cache_dir is None:
        return None
    path = os.path.join(access.cache_dir, repository.id.hex())
    tag = os.path.join(access.cache_dir, "CACHEDIR.TAG")  # so that backups with --exclude-caches leave it out
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        if not os.path.exists(tag):
            with open(tag, "wb") as file:
                file.write(_TAG)
    except OSError as fault:
        raise CacheFault(path, os.strerror(fault.errno or 0)) from fault
    return path


def _add_index(
    index: ChunkIndex, repository: Repository, keys: Keys, name: IndexId, directory: str | None, *, trust_cache: bool
) -> None:
    table = None if directory is None else os.path.join(directory, f"index-{name.hex()}.table")
    if trust_cache and table is not None and os.path.exists(table) and index.add_table(name, table):
        return
    index.add_sealed(keys, name, repository.get_index(name), table)


def _remove_stale_tables(directory: str | None, names: Iterable[IndexId]) -> None:
    if directory is None:
        return
    current = {f"index-{name.hex()}.table" for name in names}
    for file in os.listdir(directory):
        if _TABLE.fullmatch(file) and file not in current:
            try:
                os.unlink(os.path.join(directory, file))
            except OSError:
                continue  # another process was faster, or it stays until next time


def _adopt(
    index: ChunkIndex,
    repository: Repository,
    keys: Keys,
    pack: PackId,
    length: int,
    events: EventSink,
    *,
    is_condemned: bool,
) -> bool:
    try:
        add_pack(index, repository, keys, pack, length, to_index=not is_condemned)
    except (RepositoryError, ObjectMissing) as fault:
        if not is_condemned:  # otherwise it is being deleted this very moment, and nobody needs it
            events.log("warning", f"A pack that no index names cannot be used: {fault}")
        return False
    return True


def add_pack(
    index: ChunkIndex, repository: Repository, keys: Keys, pack: PackId, length: int, *, to_index: bool
) -> None:
    """Add what a pack says of itself. ``to_index``: the next engine that writes puts it into an index object.

    Raises: RepositoryError, ObjectMissing, StorageError.
    """
    if length < PACK_HEADER_LENGTH + PACK_TRAILER_LENGTH:
        raise IntegrityError(f"the pack {pack.hex()}", repository.location, "a whole pack", f"{length} bytes")
    head, trailer = repository.read(
        [(pack, 0, PACK_HEADER_LENGTH), (pack, length - PACK_TRAILER_LENGTH, PACK_TRAILER_LENGTH)]
    )
    tail_length = ChunkIndex.toc_length(trailer)
    if tail_length > length - PACK_HEADER_LENGTH:
        raise IntegrityError(f"the pack {pack.hex()}", repository.location, f"{tail_length} bytes", f"{length}")
    (tail,) = repository.read([(pack, length - tail_length, tail_length)])
    index.add_toc(keys, pack, length, head, tail, to_index)
