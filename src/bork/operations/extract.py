"""Restore the items of an archive."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, NamedTuple

from bork.core import ReadEngine
from bork.errors import IntegrityError
from bork.operations.drive import drive
from bork.operations.file_systems import describe, for_extract
from bork.operations.foreign import names_of
from bork.operations.heads import ArchiveEntry, find_archive
from bork.operations.index import WHAT_IT_NEEDS, load_index
from bork.operations.opening import open_repository
from bork.operations.problems import CountedProblems
from bork.operations.reading import percent, reading_plan

if TYPE_CHECKING:
    from bork.core import FileSystem
    from bork.operations.access import Access
    from bork.operations.events import EventSink
    from bork.operations.selection import ArchiveName, ItemLines, PathArgument, Pattern


class ExtractOptions(NamedTuple):
    """Options of ``bork extract`` under their own names; see docs/usage/extract.md."""

    patterns: tuple[Pattern, ...] = ()
    paths: tuple[PathArgument, ...] = ()
    target: str = "."  # directory below which everything is written, and nothing outside
    foreign: bool = False  # the target's own etc/passwd and etc/group say which ids the names have
    to: Literal["files", "stdout", "nowhere"] = "files"  # "nowhere": dry run, everything is read and verified
    strip_components: int = 0
    sparse: bool = False
    numeric_ids: bool = False
    noflags: bool = False
    noacls: bool = False
    noxattrs: bool = False
    lines: ItemLines | None = None
    progress: bool = False  # whether to find out the total size first


class ExtractOutcome(NamedTuple):
    archive: ArchiveEntry
    items: int


_MODES: dict[str, Literal["extract", "stdout", "dry_run"]] = {
    "files": "extract",
    "stdout": "stdout",
    "nowhere": "dry_run",
}


def run(access: Access, name: ArchiveName, options: ExtractOptions, events: EventSink) -> ExtractOutcome:
    """Restore. What could not be restored as it was is an event for each item, and the rest is restored.

    Raises: ArchiveDoesNotExist, CancelledByUser, and as ``open_repository``, ``load_index`` and ``drive``;
    IntegrityError, at the end, if content is lost or damaged in the repository (each such item was an event).
    """
    with open_repository(access, sees=WHAT_IT_NEEDS, archives=(name,)) as opened:
        entry = find_archive(opened.repository, opened.keys, name, sight=opened.sight)
        loaded = load_index(access, opened.repository, opened.keys, events, sight=opened.sight)
        told = plan(access, entry, options)
        target = os.path.abspath(options.target)
        if options.foreign and not options.numeric_ids:
            told["names"] = names_of(os.fsencode(target), events)
        engine = ReadEngine(told, opened.keys, loaded.chunks)
        counted = CountedProblems(events)
        outcome = drive(
            engine,
            opened.repository,
            counted,
            progress=percent("extract"),
            met=lambda file_system: _tell(file_system, target, options, events),
        )
        report_damage(name, counted)
        return ExtractOutcome(entry, outcome.number("items"))


def plan(access: Access, entry: ArchiveEntry, options: ExtractOptions) -> dict[str, object]:
    """What the engine is told."""
    plan = reading_plan(access, entry, _MODES[options.to], options.patterns, options.paths)
    plan.update(
        lines=None if options.lines is None else options.lines.plan(),
        target=os.path.abspath(options.target),
        strip_components=options.strip_components,
        sparse=options.sparse,
        numeric_ids=options.numeric_ids,
        noflags=options.noflags,
        noacls=options.noacls,
        noxattrs=options.noxattrs,
        need_total=options.progress,
        file_systems=for_extract(),
    )
    return plan


def report_damage(name: ArchiveName, counted: CountedProblems) -> None:
    """Raises: IntegrityError, if content could not be read from the repository."""
    damaged = counted.counts.get("damaged", 0)
    if damaged:
        raise IntegrityError(f"{damaged} items of the archive {name} could not be read whole from the repository")


def _tell(met: FileSystem, target: str, options: ExtractOptions, events: EventSink) -> None:
    unwanted = {"xattrs": options.noxattrs, "acls": options.noacls, "flags": options.noflags}
    text = describe(met, target, "extract", frozenset(name for name, is_off in unwanted.items() if is_off))
    if text is not None:
        events.log("warning", text)
