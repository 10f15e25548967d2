"""Every crash of every command on a simulated disk: no archive is lost, and the next command works.

The commands are the real ones over the real ``LocalStore``. See docs/how-bork-is-tested.md.
"""

import os
from collections.abc import Callable
from dataclasses import asdict

import pytest

from tests.crash.explore import explore, explore_kills
from tests.crash.scenarios import KILLED, SCENARIOS, Scenario, compacted
from tests.crash.world import World

SECOND_MAX = int(os.environ.get("BORK_TEST_SECOND_CRASHES", "1"))  # crashes of each recovery that are looked at


@pytest.mark.timeout(300 if SECOND_MAX == 1 else 0)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_no_crash_loses_an_archive_or_stops_the_next_command(
    world: World, scenario: Scenario, count: Callable[[str, dict[str, int]], None]
) -> None:
    counts = explore(world, scenario, SECOND_MAX)
    assert counts.states >= scenario.states_min  # it has not stopped looking
    count("crash points", asdict(counts))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("scenario", KILLED, ids=lambda scenario: scenario.name)
def test_a_compaction_after_a_kill_relies_on_nothing_that_a_power_cut_takes(
    world: World, scenario: Scenario, count: Callable[[str, dict[str, int]], None]
) -> None:
    counts = explore_kills(world, scenario, compacted)
    assert counts.states >= scenario.states_min
    count("kills before a power cut", {name: number for name, number in asdict(counts).items() if number})
