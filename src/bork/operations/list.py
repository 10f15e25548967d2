"""List the archives of a repository, or the items of an archive."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bork.core import ReadEngine
from bork.operations.drive import drive
from bork.operations.heads import ArchiveEntry, find_archive, load_heads, select
from bork.operations.index import WHAT_IT_NEEDS, load_index
from bork.operations.opening import open_repository
from bork.operations.reading import percent, reading_plan
from bork.repository import layout

if TYPE_CHECKING:
    from bork.errors import RepositoryError
    from bork.operations.access import Access
    from bork.operations.events import EventSink
    from bork.operations.selection import ArchiveFilter, ArchiveName, PathArgument, Pattern
    from bork.repository.layout import RepositoryId


class RepositoryListing(NamedTuple):
    repository_id: RepositoryId
    location: str
    encryption: str
    key_location: str | None
    last_modified_ns: int | None  # end of the archive that was committed last; None: there is none
    archives: tuple[ArchiveEntry, ...]
    damaged: tuple[RepositoryError, ...]  # heads that could not be opened: say so, and exit with 2


class ListOptions(NamedTuple):
    format: str  # as in --format; with json_lines its keys are added to those that are always shown
    json_lines: bool = False
    patterns: tuple[Pattern, ...] = ()
    paths: tuple[PathArgument, ...] = ()


class ListOutcome(NamedTuple):
    archive: ArchiveEntry
    items: int  # shown


def archives(access: Access, wanted: ArchiveFilter) -> RepositoryListing:
    """The archives of a repository. Reads heads and nothing else. Raises: as ``open_repository``; StorageError."""
    with open_repository(access, sees=(layout.ARCHIVES,)) as opened:
        heads = load_heads(opened.repository, opened.keys, sight=opened.sight)
        return RepositoryListing(
            repository_id=opened.repository.id,
            location=opened.repository.location,
            encryption=opened.mode.name,
            key_location=opened.key_location,
            last_modified_ns=max((entry.head.end_ns for entry in heads.entries), default=None),
            archives=tuple(select(heads.entries, wanted)),
            damaged=heads.damaged,
        )


def items(access: Access, name: ArchiveName, options: ListOptions, events: EventSink) -> ListOutcome:
    """The items of one archive, as ``events.lines`` in the order of the archive.

    Raises: ArchiveDoesNotExist, CancelledByUser, and as ``open_repository``, ``load_index`` and ``drive``.
    """
    with open_repository(access, sees=WHAT_IT_NEEDS, archives=(name,)) as opened:
        entry = find_archive(opened.repository, opened.keys, name, sight=opened.sight)
        loaded = load_index(access, opened.repository, opened.keys, events, sight=opened.sight)
        plan = reading_plan(access, entry, "list", options.patterns, options.paths)
        plan["format"] = options.format
        plan["json_lines"] = options.json_lines
        engine = ReadEngine(plan, opened.keys, loaded.chunks)
        outcome = drive(engine, opened.repository, events, progress=percent("extract"))
        return ListOutcome(entry, outcome.number("items"))
