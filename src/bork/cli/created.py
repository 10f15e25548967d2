"""What the commands that make an archive have in common: some options, and what they say of it in the end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from bork.cli import report, values
from bork.cli.output.console import STATS

if TYPE_CHECKING:
    from bork.cli.invocation import Invocation
    from bork.operations.access import Access
    from bork.operations.create import CreateOutcome


def chunker(params: values.Gear | values.Fixed | None) -> dict[str, Any]:
    """The option of the operation, or nothing: the default is its own."""
    match params:
        case values.Gear(min_exp, max_exp, avg_exp):
            return {"chunker": ("gear", min_exp, max_exp, avg_exp)}
        case values.Fixed(block_bytes, header_bytes):
            return {"chunker": ("fixed", block_bytes, header_bytes)}
        case None:
            return {}


def working_directory() -> str:
    try:
        return os.getcwd()
    except OSError:
        return ""  # it was removed; absolute paths can still be backed up


def show(invocation: Invocation, access: Access, outcome: CreateOutcome) -> None:
    """``--json``, ``--stats`` or ``--quick-stats``."""
    given, console = invocation.values, invocation.console
    assert outcome.head is not None
    assert outcome.archive_id is not None
    location = access.path
    archive = report.Archive.of(outcome.head, outcome.archive_id)
    totals = None
    if outcome.totals is not None and not given.flag("quick_stats"):
        totals = report.Totals.of(outcome.totals)
    if given.flag("json"):
        from bork.operations.opening import open_repository  # late: only --json needs it

        with open_repository(access, needs_key=False) as opened:
            repository_id = opened.repository.id.hex()
            document = report.repository_json(
                repository_id, location, outcome.end_ns, opened.mode.name, opened.key_location
            )
        document["archive"] = report.archive_json(archive, created_now=True)
        if totals is not None:
            cache_dir = os.path.join(invocation.environment.cache_dir(), repository_id)
            document["cache"] = report.cache_json(cache_dir, totals)
        console.result_json(document, invocation.environment.json_indent())
    elif given.flag("stats") or given.flag("quick_stats"):
        console.log_lines(report.created(location, archive, totals, iec=console.iec), name=STATS)
