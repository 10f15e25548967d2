"""``bork compact``: give back the space of what no archive needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bork.cli import values
from bork.cli.options import Command, Option, Positional
from bork.cli.sizes import format_size

if TYPE_CHECKING:
    from bork.cli.invocation import Invocation
    from bork.operations.compact import CompactOutcome

COMMAND = Command(
    "compact",
    "Compact repository files to free space",
    (Positional("location", "REPOSITORY", "repository", "repository to compact", "?"),),
    (
        Option(("-n", "--dry-run"), "dry_run", "do not change the repository, and say what would be freed"),
        Option(("--cleanup-commits",), "cleanup_commits", "accepted for scripts that were written for Borg"),
        Option(
            ("--threshold",),
            "threshold",
            "rewrite files of which at least PERCENT is not needed (default: 10)",
            "PERCENT",
            values.natural,
            10,
        ),
    ),
    epilog="""\
Space that delete, prune and recreate have made useless comes back here. Backups may go on meanwhile; what one of them
might still refer to is kept, and given back by a later compact. Alone in the repository, compact frees all at once.""",
)


def run(invocation: Invocation) -> None:
    given = invocation.values
    location = invocation.location()
    access = invocation.access(location)
    from bork.operations import compact  # late: a bad command line is answered without the engine

    options = compact.CompactOptions(threshold=given.number("threshold"), dry_run=given.flag("dry_run"))
    outcome = compact.run(access, options, invocation.sink(problem_level="error"))
    if outcome.missing_chunks:
        invocation.warnings.add_plain()
    for line in _lines(outcome, dry_run=options.dry_run, iec=given.flag("iec")):
        invocation.console.log("info", line)


def _lines(outcome: CompactOutcome, *, dry_run: bool, iec: bool) -> list[str]:
    def size(size_bytes: int) -> str:
        return format_size(size_bytes, iec=iec)

    if dry_run:
        files = f"{outcome.deleted_packs} files to delete, {outcome.rewritten_packs} to rewrite"
        would_free = size(outcome.unused_bytes + outcome.waiting_bytes)
        return [f"compaction would free about {would_free} repository space ({files})."]
    lines = [f"compaction freed about {size(max(0, outcome.freed_bytes))} repository space."]
    if outcome.waiting_bytes:
        who = ", ".join(str(seen.record) for seen in outcome.waiting_for) or "a newer archive that needs them"
        lines.append(f"{size(outcome.waiting_bytes)} more come back with a later compact: they wait for {who}.")
    return lines
