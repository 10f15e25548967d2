"""Prune deletes what no rule keeps, tells why it keeps the rest, and touches nothing that does not match."""

from pathlib import Path

import pytest

from bork.errors import AppendOnly, BorkError, CancelledByUser, CommandError
from bork.operations import config, prune
from bork.operations.events import PercentProgress
from bork.operations.prune import Counts, Plan, PruneOptions, PruneOutcome, Step
from bork.operations.retention import Policy
from tests.operations.scene import DAY_NS, Recorder, Scene, expected
from tests.operations.test_delete import damage
from tests.operations.test_faults import attempts, mend
from tests.storage.faulty import FAULTS, Crash, Fault

DAILY_2 = PruneOptions(Policy(counts={"daily": 2}))


def run(scene: Scene, options: PruneOptions, events: Recorder | None = None) -> tuple[PruneOutcome, list[Step]]:
    plans: list[Plan] = []
    told: list[Step] = []
    outcome = prune.run(scene.access(), options, events or Recorder(), plans.append, told.append)
    assert plans == [outcome.plan]
    return outcome, told


@pytest.fixture
def days(scene: Scene, source: Path) -> Scene:
    """Four days, with one archive each of two hosts; the clock stands at the last."""
    scene.init()
    for day in range(4):
        scene.create(f"alpha-{day}", source)
        scene.create(f"beta-{day}", source)
        scene.clock.ns += DAY_NS
    return scene


def test_each_archive_is_told_with_its_reason_newest_first(days: Scene, source: Path) -> None:
    outcome, told = run(days, PruneOptions(Policy(counts={"daily": 2}), glob="alpha-*"))
    assert [(step.entry.name, step.reason and tuple(step.reason), step.number, step.total) for step in told] == [
        ("alpha-3", ("daily", 1), 0, 2),
        ("alpha-2", ("daily", 2), 0, 2),
        ("alpha-1", None, 1, 2),
        ("alpha-0", None, 2, 2),
    ]
    assert outcome.plan == Plan(Counts(8, 0), Counts(4, 0), Counts(2, 0), Counts(2, 0))
    assert days.names() == ["beta-0", "beta-1", "alpha-2", "beta-2", "alpha-3", "beta-3"]
    for name in days.names():
        assert days.restore(name) == expected(source)


def test_what_does_not_match_is_neither_counted_nor_deleted(days: Scene) -> None:
    run(days, PruneOptions(Policy(counts={"yearly": 1}), prefix="beta"))
    assert [name for name in days.names() if name.startswith("beta")] == ["beta-3"]
    assert len([name for name in days.names() if name.startswith("alpha")]) == 4
    before = days.names()
    outcome, told = run(days, PruneOptions(Policy(counts={"yearly": 1}), glob="nothing-*"))
    assert (told, outcome.plan.matching) == ([], Counts(0, 0))
    assert days.names() == before


@pytest.mark.parametrize("policy", [Policy(), Policy(counts={"daily": 0, "yearly": 0})])
def test_a_policy_without_rules_deletes_nothing(days: Scene, policy: Policy) -> None:
    before = dict(days.stores.objects["/repository"])
    with pytest.raises(CommandError, match="At least one"):
        run(days, PruneOptions(policy))
    assert days.stores.objects["/repository"] == before


def test_a_dry_run_tells_the_same_and_changes_nothing(days: Scene) -> None:
    before = dict(days.stores.objects["/repository"])
    outcome, told = run(days, DAILY_2._replace(dry_run=True, totals=True))
    assert outcome.totals is None
    assert days.stores.objects["/repository"] == before
    real, told_for_real = run(days, DAILY_2._replace(totals=True))
    assert (real.plan, told_for_real) == (outcome.plan, told)
    assert real.totals is not None
    assert real.totals.left is not None
    assert real.totals.left.total_size == real.totals.original_size // 6 * 2


def test_checkpoints_go_unless_one_is_the_newest_of_all(days: Scene, source: Path) -> None:
    days.create("alpha-4.checkpoint", source)
    days.create("alpha-4.checkpoint.1", source, timestamp_ns=days.clock.ns + 1)
    _, told = run(days, PruneOptions(Policy(counts={"daily": -1}), glob="alpha-*"))
    assert [(step.entry.name, step.reason and step.reason.rule) for step in told[:3]] == [
        ("alpha-4.checkpoint.1", "checkpoint"),
        ("alpha-4.checkpoint", None),
        ("alpha-3", "daily"),
    ]
    days.clock.ns += DAY_NS
    days.create("alpha-5", source)
    outcome, _ = run(days, PruneOptions(Policy(counts={"daily": -1}), glob="alpha-*"))
    assert outcome.plan.pruned == Counts(0, 1)


def test_rules_judge_by_the_time_that_the_archive_was_given(days: Scene, source: Path) -> None:
    days.create("alpha-old", source, timestamp_ns=0)
    _, told = run(days, PruneOptions(Policy(within_h=24 * 3 + 1), glob="alpha-*"))
    assert [step.entry.name for step in told if step.reason is None] == ["alpha-0", "alpha-old"]


def test_a_damaged_head_is_reported_and_stays_and_costs_no_other_archive(days: Scene) -> None:
    damage(days, "alpha-3")
    outcome, told = run(days, PruneOptions(Policy(counts={"daily": 2}), glob="alpha-*"))
    assert len(outcome.damaged) == 1
    assert [step.entry.name for step in told if step.reason] == ["alpha-2", "alpha-1"]
    assert len([name for name in days.stores.objects["/repository"] if name.startswith("archives/")]) == 7


def test_an_append_only_repository_keeps_everything(days: Scene) -> None:
    config.change(days.access(), "append_only", 1)
    with pytest.raises(AppendOnly):
        run(days, DAILY_2)
    assert len(days.names()) == 8
    assert run(days, DAILY_2._replace(dry_run=True))[0].plan.pruned == Counts(6, 0)


def test_who_stops_it_keeps_what_was_not_deleted_yet(days: Scene) -> None:
    with pytest.raises(CancelledByUser):
        run(days, DAILY_2, Recorder(cancel_after=4))
    assert 2 < len(days.names()) < 8


def test_progress_counts_what_goes(days: Scene) -> None:
    recorder = Recorder()
    run(days, DAILY_2, recorder)
    steps = [step for step in recorder.steps if isinstance(step, PercentProgress)]
    assert [(step.current, step.total, step.finished) for step in steps[:-1]] == [(n, 6, False) for n in range(1, 7)]
    assert steps[-1].finished


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_any_moment_costs_no_archive_that_is_to_be_kept(days: Scene, source: Path, fault: Fault) -> None:
    objects = dict(days.stores.objects["/repository"])
    keep = {"beta-3", "beta-2"}
    for _ in attempts(days, fault):
        is_done = True
        try:
            run(days, DAILY_2)
        except (BorkError, Crash):
            is_done = False
        mend(days)
        names = set(days.names())
        assert keep == names if is_done else keep <= names
        for name in keep:
            assert days.restore(name) == expected(source)
        run(days, DAILY_2)
        assert set(days.names()) == keep
        days.stores.objects["/repository"].clear()
        days.stores.objects["/repository"].update(objects)
