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
    quick = given.flag("quick_stats")
    if given.flag("json"):
        console.result_json(document(invocation, access, outcome, quick=quick), invocation.environment.json_indent())
    elif given.flag("stats") or quick:
        console.log_lines(statistics(invocation, access, outcome, quick=quick), name=STATS)


def statistics(invocation: Invocation, access: Access, outcome: CreateOutcome, *, quick: bool) -> str:
    """The block of ``--stats``."""
    archive, totals = _parts(outcome, quick=quick)
    return report.created(access.path, archive, totals, iec=invocation.console.iec)


def document(invocation: Invocation, access: Access, outcome: CreateOutcome, *, quick: bool) -> dict[str, object]:
    """What ``--json`` prints."""
    assert outcome.repository_id is not None
    assert outcome.encryption is not None
    archive, totals = _parts(outcome, quick=quick)
    repository_id = outcome.repository_id.hex()
    document = report.repository_json(
        repository_id, access.path, outcome.end_ns, outcome.encryption, outcome.key_location
    )
    document["archive"] = report.archive_json(archive, created_now=True)
    if totals is not None:
        cache_dir = os.path.join(invocation.environment.cache_dir(), repository_id)
        document["cache"] = report.cache_json(cache_dir, totals)
    return document


def _parts(outcome: CreateOutcome, *, quick: bool) -> tuple[report.Archive, report.Totals | None]:
    assert outcome.head is not None
    assert outcome.archive_id is not None
    totals = None if outcome.totals is None or quick else report.Totals.of(outcome.totals)
    return report.Archive.of(outcome.head, outcome.archive_id), totals
