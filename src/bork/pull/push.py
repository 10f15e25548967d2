"""Restore an archive to another host, through the agent there. What is right there already is left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bork.core import PushEngine
from bork.errors import AgentFault
from bork.operations import extract
from bork.operations.drive import drive
from bork.operations.heads import ArchiveEntry, find_archive
from bork.operations.index import WHAT_IT_NEEDS, load_index
from bork.operations.opening import open_repository
from bork.operations.problems import CountedProblems
from bork.operations.reading import percent
from bork.pull.session import AgentEngine, allows

if TYPE_CHECKING:
    from bork.operations.access import Access
    from bork.operations.drive import Outcome
    from bork.operations.events import EventSink
    from bork.operations.extract import ExtractOptions
    from bork.operations.selection import ArchiveName
    from bork.pull.session import Connecting


class PushOutcome(NamedTuple):
    """What became of the items; of a dry run, what would have become of them."""

    archive: ArchiveEntry
    items: int
    same: int  # were right
    corrected: int  # got other attributes
    made: int
    replaced: int
    content_bytes: int  # that had to be sent


def run(
    access: Access, name: ArchiveName, target: bytes, options: ExtractOptions, connecting: Connecting, events: EventSink
) -> PushOutcome:
    """Restore below ``target``, a directory of the other host; ``options.target`` does not matter.

    Raises: as ``extract.run``; RemoteFault and its kin.
    """
    dry_run = options.to == "nowhere"
    try:
        with open_repository(access, sees=WHAT_IT_NEEDS, archives=(name,)) as opened:
            entry = find_archive(opened.repository, opened.keys, name, sight=opened.sight)
            loaded = load_index(access, opened.repository, opened.keys, events, sight=opened.sight)
            plan = extract.plan(access, entry, options._replace(to="nowhere"))
            plan.update(remote_target=target, dry_run=dry_run)
            line = connecting.line()
            events.log("info", f"Connected: {allows(line.hello)}")
            engine = AgentEngine(PushEngine(plan, opened.keys, loaded.chunks), line)
            counted = CountedProblems(events)
            outcome = drive(engine, opened.repository, counted, progress=percent("extract"))
            extract.report_damage(name, counted)
            return _outcome(entry, outcome)
    except AgentFault as fault:
        connecting.explain(fault)
        raise
    finally:
        connecting.close()


def _outcome(entry: ArchiveEntry, outcome: Outcome) -> PushOutcome:
    return PushOutcome(
        entry,
        outcome.number("items"),
        outcome.number("same"),
        outcome.number("corrected"),
        outcome.number("made"),
        outcome.number("replaced"),
        outcome.number("content"),
    )
