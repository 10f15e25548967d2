"""The loop between an engine and a repository, with an engine that follows a script."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from bork.core import digest
from bork.errors import CancelledByUser, InternalError, NoSpace, PermissionDenied, StorageFault
from bork.operations import drive as loop
from bork.operations.drive import Outcome, drive
from bork.operations.reading import percent
from bork.repository.config import RepositoryConfig
from bork.repository.layout import IndexId, PackId, RepositoryId, index_name, pack_name
from bork.repository.repository import Repository
from bork.storage.base import Put
from bork.storage.memory import MemoryStore, Objects
from bork.storage.names import ObjectName
from tests.operations.scene import Recorder
from tests.storage.faulty import FaultyStore, Schedule


class Event(SimpleNamespace):
    """Stands for one class of events; real ones can only be made by an engine."""


KINDS = {
    name: type(name, (Event,), {}) for name in ("StorePack", "StoreIndex", "Fetch", "Lines", "Data", "Problem", "Done")
}


@pytest.fixture(autouse=True)
def events_of_the_script(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, kind in KINDS.items():
        monkeypatch.setattr(loop, name, kind)


@dataclass
class Script:
    """An engine: gives out events, and remembers the answers."""

    events: list[Any]
    answers: list[tuple[str, int, object]] = field(default_factory=list)
    cancelled: int = 0

    def next_event(self, timeout_s: float) -> Any:  # noqa: ANN401  # any of the classes above
        return self.events.pop(0)

    def stored(self, token: int) -> None:
        self.answers.append(("stored", token, None))

    def fetched(self, token: int, data: Sequence[bytes]) -> None:
        self.answers.append(("fetched", token, list(data)))

    def fetch_failed(self, token: int, message: str) -> None:
        self.answers.append(("failed", token, message))

    def progress(self) -> tuple[int, int, int, int, bytes]:
        return 1, 2, 3, 4, b"path"

    def cancel(self) -> None:
        self.cancelled += 1


def event(kind: str, /, **values: object) -> Event:
    made = KINDS[kind](**values)
    assert isinstance(made, Event)
    return made


DONE = event("Done", outcome={"items": 5, "root": bytes(32), "nothing": None})


def run(
    script: Script, store: MemoryStore, sink: Recorder | None = None, *, schedule: Schedule | None = None
) -> Outcome:
    repository = Repository(
        FaultyStore(store, schedule or Schedule()), RepositoryConfig(RepositoryId(bytes(32)), "none", 3)
    )
    return drive(script, repository, sink or Recorder(), progress=percent("extract"), stored=script.stored)


def store_pack(content: bytes, token: int) -> Event:
    return event("StorePack", token=token, name=digest(content), data=content)


def test_packs_and_indexes_are_stored_before_the_engine_hears_of_it() -> None:
    store = MemoryStore()
    script = Script([store_pack(b"p", 1), event("StoreIndex", token=2, name=digest(b"i"), data=b"i"), None, DONE])
    outcome = run(script, store)
    assert set(store.objects) == {pack_name(PackId(digest(b"p"))), index_name(IndexId(digest(b"i")))}
    assert script.answers == [("stored", 1, None), ("stored", 2, None)]
    assert (outcome.number("items"), outcome.digest("root"), script.cancelled) == (5, bytes(32), 0)


@pytest.mark.parametrize("fault", ["full", "fail", "late"])
def test_a_pack_that_could_not_be_stored_ends_the_run_and_the_engine_never_hears_that_it_was(fault: Any) -> None:  # noqa: ANN401  # one of FAULTS
    script = Script([store_pack(b"p", 1), DONE])
    with pytest.raises((NoSpace, StorageFault)):
        run(script, MemoryStore(), schedule=Schedule(at=0, fault=fault))
    assert (script.answers, script.cancelled) == ([], 1)


def test_ranges_are_read_in_order() -> None:
    store = MemoryStore(Objects({pack_name(PackId(digest(b"pack"))): b"pack"}))
    name = digest(b"pack")
    script = Script([event("Fetch", token=7, ranges=[(name, 2, 2), (name, 0, 1)]), DONE])
    run(script, store)
    assert script.answers == [("fetched", 7, [b"ck", b"p"])]


def test_a_range_that_cannot_be_read_is_told_to_the_engine_and_the_run_goes_on() -> None:
    store = MemoryStore(Objects({pack_name(PackId(digest(b"pack"))): b"pack"}))
    fetches = [event("Fetch", token=1, ranges=[(digest(b"gone"), 0, 1)])]
    fetches.append(event("Fetch", token=2, ranges=[(digest(b"pack"), 3, 2)]))
    script = Script([*fetches, DONE])
    run(script, store)
    assert [answer[:2] for answer in script.answers] == [("failed", 1), ("failed", 2)]
    assert "not found" in str(script.answers[0][2])
    assert "4 bytes" in str(script.answers[1][2])


def test_a_disk_error_while_reading_is_told_to_the_engine_but_a_missing_permission_ends_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = Script([event("Fetch", token=1, ranges=[(digest(b"pack"), 0, 1)]), DONE])
    run(script, MemoryStore(), schedule=Schedule(at=0, fault="fail"))
    assert script.answers[0][0] == "failed"

    def refuse(*_: object) -> bytes:
        raise PermissionDenied("here", "get", "packs")

    monkeypatch.setattr(MemoryStore, "get_range", refuse)
    script = Script([event("Fetch", token=1, ranges=[(digest(b"pack"), 0, 1)]), DONE])
    with pytest.raises(PermissionDenied):
        run(script, MemoryStore())
    assert (script.answers, script.cancelled) == ([], 1)


def test_everything_for_the_user_reaches_the_sink() -> None:
    sink = Recorder()
    problem = event("Problem", kind="io", path=b"p", message="m")
    run(Script([event("Lines", data=b"l\n"), event("Data", data=b"d"), problem, DONE]), MemoryStore(), sink)
    assert (bytes(sink.shown), bytes(sink.content), sink.problems) == (b"l\n", b"d", [("io", b"p", "m")])
    assert [step.finished for step in sink.steps][-1:] == [True]


def test_progress_is_shown_five_times_a_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def tick() -> float:
        now[0] += 0.01
        return now[0]

    monkeypatch.setattr("bork.operations.drive.time.monotonic", tick)
    sink = Recorder()
    run(Script([*[event("Lines", data=b"")] * 1000, DONE]), MemoryStore(), sink)
    assert len(sink.steps) <= now[0] / loop.WAIT_S + 2


def test_a_wish_to_stop_cancels_the_engine_before_the_next_event_is_performed() -> None:
    store = MemoryStore()
    script = Script([None, store_pack(b"p", 1), DONE])
    with pytest.raises(CancelledByUser):
        run(script, store, Recorder(cancel_after=1))
    assert (store.objects, script.cancelled) == ({}, 1)


def test_a_wish_to_stop_that_comes_with_the_last_event_counts() -> None:
    script = Script([DONE])
    with pytest.raises(CancelledByUser):
        run(script, MemoryStore(), Recorder(cancel_after=0))


def test_what_the_sink_raises_cancels_the_engine_and_goes_through() -> None:
    class Closed(Recorder):
        def lines(self, data: bytes) -> None:
            raise BrokenPipeError

    script = Script([event("Lines", data=b"l"), DONE])
    with pytest.raises(BrokenPipeError):
        run(script, MemoryStore(), Closed())
    assert script.cancelled == 1


def test_a_reading_engine_that_wants_to_store_is_a_bug() -> None:
    script = Script([store_pack(b"p", 1), DONE])
    repository = Repository(MemoryStore(), RepositoryConfig(RepositoryId(bytes(32)), "none", 3))
    with pytest.raises(InternalError):
        drive(script, repository, Recorder(), progress=percent("extract"))


@pytest.mark.parametrize("key", ["absent", "nothing", "root"])
def test_a_number_that_the_engine_forgot_is_a_bug(key: str) -> None:
    outcome = run(Script([DONE]), MemoryStore())
    with pytest.raises(InternalError, match=key):
        outcome.number(key)


# ---- packs that travel beside each other --------------------------------------------------------------------------


class SlowStore(MemoryStore):
    """Stores an object when it is waited for, as a store behind a line does. ``log``: what happens, in its order."""

    def __init__(self, log: list[str], fault_at: int | None = None) -> None:
        super().__init__()
        self.log, self.fault_at, self.begun = log, fault_at, 0

    def begin_put(self, name: ObjectName, data: Any) -> Put:  # noqa: ANN401  # any buffer
        content = bytes(data)
        self.begun += 1
        number = self.begun
        self.log.append(f"begin {content.decode()}")

        class Later(Put):
            def wait(later) -> None:  # noqa: N805  # ``self`` is the store
                if number == self.fault_at:
                    raise NoSpace(self.location, "put", name)
                self.objects[name] = content
                self.log.append(f"durable {content.decode()}")

        return Later()

    def put_if_absent(self, name: ObjectName, data: Any) -> None:  # noqa: ANN401  # any buffer
        super().put_if_absent(name, data)
        self.log.append(f"durable {bytes(data).decode()}")


def slow(script: Script, store: SlowStore) -> None:
    def stored(token: int) -> None:
        script.stored(token)
        store.log.append(f"told {token}")

    repository = Repository(store, RepositoryConfig(RepositoryId(bytes(32)), "none", 3))
    drive(script, repository, Recorder(), progress=percent("extract"), stored=stored)


def test_packs_travel_beside_each_other_and_an_index_waits_for_all_of_them() -> None:
    log: list[str] = []
    index = event("StoreIndex", token=3, name=digest(b"i"), data=b"i")
    slow(Script([store_pack(b"a", 1), store_pack(b"b", 2), index, DONE]), SlowStore(log))
    assert log == ["begin a", "begin b", "durable a", "told 1", "durable b", "told 2", "durable i", "told 3"]


def test_an_engine_that_waits_gets_its_oldest_pack_back() -> None:
    log: list[str] = []
    slow(
        Script([store_pack(b"a", 1), store_pack(b"b", 2), None, store_pack(b"c", 3), None, None, DONE]), SlowStore(log)
    )
    assert log[:5] == ["begin a", "begin b", "durable a", "told 1", "begin c"]
    assert log[-2:] == ["durable c", "told 3"]


def test_nothing_ends_before_every_pack_is_durable() -> None:
    log: list[str] = []
    slow(Script([store_pack(b"a", 1), DONE]), SlowStore(log))
    assert log == ["begin a", "durable a", "told 1"]


@pytest.mark.parametrize("last", ["index", "done"])
def test_a_pack_that_fails_late_keeps_what_follows_from_being_stored(last: str) -> None:
    log: list[str] = []
    events = [store_pack(b"a", 1), store_pack(b"b", 2)]
    events += [event("StoreIndex", token=3, name=digest(b"i"), data=b"i")] if last == "index" else []
    script = Script([*events, DONE])
    store = SlowStore(log, fault_at=1)
    with pytest.raises(NoSpace):
        slow(script, store)
    assert (script.answers, script.cancelled, store.objects) == ([], 1, {})
