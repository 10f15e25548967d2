"""Delete the archives that a retention policy does not keep."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from bork.errors import CancelledByUser, CommandError, RepositoryError
from bork.operations import retention
from bork.operations.deleting import begin_delete_archive, deleted_totals
from bork.operations.events import PercentProgress
from bork.operations.heads import ArchiveEntry, Heads, load_heads
from bork.operations.opening import open_repository
from bork.operations.recreate import SUFFIX, is_temporary
from bork.operations.retention import Candidate, Policy, Reason, is_checkpoint, without_checkpoint
from bork.repository import layout

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bork.operations.access import Access
    from bork.operations.events import EventSink
    from bork.operations.totals import DeletedTotals
    from bork.repository.repository import Repository
    from bork.repository.session import Role


class PruneOptions(NamedTuple):
    """``glob`` and ``prefix`` exclude each other; archives that they do not match are neither counted nor deleted."""

    policy: Policy
    glob: str | None = None
    prefix: str | None = None
    by_arrival: bool = False  # the clock of who keeps the repository is believed, and no other
    dry_run: bool = False
    totals: bool = False  # count what the repository holds afterwards


class Counts(NamedTuple):
    archives: int
    checkpoints: int


class Plan(NamedTuple):
    """What will be done, before anything is."""

    all: Counts
    matching: Counts
    kept: Counts
    pruned: Counts


class Step(NamedTuple):
    """One archive that matches, newest first."""

    entry: ArchiveEntry
    time_ns: int  # by which it was judged
    reason: Reason | None  # why it is kept; None: it goes now
    number: int  # of those that go, from 1; 0 for one that is kept
    total: int  # how many go


class PruneOutcome(NamedTuple):
    plan: Plan
    totals: DeletedTotals | None  # None: dry run
    damaged: tuple[RepositoryError, ...]  # heads that no rule can look at: nothing was done to them


def run(
    access: Access,
    options: PruneOptions,
    events: EventSink,
    tell_plan: Callable[[Plan], None],
    tell: Callable[[Step], None],
) -> PruneOutcome:
    """Judge all archives that match, then delete those that no rule keeps. ``tell`` hears of each one before.

    Heads that cannot be opened are left alone: without them rules can only keep more of the others, never fewer.
    Raises: CommandError for a policy without rules, before anything is opened, and for ``by_arrival`` on a storage that
    cannot tell; AppendOnly; CancelledByUser between two archives; and as ``open_repository``.
    """
    options.policy.require_rules()
    role: Role = "reader" if options.dry_run else "deleter"
    with open_repository(access, role=role, sees=(layout.ARCHIVES,)) as opened:
        repository = opened.repository
        if not options.dry_run:
            repository.require_deletable()
        heads = load_heads(repository, opened.keys, sight=opened.sight)
        steps = _judge(access, options, heads, repository)
        plan = _plan(heads, steps)
        tell_plan(plan)
        deleted = _execute(repository, steps, events, tell, dry_run=options.dry_run)
        totals = None
        if not options.dry_run:
            totals = deleted_totals(access, repository, opened.keys, heads, deleted, events, whole=options.totals)
        return PruneOutcome(plan, totals, heads.damaged)


def _judge(access: Access, options: PruneOptions, heads: Heads, repository: Repository) -> list[Step]:
    names = {entry.head.name for entry in heads.entries}
    by_name = {
        entry.head.name: entry
        for entry in heads.entries
        if _matches(entry.head.name, options) and not _is_twin(entry.head.name, names)
    }
    times = _arrivals(repository, by_name) if options.by_arrival else _times(by_name)
    candidates = [Candidate(name, time_ns) for name, time_ns in times.items()]
    verdicts = retention.decide(candidates, options.policy, access.clock.now_ns())
    total = sum(verdict.reason is None for verdict in verdicts)
    steps, number = [], 0
    for candidate, reason in verdicts:
        number += reason is None
        steps.append(Step(by_name[candidate.name], candidate.time_ns, reason, 0 if reason else number, total))
    return steps


def _times(by_name: Mapping[str, ArchiveEntry]) -> dict[str, int]:
    """The time that each archive has of its maker."""
    return {name: entry.head.time_ns for name, entry in by_name.items()}


def _arrivals(repository: Repository, by_name: Mapping[str, ArchiveEntry]) -> dict[str, int]:
    """When each archive came, by a clock that no client can set. One that has gone meanwhile is not judged.

    Raises: CommandError. To fall back to the times of makers would be to believe those whom the user does not.
    """
    stamps = repository.arrivals_ns([entry.object for entry in by_name.values()])
    times = {name: stamp for name, stamp in zip(by_name, stamps, strict=True) if stamp is not None}
    if by_name and not times:
        raise CommandError("--by-arrival: this storage cannot tell when archives arrived")
    return times


def _is_twin(name: str, names: set[str]) -> bool:
    """Whether an interrupted ``recreate`` has left it beside the archive itself: no rule may prefer it to that."""
    return is_temporary(name) and name.removesuffix(SUFFIX) in names


def _matches(name: str, options: PruneOptions) -> bool:
    """A checkpoint matches by its own name, and by that of the archive that it was to become."""
    if options.prefix is not None:
        return name.startswith(options.prefix)
    glob = options.glob
    return glob is None or any(fnmatch.fnmatchcase(each, glob) for each in (name, without_checkpoint(name)))


def _plan(heads: Heads, steps: list[Step]) -> Plan:
    return Plan(
        all=_count(heads.entries),
        matching=_count(step.entry for step in steps),
        kept=_count(step.entry for step in steps if step.reason is not None),
        pruned=_count(step.entry for step in steps if step.reason is None),
    )


def _count(entries: Iterable[ArchiveEntry]) -> Counts:
    checkpoints = [is_checkpoint(entry.head.name) for entry in entries]
    return Counts(len(checkpoints) - sum(checkpoints), sum(checkpoints))


def _execute(
    repository: Repository, steps: list[Step], events: EventSink, tell: Callable[[Step], None], *, dry_run: bool
) -> list[ArchiveEntry]:
    """What was deleted. Deletions travel together where the repository is far away."""
    begun: list[tuple[ArchiveEntry, Callable[[], bool]]] = []
    for step in steps:
        if events.cancelled():
            raise CancelledByUser
        tell(step)
        if step.reason is not None:
            continue
        if not dry_run:
            begun.append((step.entry, begin_delete_archive(repository, step.entry)))
        events.progress(PercentProgress("prune", step.number, step.total, b""))
    deleted = [entry for entry, is_deleted in begun if is_deleted()]
    events.progress(PercentProgress("prune", 1, 1, b"", finished=True))
    return deleted
