"""The simulated storage of the model check: what a repository holds, as a value that many states of the search share.

A world never changes: every operation gives an answer and the world after it. Worlds that hold the same are one object,
so states of the search are compared by number, and an operation that was tried once in a world costs one look-up.

Time is relative. It passes only where a process waits, and then for everybody. Where listings lag, an object that was
put stays hidden from them, and one that was deleted stays in them, until the time of the lag has passed since.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from bork.storage.memory import Objects

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bork.storage.names import ObjectName

Operation = tuple[Any, ...]  # a verb, and what it needs
Answer = tuple[Any, ...]  # what the process is told
MS = 1000  # of a second: the unit of time here


class Semantics(NamedTuple):
    """What a storage can tell, and how fast. ``lease_s`` and ``listing_lag_s``: as ``Store`` has them."""

    name: str
    sees_life: bool = True  # whether somebody can see that a holder is dead
    lease_s: float | None = None
    listing_lag_s: float = 0.0


LOCAL = Semantics("local")
OBJECTS = Semantics("object store", sees_life=False, lease_s=60.0)
LAGGING = Semantics("object store whose listings lag", sees_life=False, lease_s=60.0, listing_lag_s=5.0)


@dataclass(frozen=True, eq=False)
class World:
    """What the storage holds. Identity is equality: worlds come from ``Worlds.world``."""

    number: int
    objects: Mapping[ObjectName, int]  # name -> number of its content
    held: frozenset[ObjectName]  # whose holder lives
    hidden: Mapping[ObjectName, int]  # put, and not listed for so many milliseconds
    ghosts: Mapping[ObjectName, tuple[int, int]]  # deleted, and listed with this length for so many milliseconds
    after: dict[Operation, tuple[Answer, World]] = field(default_factory=dict)


class Worlds:
    """All worlds of one search, and the contents that objects have in them."""

    def __init__(self, semantics: Semantics) -> None:
        self.semantics = semantics
        self.contents: list[bytes] = []
        self.packs: Objects = Objects()  # all that ever were: the name of a pack says what it holds
        self._numbers: dict[bytes, int] = {}
        self._worlds: dict[object, World] = {}

    def content(self, name: ObjectName, data: bytes) -> int:
        """The number of the content that ``name`` has."""
        if name.startswith("packs/"):
            self.packs[name] = data
        number = self._numbers.setdefault(data, len(self.contents))
        if number == len(self.contents):
            self.contents.append(data)
        return number

    def world(
        self,
        objects: Mapping[ObjectName, int],
        held: frozenset[ObjectName] = frozenset(),
        hidden: Mapping[ObjectName, int] | None = None,
        ghosts: Mapping[ObjectName, tuple[int, int]] | None = None,
    ) -> World:
        hidden, ghosts = hidden or {}, ghosts or {}
        key = (frozenset(objects.items()), held, frozenset(hidden.items()), frozenset(ghosts.items()))
        found = self._worlds.get(key)
        if found is None:
            found = self._worlds[key] = World(len(self._worlds), dict(objects), held, dict(hidden), dict(ghosts))
        return found

    def bytes_of(self, world: World) -> dict[ObjectName, bytes]:
        """The objects, for real code to work on."""
        return {name: self.contents[number] for name, number in world.objects.items()}

    def perform(self, world: World, operation: Operation) -> tuple[Answer, World]:
        """One operation of one process."""
        found = world.after.get(operation)
        if found is None:
            found = world.after[operation] = self._perform(world, operation)
        return found

    def _perform(self, world: World, operation: Operation) -> tuple[Answer, World]:
        verb, name = operation[0], operation[1]
        if verb == "get":
            return self._get(world, name), world
        if verb == "range":
            missing = [each for each in operation[1:] if each not in world.objects]
            return (("missing", missing[0]) if missing else ("ok",)), world
        if verb == "list":
            return self._list(world, name), world
        if verb in ("put", "hold"):
            return self._put(world, name, operation[2], held=verb == "hold")
        if verb == "rewrite":
            if name not in world.objects:
                return ("missing",), world
            objects = {**world.objects, name: operation[2]}
            return ("ok",), self.world(objects, world.held, world.hidden, world.ghosts)
        if verb in ("delete", "release"):
            return self._delete(world, name)
        if verb == "alive":
            is_there = name in world.objects
            if is_there and not self.semantics.sees_life:
                return (None,), world
            return (is_there and name in world.held,), world
        assert verb == "intact", operation
        return (name in world.objects,), world

    def _get(self, world: World, name: ObjectName) -> Answer:
        content = world.objects.get(name)
        return ("missing",) if content is None else ("ok", content)

    def _list(self, world: World, collection: str) -> Answer:
        prefix = collection + "/"
        found = [
            (name, len(self.contents[content]))
            for name, content in world.objects.items()
            if name.startswith(prefix) and name not in world.hidden
        ]
        found += [(name, length) for name, (length, _) in world.ghosts.items() if name.startswith(prefix)]
        return tuple(sorted(found))

    def _put(self, world: World, name: ObjectName, content: int, *, held: bool) -> tuple[Answer, World]:
        if name in world.objects:
            return ("exists",), world
        hidden, ghosts = dict(world.hidden), dict(world.ghosts)
        if self.semantics.listing_lag_s and ghosts.pop(name, None) is None:
            hidden[name] = round(self.semantics.listing_lag_s * MS)
        held_now = world.held | {name} if held else world.held
        return ("ok",), self.world({**world.objects, name: content}, held_now, hidden, ghosts)

    def _delete(self, world: World, name: ObjectName) -> tuple[Answer, World]:
        if name not in world.objects:
            return ("missing",), world
        objects, hidden, ghosts = dict(world.objects), dict(world.hidden), dict(world.ghosts)
        length = len(self.contents[objects.pop(name)])
        was_hidden = hidden.pop(name, None) is not None
        if self.semantics.listing_lag_s and not was_hidden:
            ghosts[name] = (length, round(self.semantics.listing_lag_s * MS))
        return ("ok",), self.world(objects, world.held - {name}, hidden, ghosts)

    def pass_time(self, world: World, milliseconds: int) -> World:
        """The world after so much time."""
        if not world.hidden and not world.ghosts:
            return world
        hidden = {name: left - milliseconds for name, left in world.hidden.items() if left > milliseconds}
        ghosts = {
            name: (length, left - milliseconds) for name, (length, left) in world.ghosts.items() if left > milliseconds
        }
        return self.world(world.objects, world.held, hidden, ghosts)

    def let_die(self, world: World, names: frozenset[ObjectName]) -> World:
        """A process ends without a word: nobody holds what it held."""
        return self.world(world.objects, world.held - names, world.hidden, world.ghosts)
