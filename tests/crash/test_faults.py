"""Every call of every command fails once: what is reported is true, and the next command works."""

from collections.abc import Callable

import pytest

from bork.errors import BorkError
from tests.crash.disk import Disk, State
from tests.crash.explore import prepared, recover, verify
from tests.crash.faults import Calls, Fault, faults
from tests.crash.scenarios import SCENARIOS, Scenario
from tests.crash.world import PLACE, Lost, World


@pytest.mark.timeout(300)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_no_failing_call_loses_an_archive_or_passes_for_success(
    world: World, scenario: Scenario, count: Callable[[str, dict[str, int]], None]
) -> None:
    base = without_empty_directories(prepared(world, scenario))
    calls = Calls(Disk(base), None)
    scenario.act(world, calls.disk)
    tried = {"calls": len(calls.names), "faults": 0, "reported": 0}
    for fault in faults(calls.names):
        try:
            tried["reported"] += fail(world, scenario, base, fault)
        except Exception as problem:
            raise Lost(f"{scenario.name}: {fault}, {calls.names[fault.at]}: {problem!r}") from problem
        tried["faults"] += 1
    assert tried["reported"] >= len(calls.names) / 2  # most calls matter
    count("failing calls", tried)


def fail(world: World, scenario: Scenario, base: State, fault: Fault) -> bool:
    """Whether the command reported an error. Whatever it reported is true, and the next one works."""
    world.user.configured = world.judge(base, thoroughly=False).passphrase or world.user.configured
    calls = Calls(Disk(base), fault)
    try:
        scenario.act(world, calls.disk)
        reported = False
    except BorkError:
        reported = True
    if not calls.struck:  # threads and random salts: a run can be a call shorter than another
        return reported
    state = calls.disk.state()
    verify(world, scenario, state, done=not reported, thoroughly=False)
    recover(world, scenario, state, thoroughly=False)
    return reported


def without_empty_directories(state: State) -> State:
    """As a copy of a repository may be. Without it most calls would list 256 directories of packs, one like another."""
    names = dict(state.names)
    place = names[0].get(PLACE)
    packs = None if place is None else names[place].get("packs")
    if packs is not None:
        names[packs] = {name: node for name, node in names[packs].items() if names[node]}
    return State(names, state.data)
