"""Find and open the heads of archives."""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING, NamedTuple

from bork.archive import head as archive_head
from bork.core import digest
from bork.errors import ArchiveDoesNotExist, IntegrityError, ObjectMissing, RepositoryError
from bork.operations.generations import known, newest, what_shows_newest
from bork.operations.selection import ArchiveId, ArchiveName
from bork.repository import layout
from bork.repository.layout import HeadId

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bork.archive.generation import Generation
    from bork.archive.head import ArchiveHead
    from bork.core import Keys
    from bork.operations.selection import ArchiveFilter
    from bork.repository.repository import Repository
    from bork.repository.sight import Sight


class ArchiveEntry(NamedTuple):
    """One archive of a repository."""

    id: ArchiveId  # fingerprint: BLAKE3 of the stored head
    object: HeadId
    head: ArchiveHead

    @property
    def name(self) -> ArchiveName:
        """The name that the user gave it."""
        return ArchiveName(self.head.name)


class Heads(NamedTuple):
    """The heads of a repository, and those that could not be opened."""

    entries: tuple[ArchiveEntry, ...]  # oldest first, by the order in which they were committed
    damaged: tuple[RepositoryError, ...]
    names: frozenset[HeadId] = frozenset()  # of all that were there, void and damaged ones included


def head_id(keys: Keys, name: ArchiveName) -> HeadId:
    """The name of the object that an archive of this name has."""
    return HeadId(keys.archive_name(name_bytes(name)))


def name_bytes(name: ArchiveName) -> bytes:
    """The bytes that a name has in keyed hashes."""
    return name.encode("utf-8", "surrogateescape")


def open_head(keys: Keys, head: HeadId, data: bytes) -> ArchiveEntry:
    """Open and decode what ``archives/<head>`` holds. Raises: IntegrityError, UnsupportedFormat."""
    decoded = archive_head.decode(keys.open_head(head, data), f"archives/{head.hex()}")
    entry = ArchiveEntry(ArchiveId(digest(data)), head, decoded)
    if head_id(keys, entry.name) != head:
        raise IntegrityError(f"the archive head archives/{head.hex()}", "the repository", "its own name", decoded.name)
    return entry


CHECKPOINT_SUFFIX = ".checkpoint"  # wrappers give unfinished archives such names; Bork itself writes none


def load_heads(
    repository: Repository, keys: Keys, heads: Iterable[HeadId] | None = None, *, sight: Sight | None = None
) -> Heads:
    """Open all heads, or these. Memory: about 1 KiB an archive, and its command line. Raises: StorageError.

    ``sight``: in which they were seen already; otherwise this looks.
    """
    entries: list[ArchiveEntry] = []
    damaged: list[RepositoryError] = []
    # Heads before the generation: it then names all sessions that were fenced before their heads were stored.
    if heads is not None:
        wanted = [layout.head_name(head) for head in heads]
        if not wanted:
            return Heads((), ())
        sight = repository.look(*wanted, *what_shows_newest(known(repository)))
        seen = {HeadId(layout.id_in(name)): sight.object(name) for name in wanted}
    else:
        if sight is None or layout.ARCHIVES not in sight:
            sight = repository.look(layout.ARCHIVES, *what_shows_newest(known(repository)))
        seen = sight.heads()
    generation = newest(repository, keys, sight)
    gone: set[HeadId] = set()
    for head, data in seen.items():
        try:
            entry = open_head(keys, head, repository.get_head(head) if data is None else data)
            if not is_void(entry, generation):
                entries.append(entry)
        except ObjectMissing:
            gone.add(head)  # since it was listed
        except RepositoryError as fault:
            damaged.append(fault)
    entries.sort(key=lambda entry: (entry.head.sequence, entry.head.start_ns, entry.object))
    return Heads(tuple(entries), tuple(damaged), frozenset(seen) - gone)


def find_archive(repository: Repository, keys: Keys, name: ArchiveName, *, sight: Sight | None = None) -> ArchiveEntry:
    """One archive by its name; no other head is read. ``sight``: in which it was looked for already, if it was.

    Raises: ArchiveDoesNotExist, IntegrityError, StorageError.
    """
    head = head_id(keys, name)
    place = layout.head_name(head)
    if sight is None or not (layout.ARCHIVES in sight or place in sight):
        sight = repository.look(place, *what_shows_newest(known(repository)))
    if layout.ARCHIVES in sight:
        heads = sight.heads()
        is_there, data = head in heads, heads.get(head)
    else:
        is_there, data = sight.is_there(place), sight.object(place)
    if not is_there:
        raise ArchiveDoesNotExist(name)
    if data is None:
        try:
            data = repository.get_head(head)
        except ObjectMissing:
            raise ArchiveDoesNotExist(name) from None
    entry = open_head(keys, head, data)
    if is_void(entry, newest(repository, keys, sight)):
        raise ArchiveDoesNotExist(name)
    return entry


def is_void(entry: ArchiveEntry, generation: Generation) -> bool:
    """Whether a head was stored by a session that had been fenced: nobody was told that it is complete."""
    session = entry.head.session
    return (
        session is not None
        and entry.object not in generation.honoured
        and any(fenced.hex() == session for fenced in generation.fenced)
    )


def select(entries: Iterable[ArchiveEntry], wanted: ArchiveFilter) -> list[ArchiveEntry]:
    """Those that the filter names, in its order."""
    chosen = [entry for entry in entries if _matches(entry.head.name, wanted)]
    for key in reversed(wanted.sort_by):
        if key == "timestamp":
            chosen.sort(key=lambda entry: (entry.head.time_ns, entry.head.name))  # as prune, where times are equal
        elif key == "id":
            chosen.sort(key=lambda entry: entry.id)
        else:
            chosen.sort(key=lambda entry: entry.head.name)
    if wanted.first:
        return chosen[: wanted.first]
    return chosen[-wanted.last :] if wanted.last else chosen


def _matches(name: str, wanted: ArchiveFilter) -> bool:
    if name.endswith(CHECKPOINT_SUFFIX) and not wanted.consider_checkpoints:
        return False
    if wanted.prefix is not None and not name.startswith(wanted.prefix):
        return False
    return wanted.glob is None or fnmatch.fnmatchcase(name, wanted.glob)
