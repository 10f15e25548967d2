"""``bork recreate``: archives anew, with items left out, or content stored in another way."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

from bork.cli import report, values
from bork.cli.location import is_archive_name
from bork.cli.options import TAGS, Command, Group, Option, Positional, exclusion_group
from bork.cli.output.console import STATS
from bork.errors import CommandError

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Literal

    from bork.archive.head import Chunker
    from bork.cli.invocation import Invocation
    from bork.operations.access import Access
    from bork.operations.recreate import Recreated, RecreateOptions, RecreateOutcome

NOTHING_TO_DO = "Nothing to do. Archive was not processed."


def _chunker(text: str) -> tuple[str | int, ...]:
    """Parameters; none for ``default``, which is not the same as no option."""
    match values.chunker_params(text):
        case values.Gear(min_exp, max_exp, avg_exp):
            return ("gear", min_exp, max_exp, avg_exp)
        case values.Fixed(block_bytes, header_bytes):
            return ("fixed", block_bytes, header_bytes)
        case None:
            return ()


_OUTPUT = (
    Option(("--list",), "output_list", "output verbose list of items (files, dirs, ...)"),
    Option(
        ("--filter",),
        "output_filter",
        'only display items with the given status characters (listed in "bork create --help")',
        "STATUSCHARS",
        once=True,
    ),
    Option(("-n", "--dry-run"), "dry_run", "do not change anything"),
    Option(("-s", "--stats"), "stats", "print statistics at end"),
)
_ARCHIVE = (
    Option(
        ("--target",),
        "target",
        "create a new archive with the name TARGET, do not replace the existing one (only for a single archive)",
        "TARGET",
        expands=True,
    ),
    Option(
        ("-c", "--checkpoint-interval"),
        "checkpoint_interval",
        "accepted for compatibility: what is stored of an interrupted run is always found again",
        "SECONDS",
        values.checkpoint_interval,
        1800,
    ),
    Option(("--comment",), "comment", "add a comment text to the archive", "COMMENT", expands=True),
    Option(
        ("--timestamp",),
        "timestamp",
        "set the archive's date/time (UTC, yyyy-mm-ddThh:mm:ss), or give a reference file/directory",
        "TIMESTAMP",
        values.timestamp,
    ),
    Option(
        ("-C", "--compression"),
        "compression",
        'select compression algorithm, see "bork help compression" (default: lz4)',
        "COMPRESSION",
        values.compression,
        values.Compression("lz4"),
    ),
    Option(
        ("--recompress",),
        "recompress",
        "compress chunks that are stored already: if-different (what another algorithm would have compressed; also "
        "without MODE), always, or never (default)",
        "MODE",
        None,
        "never",
        ("never", "if-different", "always"),
        implied="if-different",
    ),
    Option(
        ("--chunker-params",),
        "chunker_params",
        "cut content anew: gear,MIN_EXP,MAX_EXP,AVG_EXP or fixed,BLOCK_SIZE[,HEADER_SIZE] or default",
        "PARAMS",
        _chunker,
    ),
)

COMMAND = Command(
    "recreate",
    "Re-create archives",
    (
        Positional("location", "REPOSITORY_OR_ARCHIVE", "either", "repository or archive to recreate", "?"),
        Positional("paths", "PATH", "path", "paths to recreate; patterns are supported", "*"),
    ),
    _OUTPUT,
    (exclusion_group(*TAGS), Group("Archive options", _ARCHIVE)),
    epilog="""\
What PATHs and patterns leave out is gone from the archive for good. Try --dry-run --list first. Space comes back with
"bork compact". Paths in an archive are relative, so patterns that begin with / match as if they did not.""",
)


def run(invocation: Invocation) -> None:
    from bork.operations import recreate  # late: a bad command line is answered without the engine
    from bork.operations.selection import ArchiveName

    given, console = invocation.values, invocation.console
    location = invocation.location(now=cast("datetime | None", given.get("timestamp")))
    options = _options(invocation)
    if location.archive is None and options.target is not None:
        raise CommandError("--target: Need to specify single archive")
    if location.archive is not None and recreate.is_temporary(location.archive):
        raise CommandError(f"Refusing to work on temporary archive of prior recreate: {location.archive}")
    if options.dry_run and given.flag("stats"):
        console.log("warning", "Ignoring --stats. It is not supported when using --dry-run.")
    access = invocation.access(location)
    name = None if location.archive is None else ArchiveName(location.archive)
    outcome = recreate.run(access, name, options, invocation.sink())
    if name is not None and outcome.archives[0].action == "skipped":
        raise CommandError(
            f"{NOTHING_TO_DO} Specify at least one pattern, PATH, --comment, re-compression or re-chunking option."
        )
    for archive in outcome.archives:
        _tell(invocation, access, archive, outcome)


def _tell(invocation: Invocation, access: Access, archive: Recreated, outcome: RecreateOutcome) -> None:
    console = invocation.console
    if archive.action == "skipped":
        console.log("info", f"Skipped archive {archive.name}: {NOTHING_TO_DO}")
    elif archive.action == "unchanged":
        console.log("info", f"Archive {archive.name} is already as it was to become. It was not replaced.")
    elif archive.action == "emptied":
        message = f'No item of archive {archive.name} would be left. It stays as it is; "bork delete" deletes archives.'
        console.log("warning", message)
        invocation.warnings.add_plain()
    elif archive.entry is not None and invocation.values.flag("stats"):
        totals = None if outcome.totals is None else report.Totals.of(outcome.totals)
        shown = report.Archive.of(archive.entry.head, archive.entry.id)
        console.log_lines(report.created(access.path, shown, totals, iec=console.iec), name=STATS)


def _target(invocation: Invocation) -> str | None:
    """The name of a new archive. An empty one is refused: without a name the old archive would be replaced."""
    target = invocation.expanded("target")
    if target is not None and not is_archive_name(target):
        invocation.fail(f'argument --target: Invalid archive name: "{target}"')
    return target


def _options(invocation: Invocation) -> RecreateOptions:
    # Late: with the engine, see run.
    from bork.operations.create import DEFAULT_CHUNKER, Compression
    from bork.operations.recreate import RecreateOptions
    from bork.operations.selection import ArchiveName

    given = invocation.values
    target, now = _target(invocation), cast("datetime | None", given.get("timestamp"))
    chunker = cast("Chunker | tuple[()] | None", given.get("chunker_params"))
    return RecreateOptions(
        patterns=tuple(invocation.rules.patterns),
        paths=invocation.rules.path_arguments(invocation.paths()),
        exclude_caches=given.flag("exclude_caches"),
        exclude_if_present=tuple(os.fsencode(tag) for tag in given.texts("exclude_if_present")),
        keep_exclude_tags=given.flag("keep_exclude_tags"),
        target=None if target is None else ArchiveName(target),
        comment=invocation.expanded("comment"),
        timestamp_ns=None if now is None else int(now.timestamp()) * 1_000_000_000,
        recompress=cast("Literal['never', 'if-different', 'always']", given.text("recompress")),
        compression=Compression(*cast("tuple[Any, ...]", given["compression"])),
        chunker=None if chunker is None else chunker or DEFAULT_CHUNKER,
        lines=invocation.item_lines(),
        dry_run=given.flag("dry_run"),
        announce=lambda name: invocation.console.result(f"Processing {name}\n"),
    )
