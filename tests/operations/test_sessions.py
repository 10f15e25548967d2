"""Who waits for whom, who is dead, and what a session has seen."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import pytest

from bork.errors import LockTimeout, PermissionDenied, SessionBroken
from bork.operations import generations, sessions
from bork.operations.opening import OpenRepository, open_repository
from bork.repository import layout
from bork.repository.layout import SessionId
from bork.repository.session import Role, SessionRecord
from bork.storage.base import Hold, Store
from bork.storage.memory import MemoryStore
from bork.storage.names import ObjectName
from tests.operations.scene import Scene, StoppedClock

ROLES: tuple[Role, ...] = ("reader", "writer", "deleter", "compactor", "exclusive")
BESIDE = {
    *((one, other) for one in ROLES[:4] for other in ROLES[:4] if (one, other) != ("compactor", "compactor")),
    ("exclusive", "reader"),  # a reader that came first is waited for
}


@pytest.fixture
def repository(scene: Scene) -> Scene:
    scene.init()
    return scene


def at_work(scene: Scene, role: Role, **changes: object) -> AbstractContextManager[OpenRepository]:
    return open_repository(scene.access()._replace(lock_wait_s=0.3, **changes), role=role)  # type: ignore[arg-type]  # fields of Access


def left(scene: Scene) -> list[ObjectName]:
    return [name for name in scene.stores.objects["/repository"] if name.startswith("sessions/")]


@pytest.mark.parametrize("second", ROLES)
@pytest.mark.parametrize("first", ROLES)
def test_who_works_beside_whom(repository: Scene, first: Role, second: Role) -> None:
    with at_work(repository, first):
        if (first, second) in BESIDE:
            with at_work(repository, second):
                assert len(left(repository)) == 2
        else:
            with pytest.raises(LockTimeout, match=first), at_work(repository, second):
                pass
            assert len(left(repository)) == 1
    assert left(repository) == []


def test_who_died_is_in_nobodys_way_and_buried(repository: Scene) -> None:
    store = MemoryStore(repository.stores.objects["/repository"])
    store.hold(layout.session_name(SessionId(bytes(32))), SessionRecord("exclusive", 0).encode())
    with pytest.raises(LockTimeout), at_work(repository, "writer"):
        pass
    store.die()
    with at_work(repository, "writer"):
        assert len(left(repository)) == 1


@dataclass
class WorkingClock(StoppedClock):
    """Something happens while one waits."""

    meanwhile: Callable[[], None] = lambda: None

    def wait(self, seconds: float) -> None:
        super().wait(seconds)
        self.meanwhile()


@pytest.mark.parametrize("role", ["writer", "compactor", "exclusive"])
def test_one_goes_on_when_the_other_has_finished(repository: Scene, role: Role) -> None:
    opened = open_repository(repository.access(), role="exclusive")
    clock = WorkingClock(meanwhile=opened.at_work.end)
    with at_work(repository, role, clock=clock) as second:
        assert second.at_work.record.role == role
        assert not second.at_work.record.waiting


def test_a_writer_that_comes_after_with_lock_began_to_wait_lets_it_go_first(repository: Scene) -> None:
    waiting = SessionRecord("exclusive", 0, waiting=True)
    store = MemoryStore(repository.stores.objects["/repository"])
    store.hold(layout.session_name(SessionId(bytes(32))), waiting.encode())
    with pytest.raises(LockTimeout), at_work(repository, "writer"):
        pass


@pytest.mark.parametrize(("others", "comes_first"), [(bytes(32), False), (b"\xff" * 32, True)])
def test_of_two_that_wait_the_lower_name_goes_first(repository: Scene, others: bytes, comes_first: bool) -> None:
    waiting = SessionRecord("compactor", 0, waiting=True)
    store = MemoryStore(repository.stores.objects["/repository"])
    store.hold(layout.session_name(SessionId(others)), waiting.encode())
    if comes_first:
        with at_work(repository, "compactor") as opened:
            assert not opened.at_work.record.waiting
    else:
        with pytest.raises(LockTimeout), at_work(repository, "compactor"):
            pass


def test_a_session_says_the_generation_that_is_newest_after_it_was_put(
    repository: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    with at_work(repository, "compactor") as other:
        real = MemoryStore.hold

        def hold(self: MemoryStore, name: ObjectName, data: bytes) -> Hold:
            held = real(self, name, data)
            newest = generations.newest(other.repository, other.keys)
            generations.publish(other.repository, other.keys, newest._replace(number=newest.number + 1))
            return held

        monkeypatch.setattr(MemoryStore, "hold", hold)
        with at_work(repository, "writer") as opened:
            assert opened.at_work.record.generation == 1


def test_old_generations_are_removed(repository: Scene) -> None:
    with at_work(repository, "compactor") as opened:
        for number in range(1, 6):
            newest = generations.newest(opened.repository, opened.keys)
            generations.publish(opened.repository, opened.keys, newest._replace(number=number))
        assert opened.repository.generations() == [4, 5]
        assert generations.newest(opened.repository, opened.keys).number == 5


def test_a_broken_session_neither_commits_nor_comes_back(repository: Scene) -> None:
    with at_work(repository, "writer") as opened:
        assert [seen.record.role for seen in sessions.break_all(opened.repository)] == ["writer"]
        with pytest.raises(SessionBroken):
            opened.at_work.verify()
        with pytest.raises(SessionBroken):
            opened.at_work.update(waiting=True)
        assert left(repository) == []


class ShutStore(MemoryStore):
    """Somebody else's: it can be read."""

    def hold(self, name: ObjectName, data: bytes) -> Hold:
        raise PermissionDenied(self.location, "put", name)


def test_a_reader_without_the_right_to_write_goes_on_without_a_session(repository: Scene) -> None:
    def shut(store: Store) -> Store:
        assert isinstance(store, MemoryStore)
        return ShutStore(store.objects, store.location)

    repository.stores.wrap = shut
    with at_work(repository, "reader") as opened:
        assert opened.session is None
    with pytest.raises(PermissionDenied), at_work(repository, "writer"):
        pass


def test_bypass_lock_is_for_readers_alone(repository: Scene) -> None:
    with at_work(repository, "reader", bypass_lock=True) as opened:
        assert opened.session is None
    with at_work(repository, "writer", bypass_lock=True) as opened:
        assert opened.session is not None


def test_where_listings_lag_exclusive_sessions_wait_until_all_are_listed(repository: Scene) -> None:
    class Lagging(MemoryStore):
        listing_lag_s = 7.0

    def lag(store: Store) -> Store:
        assert isinstance(store, MemoryStore)
        return Lagging(store.objects, store.location)

    repository.stores.wrap = lag
    access = repository.access()
    before = repository.clock.ns
    with open_repository(access, role="reader"), open_repository(access, role="writer"):
        assert repository.clock.ns == before
    with open_repository(access, role="exclusive"):
        assert repository.clock.ns == before + 14 * 10**9
