"""The search: every order in which the storage operations of some processes can happen, and a crash of any of them.

It goes through states, not through orders: a state is what the storage holds and what each process has been told. Two
orders that lead to the same state are one from there on, and are counted as two. Nothing is left out but this: an
operation that no other living process can notice, or change the answer of, is done at once (``Can`` says what a process
may do at all); and a process that crashes does so before an operation that changes something, for before one that only
looks it is the same as after it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from random import Random

    from tests.model.process import Node, Outcome, Process
    from tests.model.world import Answer, Operation, World, Worlds

READS = {"get", "range", "list", "alive", "intact"}
LOOKS = READS | {"wait"}  # what changes nothing


class Can(NamedTuple):
    """What a process may ever do: collections that it lists, and puts objects into; what it deletes, by name or as
    ``packs/`` for all packs. Everything that a process does is compared with this.
    """

    lists: frozenset[str]
    puts: frozenset[str]
    deletes: frozenset[str] = frozenset()

    def may_delete(self, name: str, collection: str) -> bool:
        return name in self.deletes or collection + "/" in self.deletes

    def allows(self, verb: str, name: str, collection: str) -> bool:
        if verb == "list":
            return name in self.lists
        if verb == "put":
            return collection in self.puts
        if verb == "delete":
            return self.may_delete(name, collection)
        return True  # reading what was found by listing; its own session


def can(lists: str, puts: str, deletes: str = "") -> Can:
    return Can(frozenset(lists.split()), frozenset(puts.split()), frozenset(deletes.split()))


class Place(NamedTuple):
    """Where a process is. ``node`` None: it crashed. ``waits``: so many milliseconds."""

    node: Node | None
    waits: int = 0


class State(NamedTuple):
    world: World
    places: tuple[Place, ...]
    crashes_left: int
    last: int = -1  # which process went on last; -1: it makes no difference
    switches_left: int = -1  # how often another may go on although the last one could; -1: always


@dataclass
class Counts:
    """What was gone through."""

    states: int = 0
    orders: float = 0  # interleavings
    ends: int = 0  # states in which every process has ended
    runs: int = 0  # of real operations


class Failure(AssertionError):
    """The model found something."""


@dataclass
class Search:
    """One search. ``judge`` looks at each end."""

    worlds: Worlds
    processes: Sequence[Process]
    judge: Judge
    counts: Counts = field(default_factory=Counts)
    _seen: dict[int, float] = field(default_factory=dict)
    _told: list[list[tuple[Operation, Answer]]] = field(default_factory=list)
    _way: list[str] = field(default_factory=list)

    def start(self, world: World, crashes: int, switches: int = -1) -> State:
        for process in self.processes:
            if not process.nodes:
                process.begin(self.worlds)
        self._told, self._way = [[] for _ in self.processes], []
        return State(world, tuple(Place(process.root) for process in self.processes), crashes, -1, switches)

    def run(self, world: World, crashes: int = 0, switches: int = -1) -> Counts:
        """Go through everything. ``switches``: how often a process that could go on is made to wait, at most; -1: no
        limit.
        """
        try:
            self.counts.orders = self._visit(self.start(world, crashes, switches))
        finally:
            self._finish()
        return self.counts

    def sample(self, world: World, crashes: int, random: Random, orders: int) -> Counts:
        """Go through some orders, chosen at random: a process goes on for a while, then another one."""
        try:
            for _ in range(orders):
                self._walk(self.start(world, crashes), random)
        finally:
            self._finish()
        return self.counts

    def _finish(self) -> None:
        for process in self.processes:
            process.end()
        self.counts.runs = sum(process.runs for process in self.processes)

    def _visit(self, state: State) -> float:
        # A number of 64 bits instead of a state: among ten million states two have the same once in 400,000 searches.
        key = hash((state.world.number, _where(state), state[2:]))
        known = self._seen.get(key)
        if known is not None:
            return known
        orders = 0.0
        has_ended = True
        for number, step in self._steps(state):
            has_ended = False
            orders += self._visit(self._take(state, number, step))
            self._back(number, step)
        if has_ended:
            self._end(state)
            orders = 1.0
        self._seen[key] = orders
        self.counts.states += 1
        return orders

    def _walk(self, state: State, random: Random) -> None:
        last = -1
        while steps := list(self._steps(state)):
            same = [step for step in steps if step[0] == last and step[1] != "crash"]
            number, step = same[0] if same and random.random() < 0.7 else random.choice(steps)
            if step == "crash" and random.random() < 0.9:
                continue
            state, last = self._take(state, number, step), number
            self.counts.states += 1
        self.counts.orders += 1
        self._end(state)

    def _end(self, state: State) -> None:
        self.counts.ends += 1
        outcomes = {
            process.name: None if place.node is None else place.node.outcome
            for process, place in zip(self.processes, state.places, strict=True)
        }
        for finding in self.judge(self.worlds, state.world, outcomes):
            raise Failure("\n".join([finding, f"{outcomes}", *self._way]))

    # ---- steps -------------------------------------------------------------------------------------------------

    def _steps(self, state: State) -> Iterator[tuple[int, str]]:
        """What can happen next: an operation of a process, its crash, or that time passes (number -1)."""
        running = [
            number
            for number, (node, waits) in enumerate(state.places)
            if node is not None and node.operation is not None and not waits
        ]
        quiet = [number for number in running if self._is_unnoticed(state, number)]
        if not quiet and state.switches_left == 0 and state.last in running:
            running = [state.last]
        for number in quiet[:1] or running:
            yield number, "is alone" if quiet else "goes on"
            node = state.places[number].node
            if state.crashes_left and node is not None and node.operation and node.operation[0] not in LOOKS:
                yield number, "crash"
        if not quiet and any(waits for _, waits in state.places):
            yield -1, "time"

    def _is_unnoticed(self, state: State, number: int) -> bool:
        """Whether no other process can notice what this one does next, nor change what it is told."""
        node = state.places[number].node
        assert node is not None
        assert node.operation is not None
        operation = node.operation
        verb, name = str(operation[0]), str(operation[1])
        if verb == "wait":
            return True
        collection = name.partition("/")[0]
        if verb == "delete" and collection == "sessions" and name not in state.world.objects:
            return True  # it is gone, and its name never comes again
        assert self.processes[number].can.allows(verb, name, collection), operation
        return not any(
            self._minds(other, node, verb, name, collection, state.world)
            for other, (node, _) in enumerate(state.places)
            if other != number and node is not None and node.operation is not None
        )

    def _minds(self, other: int, node: Node, verb: str, name: str, collection: str, world: World) -> bool:
        can = self.processes[other].can
        if verb == "list":
            return collection == "sessions" or name in can.puts or any(one.startswith(name) for one in can.deletes)
        if verb in READS:
            if collection == "sessions":
                # Only its holder lets go of it, and who fences or buries; it never comes again.
                return name in node.holds or can.may_delete(name, collection)
            if verb == "range" or name in world.objects:
                return can.may_delete(name, collection)
            return collection in can.puts
        # It changes something: whoever may look there minds.
        changes = collection in can.puts or can.may_delete(name, collection)
        return collection == "sessions" or collection in can.lists or changes

    def _take(self, state: State, number: int, step: str) -> State:
        places = list(state.places)
        if step == "time":
            passed = min(waits for _, waits in places if waits)
            self._way.append(f"{passed} ms pass")
            places = [Place(node, max(0, waits - passed)) for node, waits in places]
            return state._replace(world=self.worlds.pass_time(state.world, passed), places=tuple(places))
        process, node = self.processes[number], places[number].node
        assert node is not None
        if step == "crash":
            self._way.append(f"{process.name} crashes before {node.operation}")
            places[number] = Place(None)
            world = self.worlds.let_die(state.world, node.holds)
            return state._replace(world=world, places=tuple(places), crashes_left=state.crashes_left - 1)
        operation = node.operation
        assert operation is not None
        answer, world, waits = ("ok",), state.world, 0
        if operation[0] == "wait":
            waits = int(operation[1]) if self.worlds.semantics.listing_lag_s else 0
        else:
            answer, world = self.worlds.perform(state.world, operation)
        told = self._told[number]
        child = process.next(node, told.copy, answer)
        told.append((operation, answer))
        self._way.append(f"{process.name}: {operation} -> {answer}")
        places[number] = Place(child, waits)
        last, left = state.last, state.switches_left
        if left >= 0 and step == "goes on":
            if last not in (-1, number) and self._can_go_on(state, last):
                left -= 1
            last = number
        return State(world, tuple(places), state.crashes_left, last, left)

    def _can_go_on(self, state: State, number: int) -> bool:
        node, waits = state.places[number]
        return node is not None and node.operation is not None and not waits

    def _back(self, number: int, step: str) -> None:
        self._way.pop()
        if step in ("goes on", "is alone"):
            self._told[number].pop()


def _where(state: State) -> tuple[tuple[int, int], ...]:
    return tuple((-1 if node is None else node.number, waits) for node, waits in state.places)


if TYPE_CHECKING:
    from typing import Protocol

    class Judge(Protocol):
        def __call__(self, worlds: Worlds, world: World, outcomes: dict[str, Outcome | None]) -> list[str]:
            """What is wrong at an end. ``outcomes``: None for a process that crashed."""
            ...
