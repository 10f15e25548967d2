"""A storage that fails, tears or stops at every single operation in turn, over init and create.

The oracle after each of them: every archive that was reported as complete, and every archive that is listed, restores
bit for bit; the next command works without any repair; and ``check`` finds nothing.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bork.errors import BorkError, NoSpace, RepositoryAlreadyExists, StorageError, StorageFault
from bork.operations import check
from bork.operations.check import CheckOptions
from bork.storage.base import Store
from bork.storage.memory import Objects
from tests.operations.scene import Recorder, Scene, expected
from tests.storage.faulty import FAULTS, Crash, Fault, FaultyStore, Schedule

OPERATIONS_MAX = 500  # far more than any of these commands needs


def attempts(scene: Scene, fault: Fault, *, repeat: bool = False) -> Iterator[int]:
    """Inject ``fault`` at operation 0, 1, 2, ... until the command comes to its end without meeting it."""
    for at in range(OPERATIONS_MAX):
        schedule = Schedule(at, fault, repeat)
        scene.stores.wrap = wrapped(schedule)
        yield at
        if schedule.count <= at:
            return
    pytest.fail("the command never came to its end")


def wrapped(schedule: Schedule) -> Callable[[Store], Store]:
    return lambda store: FaultyStore(store, schedule)


def mend(scene: Scene) -> None:
    scene.stores.wrap = lambda store: store


def assert_sound(scene: Scene, sources: dict[str, dict[str, bytes | None]], reported: set[str]) -> None:
    """The oracle. ``sources``: what each archive must hold; ``reported``: those whose command said that it is done."""
    listed = scene.names()
    assert reported <= set(listed)
    for name in listed:
        assert scene.restore(name) == sources[name], name
    events = Recorder()
    check.run(scene.access(), CheckOptions(verify_data=True), events)
    assert events.problems == []


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("mode", ["none", "repokey", "keyfile"])
def test_init_can_be_repeated_after_every_fault(scene: Scene, source: Path, mode: str, fault: Fault) -> None:
    for at in attempts(scene, fault):
        access = scene.access(f"/repository{at}")
        try:
            scene.init(mode, access)
        except (StorageError, Crash):
            pass
        mend(scene)
        try:
            scene.init(mode, access)
        except RepositoryAlreadyExists:  # the fault came after the config: it was made
            assert b"checksum" in scene.stores.objects[access.path]["config"]  # type: ignore[index]  # an ObjectName
        scene.user.agrees = True  # for mode none: made, but never seen
        scene.create("monday", source, access=access)
        assert scene.restore("monday", access) == expected(source)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("fault", "repeat"), [*((fault, False) for fault in FAULTS), ("fail", True), ("full", True)], ids=str
)
def test_every_archive_that_is_reported_or_listed_restores_after_every_fault_in_create(
    scene: Scene, source: Path, fault: Fault, repeat: bool
) -> None:
    scene.init()
    sources, reported = {"first": expected(source)}, {"first"}
    scene.create("first", source)
    (source / "changing").write_bytes(os.urandom(45_000))
    sources |= {"second": expected(source), "next": expected(source)}
    before = dict(scene.stores.objects["/repository"])
    outcomes = set()
    for _ in attempts(scene, fault, repeat=repeat):
        outcome = outcome_of(scene, "second", source)
        mend(scene)
        scene.create("next", source)
        assert_sound(scene, sources, {*reported, "next"} | ({"second"} if outcome is None else set()))
        scene.stores.objects["/repository"] = Objects(before)
        outcomes.add(outcome)
    assert None in outcomes
    assert outcomes - {None} <= {StorageFault, NoSpace, Crash}


def outcome_of(scene: Scene, name: str, source: Path) -> type[BaseException] | None:
    """How a create ended: None if it reported an archive. It never does so with warnings about files."""
    events = Recorder()
    try:
        scene.create(name, source, events=events)
    except (BorkError, Crash) as error:
        return type(error)
    finally:
        assert events.problems == []
    return None


def test_a_full_disk_always_says_so(scene: Scene, source: Path) -> None:
    scene.init()
    before = dict(scene.stores.objects["/repository"])
    for at in attempts(scene, "full", repeat=True):
        assert outcome_of(scene, "monday", source) in (NoSpace, None), at
        mend(scene)
        assert_sound(scene, {"monday": expected(source)}, set())
        scene.stores.objects["/repository"] = Objects(before)


def test_what_was_stored_before_the_faults_is_found_again(scene: Scene, source: Path) -> None:
    """Attempt after attempt fails one operation later; the one that succeeds has hardly anything left to store."""
    scene.init()
    for at in attempts(scene, "stop"):
        try:
            outcome = scene.create(f"archive {at}", source)
        except Crash:
            mend(scene)
        else:
            assert outcome.stats.deduplicated_size < outcome.stats.original_size / 4
