"""Write the items of an archive as a tar stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from bork.core import ReadEngine
from bork.operations.drive import drive
from bork.operations.heads import ArchiveEntry, find_archive
from bork.operations.index import WHAT_IT_NEEDS, load_index
from bork.operations.opening import open_repository
from bork.operations.reading import percent, reading_plan

if TYPE_CHECKING:
    from bork.operations.access import Access
    from bork.operations.events import EventSink
    from bork.operations.selection import ArchiveName, ItemLines, PathArgument, Pattern

TarFormat = Literal["GNU", "PAX", "BORG"]


class ExportTarOptions(NamedTuple):
    """Options of ``bork export-tar`` under their own names; see docs/usage/export-tar.md."""

    tar_format: TarFormat = "GNU"
    patterns: tuple[Pattern, ...] = ()
    paths: tuple[PathArgument, ...] = ()
    strip_components: int = 0
    lines: ItemLines | None = None
    progress: bool = False  # whether to find out the total size first


class ExportTarOutcome(NamedTuple):
    archive: ArchiveEntry
    items: int


def run(access: Access, name: ArchiveName, options: ExportTarOptions, events: EventSink) -> ExportTarOutcome:
    """Export, as ``events.data``. When this returns the stream is complete.

    If it raises, the stream ends inside a block of 512 bytes, which no program takes for an end; or it has not begun;
    or it is whole, if the user has cancelled at the last moment.
    Memory: four parts of the stream of 8 MiB, or as long as one object. Raises: ArchiveDoesNotExist, CancelledByUser,
    and as ``open_repository``, ``load_index`` and ``drive``; IntegrityError, if content is lost or damaged.
    """
    with open_repository(access, sees=WHAT_IT_NEEDS, archives=(name,)) as opened:
        entry = find_archive(opened.repository, opened.keys, name, sight=opened.sight)
        loaded = load_index(access, opened.repository, opened.keys, events, sight=opened.sight)
        plan = reading_plan(access, entry, "tar", options.patterns, options.paths)
        plan.update(
            tar_format=options.tar_format,
            strip_components=options.strip_components,
            lines=None if options.lines is None else options.lines.plan(),
            need_total=options.progress,
        )
        engine = ReadEngine(plan, opened.keys, loaded.chunks)
        outcome = drive(engine, opened.repository, events, progress=percent("export-tar"))
        return ExportTarOutcome(entry, outcome.number("items"))
