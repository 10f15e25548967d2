"""Find the differences of two archives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from bork.core import DiffEngine
from bork.errors import IntegrityError
from bork.operations.drive import drive
from bork.operations.events import PercentProgress
from bork.operations.heads import ArchiveEntry, find_archive
from bork.operations.index import WHAT_IT_NEEDS, load_index
from bork.operations.opening import open_repository
from bork.operations.problems import CountedProblems

if TYPE_CHECKING:
    from bork.operations.access import Access
    from bork.operations.drive import Counters
    from bork.operations.events import EventSink
    from bork.operations.selection import ArchiveName, PathArgument, Pattern

Field = Literal[
    "path",
    "size_added",
    "size_removed",
    "size_diff",
    "size",
    "user",
    "group",
    "uid",
    "gid",
    "ctime",
    "mtime",
    "ctime_diff",
    "mtime_diff",
]


class SortKey(NamedTuple):
    """What lines are sorted by."""

    field: Field
    descending: bool = False


class DiffOptions(NamedTuple):
    patterns: tuple[Pattern, ...] = ()
    paths: tuple[PathArgument, ...] = ()
    numeric_ids: bool = False  # owners by number, not by name
    content_only: bool = False  # leave out owner, mode and times
    same_chunker_params: bool = False  # compare chunks, whatever the archives say of their chunkers
    json_lines: bool = False
    sort_by: tuple[SortKey, ...] = ()  # empty: in the order of the archives. The first key counts most


class DiffOutcome(NamedTuple):
    old: ArchiveEntry
    new: ArchiveEntry
    differences: int  # lines
    nodes_read: int  # nodes of both trees that had to be looked into


def run(access: Access, old: ArchiveName, new: ArchiveName, options: DiffOptions, events: EventSink) -> DiffOutcome:
    """One line for each path that differs, as ``events.lines``, in the order of the archives or of ``sort_by``.

    Content that was cut by the same chunker is compared by its chunks; other content is read if its length is the same.
    Content that cannot be read is an event of its path, and counts as modified.
    Memory: independent of the archives; all lines with ``sort_by``.  Cost: that of the differences.
    Raises: ArchiveDoesNotExist, CancelledByUser, and as ``open_repository``, ``load_index`` and ``drive``;
    IntegrityError, at the end, if there was content that could not be read.
    """
    with open_repository(access, sees=WHAT_IT_NEEDS, archives=(old, new)) as opened:
        entries = [find_archive(opened.repository, opened.keys, name, sight=opened.sight) for name in (old, new)]
        compare_chunks = options.same_chunker_params or entries[0].head.chunker == entries[1].head.chunker
        if not compare_chunks:
            events.log("warning", "--chunker-params are different between archives, diff will be slow.")
        loaded = load_index(access, opened.repository, opened.keys, events, sight=opened.sight)
        plan = _plan(entries, options, compare_chunks=compare_chunks)
        engine = DiffEngine(plan, opened.keys, loaded.chunks)
        items = entries[1].head.stats.items

        def progress(counters: Counters, finished: bool) -> PercentProgress:
            return PercentProgress("diff", min(counters[0], items), items, counters[4], finished)

        counted = CountedProblems(events)
        outcome = drive(engine, opened.repository, counted, progress=progress)
        damaged = counted.counts.get("damaged", 0)
        if damaged:
            raise IntegrityError(f"the content of {damaged} items of {old} and {new} could not be read")
        differences, nodes = outcome.number("differences"), outcome.number("nodes")
        events.log("debug", f"{differences} differences, {nodes} nodes read")
        return DiffOutcome(entries[0], entries[1], differences, nodes)


def _plan(entries: list[ArchiveEntry], options: DiffOptions, *, compare_chunks: bool) -> dict[str, object]:
    return {
        "old_root": entries[0].head.root,
        "new_root": entries[1].head.root,
        "patterns": [tuple(pattern) for pattern in options.patterns],
        "paths": [tuple(path) for path in options.paths],
        "numeric_ids": options.numeric_ids,
        "content_only": options.content_only,
        "compare_chunks": compare_chunks,
        "json_lines": options.json_lines,
        "sort_by": [tuple(key) for key in options.sort_by],
    }
