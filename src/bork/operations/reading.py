"""What all readers of an archive tell the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from bork.operations.events import PercentOperation, PercentProgress, Progress
from bork.operations.heads import name_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bork.operations.access import Access
    from bork.operations.drive import Counters
    from bork.operations.heads import ArchiveEntry
    from bork.operations.selection import PathArgument, Pattern


def reading_plan(
    access: Access,
    entry: ArchiveEntry,
    mode: Literal["extract", "stdout", "list", "dry_run", "tar"],
    patterns: Sequence[Pattern],
    paths: Sequence[PathArgument],
) -> dict[str, object]:
    """The plan of a ReadEngine with neutral values for everything that depends on the verb."""
    return {
        "threads": access.threads,
        "patterns": [tuple(pattern) for pattern in patterns],
        "paths": [tuple(path) for path in paths],
        "lines": None,
        "mode": mode,
        "root": entry.head.root,
        "target": ".",
        "strip_components": 0,
        "sparse": False,
        "numeric_ids": False,
        "names": None,
        "file_systems": [],
        "noflags": False,
        "noacls": False,
        "noxattrs": False,
        "format": "",
        "json_lines": False,
        "archive_name": name_bytes(entry.name),
        "archive_id": entry.id.hex(),
        "need_total": False,
        "tar_format": "GNU",
    }


def percent(operation: PercentOperation) -> Callable[[Counters, bool], Progress]:
    """Make progress events of the counters of an engine that reads."""

    def event(counters: Counters, finished: bool) -> Progress:
        current, total, _, _, path = counters
        return PercentProgress(operation, current, total, path, finished)

    return event
