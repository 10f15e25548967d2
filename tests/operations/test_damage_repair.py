"""Damage of every kind of object, and repair of it: found, never restored wrong, and nothing that was restorable lost.

Places are sampled, evenly; ``PLACES`` of each kind. docs/how-bork-is-tested.md has the counts.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from bork.errors import BorkError
from bork.operations import compact
from bork.operations.compact import CompactOptions
from bork.storage.base import Store
from bork.storage.memory import MemoryStore, Objects
from tests.operations.damage import KINDS, NEEDED_TO_OPEN, UNREAD, Wreck, assert_one_line, damaged, wreck
from tests.operations.scene import Recorder, Scene
from tests.storage.faulty import Crash, Fault, FaultyStore, Schedule

PLACES = 24  # flipped bits of each kind; a third as many prefixes
STRIDE = 3  # operations between two interruptions
MENDED = sorted(set(KINDS) - UNREAD - NEEDED_TO_OPEN)


@pytest.fixture
def wrecked(scene: Scene, tmp_path: Path) -> Wreck:
    return wreck(scene, tmp_path / "trees")


def problems(act: Callable[[], int]) -> int:
    """What a check found; an error of ours counts, and is one line."""
    try:
        return act()
    except BorkError as error:
        assert_one_line(error)
        return 1


def test_there_is_an_object_of_every_kind_and_it_is_sound(wrecked: Wreck) -> None:
    for kind in KINDS:
        wrecked.victim(kind)
    assert wrecked.check().problems == 0
    assert wrecked.restorable() == wrecked.everything


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_found_and_repair_loses_nothing_and_has_nothing_to_do_twice(kind: str, wrecked: Wreck) -> None:
    for what, objects in damaged(wrecked, kind, PLACES):
        wrecked.put(objects)
        before = wrecked.restorable()
        found = problems(lambda: wrecked.check().problems)
        assert bool(found) == (kind not in UNREAD), what
        wrecked.forget()
        try:
            left = wrecked.check(repair=True)
        except BorkError as error:
            assert_one_line(error)
            assert kind in NEEDED_TO_OPEN, what
            assert not before, what
            wrecked.put({**objects, wrecked.victim(kind): wrecked.sound[wrecked.victim(kind)]})
            assert wrecked.restorable() == wrecked.everything, f"{what}: the failed repair did harm"
            continue
        assert left.repaired is not None
        assert bool(left.repaired.total) == (kind not in UNREAD), what
        wrecked.forget()
        after = wrecked.restorable()
        assert after >= before, what
        if kind in {"index", "generation", *UNREAD}:
            assert (after, left.problems) == (wrecked.everything, 0), what
        again = wrecked.check(repair=True)
        assert again.repaired is not None
        assert (again.repaired.total, again.problems) == (0, left.problems), what


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", ["fail", "stop", "stop_after"])
@pytest.mark.parametrize("kind", MENDED)
def test_a_repair_that_is_interrupted_twice_loses_nothing(kind: str, fault: Fault, wrecked: Wreck) -> None:
    """At each third operation of the repair; the second time at another one. The third repair ends what they began."""
    victim = wrecked.victim(kind)
    flipped = bytearray(wrecked.sound[victim])
    flipped[len(flipped) // 2] ^= 1
    objects = {**wrecked.sound, victim: bytes(flipped)}
    wrecked.put(objects)
    before = wrecked.restorable()
    count = interrupted(wrecked, None, fault)
    goal = wrecked.restorable()
    assert goal >= before
    for at in range(0, count, STRIDE):
        wrecked.put(objects)
        interrupted(wrecked, at, fault)
        assert wrecked.restorable() >= before, f"after {fault} at {at}"
        interrupted(wrecked, at * 7 % count, fault)
        assert wrecked.restorable() >= before, f"after {fault} at {at} and {at * 7 % count}"
        wrecked.check(repair=True)
        assert wrecked.restorable() == goal
        again = wrecked.check(repair=True)
        assert again.repaired is not None
        assert again.repaired.total == 0, f"{fault} at {at}"


def interrupted(wrecked: Wreck, at: int | None, fault: Fault) -> int:
    """A repair with one operation that fails; how many operations there were."""
    schedule = Schedule(at, fault)
    stores = wrecked.scene.stores
    stores.wrap = lambda store: FaultyStore(store, schedule)
    try:
        wrecked.check(repair=True)
    except BorkError as error:
        assert_one_line(error)
        assert at is not None
    except Crash:
        assert at is not None
    finally:
        stores.wrap = plain
        objects = stores.objects["/repository"]
        assert isinstance(objects, Objects)
        objects.held.clear()  # the process has ended, also when its last word failed
    return schedule.count


def plain(store: Store) -> Store:
    """A store as it is."""
    return store


@pytest.mark.timeout(120)
def test_a_living_session_that_cannot_be_read_keeps_everything_that_it_might_need(wrecked: Wreck) -> None:
    """It counts as a writer that has seen nothing: beside it a compaction deletes no pack, and all else works."""
    session = wrecked.victim("session")
    for what, objects in damaged(wrecked, "session", PLACES):
        wrecked.put(objects)
        store = wrecked.scene.stores.open("/repository")
        assert isinstance(store, MemoryStore)
        data = store.objects.pop(session)
        hold = store.hold(session, data)
        packs = {name for name in store.objects if name.startswith("packs/")}
        assert wrecked.restorable() == wrecked.everything, what
        assert wrecked.check().problems == 0, what
        compact.run(wrecked.scene.access(), CompactOptions(threshold=0), Recorder())
        assert packs <= set(store.objects), what
        hold.release()
