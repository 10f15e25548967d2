"""Prune by arrival: what a client says of its time cannot make a rule let go of the archives of others."""

from pathlib import Path

import pytest

from bork.errors import CommandError
from bork.operations import prune
from bork.operations.heads import head_id, load_heads
from bork.operations.opening import open_repository
from bork.operations.prune import PruneOptions, Step
from bork.operations.retention import Policy
from bork.operations.selection import ArchiveName
from bork.repository.layout import head_name
from tests.operations.scene import DAY_NS, Recorder, Scene

HONEST = [f"honest-{day}" for day in range(7)]


def stamp(scene: Scene, name: str) -> None:
    """Let an archive have arrived now, by the clock of the scene."""
    with open_repository(scene.access(), role="reader") as opened:
        head = head_id(opened.keys, ArchiveName(name))
    scene.stores.objects["/repository"].arrivals[head_name(head)] = scene.clock.ns


@pytest.fixture
def week(scene: Scene, source: Path) -> Scene:
    """An honest archive a day for a week; on the eighth day the client is not honest any more."""
    scene.init()
    for name in HONEST:
        scene.create(name, source)
        stamp(scene, name)
        scene.clock.ns += DAY_NS
    return scene


def lie(scene: Scene, source: Path, name: str, timestamp_ns: int) -> None:
    scene.create(name, source, timestamp_ns=timestamp_ns)
    stamp(scene, name)


def kept(scene: Scene, policy: Policy, *, by_arrival: bool) -> set[str]:
    told: list[Step] = []
    options = PruneOptions(policy, by_arrival=by_arrival, dry_run=True)
    prune.run(scene.access(), options, Recorder(), lambda _: None, told.append)
    return {str(step.entry.name) for step in told if step.reason is not None}


POLICIES = [
    Policy(counts={"daily": 8}),
    Policy(counts={"daily": 4, "weekly": 4, "monthly": 2}),
    Policy(within_h=24 * 8),
    Policy(within_h=24, counts={"hourly": 8}),
]


@pytest.mark.parametrize("policy", POLICIES)
def test_no_lie_about_time_costs_an_honest_archive(week: Scene, source: Path, policy: Policy) -> None:
    """Lies of every kind: later on each past day, in the future, in 1970, and in the far future."""
    now = week.clock.ns
    lie(week, source, "now", now)
    wanted = kept(week, policy, by_arrival=True) - {"now"}
    assert wanted
    for number in range(8):
        lie(week, source, f"later that day {number}", now - number * DAY_NS + 1)
        lie(week, source, f"tomorrow {number}", now + (number + 1) * DAY_NS)
    lie(week, source, "first", 0)
    lie(week, source, "last", now + 40_000 * DAY_NS)
    assert kept(week, policy, by_arrival=True) & set(HONEST) == wanted & set(HONEST)


def test_the_same_lies_work_where_the_times_of_makers_are_believed(week: Scene, source: Path) -> None:
    """The attack is one: else the test above would show nothing."""
    for number in range(8):
        lie(week, source, f"tomorrow {number}", week.clock.ns + (number + 1) * DAY_NS)
    policy = Policy(counts={"daily": 8})
    assert kept(week, policy, by_arrival=False) & set(HONEST) == set()
    assert kept(week, policy, by_arrival=True) & set(HONEST) == set(HONEST)


def test_what_goes_is_what_the_dry_run_said(week: Scene, source: Path) -> None:
    lie(week, source, "last", week.clock.ns + 40_000 * DAY_NS)
    options = PruneOptions(Policy(counts={"daily": 4}), by_arrival=True)
    wanted = kept(week, options.policy, by_arrival=True)
    told: list[Step] = []
    prune.run(week.access(), options, Recorder(), lambda _: None, told.append)
    assert set(week.names()) == wanted == {"last", *HONEST[-3:]}
    assert [step.time_ns for step in told] == sorted((step.time_ns for step in told), reverse=True)
    assert told[0].time_ns == week.clock.ns, "the time of its arrival, not the one that it claims"


def test_a_storage_that_cannot_tell_prunes_nothing(week: Scene) -> None:
    before = week.names()
    week.stores.objects["/repository"].arrivals.clear()
    options = PruneOptions(Policy(counts={"daily": 1}), by_arrival=True)
    with pytest.raises(CommandError, match="cannot tell"):
        prune.run(week.access(), options, Recorder(), lambda _: None, lambda _: None)
    assert week.names() == before
    told: list[Step] = []
    prune.run(week.access(), options._replace(glob="nothing-*"), Recorder(), lambda _: None, told.append)
    assert told == []


def test_an_archive_without_a_time_of_arrival_stays_and_costs_no_other(week: Scene) -> None:
    """It was deleted between the two looks; if it was not, it must not go unjudged."""
    with open_repository(week.access(), role="reader") as opened:
        entry = load_heads(opened.repository, opened.keys).entries[-1]
    del week.stores.objects["/repository"].arrivals[head_name(entry.object)]
    options = PruneOptions(Policy(counts={"daily": 2}), by_arrival=True)
    prune.run(week.access(), options, Recorder(), lambda _: None, lambda _: None)
    assert set(week.names()) == {HONEST[-1], HONEST[-2], HONEST[-3]}
