"""Run a command once, and look at every state that a crash in it could leave."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from tests.crash.disk import Change, Disk, State
from tests.crash.scenarios import Command, Scenario
from tests.crash.states import crash_states
from tests.crash.world import Lost, World, fingerprint
from tests.operations.scene import PASSPHRASE


@dataclass
class Counts:
    """What was looked at. A state is counted once, however many crashes lead to it."""

    calls: int = 0  # of the command, that change the disk or sync it: instants of a crash
    outcomes: int = 0  # crashes, times the ways in which each can end
    states: int = 0  # of these, different ones: all judged, and recovered from
    second_calls: int = 0  # of all recoveries: instants of a second crash
    second_states: int = 0  # states after second crashes that were judged and recovered from: a sample


def explore(world: World, scenario: Scenario, second_max: int) -> Counts:
    """Every crash of ``scenario.act``, and of each recovery from it at most ``second_max`` crashes.

    Raises: Lost, with the number of the call and what was wrong.
    """
    base, log = record(world, scenario)
    counts = Counts(calls=len(log))
    for calls, state in distinct(base, log, counts):
        counts.states += 1
        where = f"{scenario.name}: crash after {calls} of {len(log)} calls"
        try:
            verify(world, scenario, state, done=calls == len(log))
            recovered = recover(world, scenario, state)
            counts.second_calls += len(recovered.log)
            for again, found in sample(state, recovered.log, second_max, seed=counts.states):
                where = (
                    f"{scenario.name}: crash after {calls} calls, second crash after {again} of {len(recovered.log)}"
                )
                verify(world, scenario, found, done=False, thoroughly=False)
                recover(world, scenario, found, thoroughly=False)
                counts.second_states += 1
        except Exception as fault:
            last = "".join(f"\n  {effect!r:.150}" for change in log[max(0, calls - 4) : calls] for effect in change)
            raise Lost(f"{where}: {fault!r}{last}") from fault
    return counts


class _Killed(BaseException):
    """Nothing that the command does may catch it."""


def explore_kills(world: World, scenario: Scenario, then: Command) -> Counts:
    """The command is killed at each instant, the power stays on; ``then`` does its work on what is seen; and only then,
    when it has reported success, the power is cut: what the first command had not synced may go, or come back.

    Raises: Lost.
    """
    base, counts = prepared(world, scenario), Counts()
    seen = set()
    while kill(world, scenario, base, counts.calls, disk := Disk(base)):
        counts.calls += 1
        last = disk.log[-1:]
        then(world, disk)
        for _, state in crash_states(base, disk.log, {len(disk.log)}):
            counts.outcomes += 1
            if (key := fingerprint(state)) in seen:
                continue
            seen.add(key)
            counts.states += 1
            try:
                verify(world, scenario, state, done=False)
            except Lost as fault:
                raise Lost(f"{scenario.name}: killed after {counts.calls} calls, {last!r:.150}: {fault}") from fault
    return counts


def kill(world: World, scenario: Scenario, base: State, calls: int, disk: Disk) -> bool:
    """Let the command make so many calls and one more. False: it came to its end."""
    world.user.configured = world.judge(base, thoroughly=False).passphrase or PASSPHRASE
    left = calls + 1

    def after() -> None:
        nonlocal left
        left -= 1
        before("")

    def before(_: str) -> None:
        if left <= 0:
            raise _Killed  # whatever it would do to clean up

    disk.before, disk.after = before, after
    try:
        scenario.act(world, disk)
    except _Killed:
        return True
    finally:
        disk.kill()
    return False


def record(world: World, scenario: Scenario) -> tuple[State, Sequence[Change]]:
    """The disk before the command, and the log of an undisturbed run."""
    base = prepared(world, scenario)
    disk = Disk(base)
    scenario.act(world, disk)
    verify(world, scenario, disk.state(), done=True)
    return base, disk.log


def prepared(world: World, scenario: Scenario) -> State:
    """What the command begins with."""
    disk = Disk()
    scenario.prepare(world, disk)
    base = disk.state()
    world.user.configured = world.judge(base, thoroughly=False).passphrase or PASSPHRASE
    return base


def distinct(base: State, log: Sequence[Change], counts: Counts) -> Iterator[tuple[int, State]]:
    """Calls made, and state. A state that was there already is left out.

    What a state must hold depends on whether the command had reported success: those after the last call are apart.
    """
    seen = set()
    for calls, state in crash_states(base, log):
        counts.outcomes += 1
        key = (fingerprint(state), calls == len(log))
        if key not in seen:
            seen.add(key)
            yield calls, state


def sample(base: State, log: Sequence[Change], count: int, *, seed: int) -> list[tuple[int, State]]:
    """One state at each of ``count`` instants. The same seed makes the same choice."""
    random = Random(seed)
    instants = random.sample(range(len(log) + 1), min(count, len(log) + 1))
    return [random.choice(list(crash_states(base, log, {instant}))) for instant in sorted(instants)]


def recover(world: World, scenario: Scenario, state: State, *, thoroughly: bool = True) -> Disk:
    """The next command works, and then everything is as if nothing had happened."""
    world.user.configured = world.judge(state, thoroughly=False).passphrase or PASSPHRASE
    disk = Disk(state)
    scenario.again(world, disk)
    verify(world, scenario, disk.state(), done=True, thoroughly=thoroughly)
    return disk


def verify(world: World, scenario: Scenario, state: State, *, done: bool, thoroughly: bool = True) -> None:
    """Raises: Lost. ``done``: the command had reported success."""
    verdict = world.judge(state, thoroughly=thoroughly and (done or scenario.is_sound))
    for group in scenario.always:
        if verdict.names.isdisjoint(group):
            raise Lost(f"of the archives {group} none is left, only {sorted(verdict.names)}")
    if done:
        if not verdict.names.issuperset(scenario.after) or not verdict.names.isdisjoint(scenario.gone):
            raise Lost(f"success was reported, and the archives are {sorted(verdict.names)}")
        if verdict.passphrase != scenario.passphrase:
            raise Lost("success was reported, and it is another passphrase that opens the repository")
