"""A process of the model check: the real operation of Bork, as a tree of what it does after what it has been told.

Bork's operations are deterministic here: their clock, their randomness and the salts of their files follow from the
name of the process. So what one does next depends on nothing but the answers that its storage operations got. The
operation is run for each new sequence of answers, once: in a thread that stops at each storage operation. After that
the search looks the next operation up, whatever the other processes do meanwhile. That is how every interleaving of
real code can be gone through.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from bork.core import Keys, digest
from bork.errors import BorkError, ObjectExists, ObjectMissing
from bork.storage.base import Hold, Range, Store
from bork.storage.memory import MemoryStore
from bork.storage.names import CONFIG, ObjectName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from typing_extensions import Buffer

    from bork.operations.access import Access
    from tests.model.explore import Can
    from tests.model.world import Answer, Operation, Worlds

START_NS = 20_000 * 86_400 * 10**9
STACK_BYTES = 1 << 20


class Abandoned(BaseException):
    """The search has no further use for this run."""


class Outcome(NamedTuple):
    """How an operation ended: ``error`` is the name of the class of what it raised, empty for success."""

    error: str
    message: str = ""
    value: object = None


@dataclass(eq=False)
class Node:
    """A process that has got certain answers: its next operation, or its end."""

    number: int
    depth: int
    operation: Operation | None  # None: it has ended
    outcome: Outcome | None
    holds: frozenset[ObjectName]  # what it holds now
    children: dict[Answer, Node] = field(default_factory=dict)


@dataclass
class Process:
    """One process of a scenario. ``script`` runs the real operation; it is called once for each run."""

    name: str
    can: Can
    script: Callable[[Access], object]
    access: Callable[[SimulatedStores, SimulatedClock, Tokens], Access]
    worlds: Worlds = field(init=False)
    root: Node = field(init=False)
    nodes: int = 0
    runs: int = 0
    parked: dict[int, Run] = field(default_factory=dict)  # by the node that they wait at

    def begin(self, worlds: Worlds) -> None:
        """Find the first operation."""
        self.worlds = worlds
        run = Run(self, [])
        self.root = self._node(run, 0)

    def next(self, node: Node, path: Callable[[], list[tuple[Operation, Answer]]], answer: Answer) -> Node:
        """Where the process comes to with this answer. ``path``: all that it has been told before."""
        child = node.children.get(answer)
        if child is None:
            run = self.parked.pop(node.number, None) or Run(self, path())
            run.tell(answer)
            child = node.children[answer] = self._node(run, node.depth + 1)
        return child

    def _node(self, run: Run, depth: int) -> Node:
        node = Node(self.nodes, depth, run.operation, run.outcome, frozenset(run.holds))
        self.nodes += 1
        if node.operation is not None:
            self.parked[node.number] = run
        return node

    def end(self) -> None:
        """Give up all runs."""
        for run in self.parked.values():
            run.abandon()
        self.parked.clear()


_local = threading.local()


class RepeatableKeys:
    """Stands for ``Keys`` where repositories are opened: those of mode ``none``, with salts that can be repeated."""

    @staticmethod
    def public(repository_id: bytes) -> Keys:
        return Keys.repeatable(repository_id, _local.tokens.seed())


class Tokens:
    """Randomness that follows from a name."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._count = 0
        _local.tokens = self

    def seed(self) -> bytes:
        self._count += 1
        return f"{self._name} {self._count}".encode()

    def token(self, length: int) -> bytes:
        return digest(self.seed())[:length]


class Run:
    """The real operation in a thread, stopped at a storage operation or at its end."""

    def __init__(self, process: Process, past: list[tuple[Operation, Answer]]) -> None:
        process.runs += 1
        self.operation: Operation | None = None
        self.outcome: Outcome | None = None
        self.holds: set[ObjectName] = set()
        self.worlds = process.worlds
        self._process, self._past, self._at = process, past, 0
        self._answer: Answer = ()
        self._is_abandoned = False
        self._asked, self._told = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._work, name=process.name, daemon=True)
        self._thread.start()
        self._asked.acquire()
        if self._at < len(past) or (past and self.operation is None):
            raise AssertionError(f"{process.name} did not do the same again: {self.outcome}")

    def _work(self) -> None:
        stores, clock = SimulatedStores(self), SimulatedClock(self)
        try:
            access = self._process.access(stores, clock, Tokens(self._process.name))
            self.outcome = Outcome("", value=self._process.script(access))
        except BorkError as fault:
            self.outcome = Outcome(type(fault).__name__, str(fault))
        except Abandoned:
            return
        except BaseException as fault:  # noqa: BLE001  # a bug is an outcome, too, and never an accepted one
            self.outcome = Outcome(type(fault).__name__, repr(fault))
        self.operation = None
        self._asked.release()

    def ask(self, operation: Operation) -> Answer:
        """Called by the operation: what does the storage say?"""
        if self._is_abandoned:
            raise Abandoned
        if self._at < len(self._past):
            expected, answer = self._past[self._at]
            self._at += 1
            if expected != operation:
                raise AssertionError(f"not deterministic: {operation} instead of {expected}")
            return answer
        self.operation = operation
        self._asked.release()
        self._told.acquire()
        if self._is_abandoned:
            raise Abandoned
        return self._answer

    def tell(self, answer: Answer) -> None:
        """Called by the search: go on to the next operation."""
        self._answer = answer
        self._told.release()
        self._asked.acquire()

    def abandon(self) -> None:
        self._is_abandoned = True
        self._told.release()
        self._thread.join()


class SimulatedClock:
    """Stands still, but waiting is an operation: others may go on, and time passes."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def now_ns(self) -> int:
        return START_NS

    def wait(self, seconds: float) -> None:
        if seconds > 0:
            self._run.ask(("wait", round(seconds * 1000)))


class SimulatedStores:
    """Opens the one storage."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def open(self, location: str) -> Store:
        return SimulatedStore(self._run, location)

    def create(self, location: str, *, make_parent_dirs: bool) -> Store:
        raise NotImplementedError


class SimulatedStore(Store):
    """Every verb is an operation of the search."""

    def __init__(self, run: Run, location: str) -> None:
        super().__init__(location)
        self._run, self._worlds = run, run.worlds
        self.listing_lag_s = self._worlds.semantics.listing_lag_s
        self.lease_s = self._worlds.semantics.lease_s

    def ask(self, verb: str, name: str, *rest: object) -> Answer:
        """Raises: ObjectMissing, ObjectExists."""
        answer = self._run.ask((verb, name, *rest))
        if answer[:1] == ("missing",):
            raise ObjectMissing(ObjectName(name), self.location)
        if answer == ("exists",):
            raise ObjectExists(ObjectName(name), self.location)
        return answer

    def get(self, name: ObjectName) -> bytes:
        if name == CONFIG:
            return self._worlds.contents[0]  # it never changes
        number: int = self.ask("get", name)[1]
        return self._worlds.contents[number]

    def get_range(self, name: ObjectName, offset: int, length: int) -> bytes:
        return self.get_ranges([Range(name, offset, length)])[0]

    def get_ranges(self, ranges: Sequence[Range]) -> list[bytes]:
        answer = self._run.ask(("range", *(wanted.name for wanted in ranges)))
        if answer[0] == "missing":
            raise ObjectMissing(ObjectName(str(answer[1])), self.location)
        inner = MemoryStore(self._worlds.packs, self.location)
        return inner.get_ranges(ranges)

    def list(self, collection: str) -> Iterator[tuple[ObjectName, int]]:
        return iter(self._run.ask(("list", collection)))

    def put_if_absent(self, name: ObjectName, data: Buffer) -> None:
        self.ask("put", name, self._worlds.content(name, bytes(data)))

    def replace(self, name: ObjectName, data: Buffer) -> None:
        raise NotImplementedError  # the config is not changed here

    def delete(self, name: ObjectName) -> None:
        self.ask("delete", name)

    def settle(self, names: Iterable[ObjectName]) -> None:
        for _ in names:
            pass  # everything is durable here

    def hold(self, name: ObjectName, data: bytes) -> Hold:
        self.ask("hold", name, self._worlds.content(name, data))
        self._run.holds.add(name)
        return SimulatedHold(self, self._run, name)

    def is_held(self, name: ObjectName) -> bool | None:
        is_held: bool | None = self._run.ask(("alive", name))[0]
        return is_held

    def free_space(self) -> int | None:
        return None


class SimulatedHold(Hold):
    """See ``Store.hold``."""

    def __init__(self, store: SimulatedStore, run: Run, name: ObjectName) -> None:
        self._store, self._run, self._name = store, run, name

    def replace(self, data: bytes) -> None:
        self._store.ask("rewrite", self._name, self._run.worlds.content(self._name, data))

    def is_intact(self) -> bool:
        return bool(self._run.ask(("intact", self._name))[0])

    def release(self) -> None:
        self._run.ask(("release", self._name))
        self._run.holds.discard(self._name)
