"""A remote store, and a server that may answer anything."""

from collections import deque
from collections.abc import Callable, Mapping
from unittest import mock

from bork.errors import BorkError, InternalError
from bork.protocol.codec import Malformed, Value, decode
from bork.protocol.hello import Hello
from bork.protocol.messages import Message, encode_start
from bork.storage.base import Look, Range
from bork.storage.names import COLLECTIONS, ObjectName, is_object_name
from bork.storage.remote.connection import Settings
from bork.storage.remote.store import RemoteStore
from fuzz.protocol.frames import Frame, split

PACK = ObjectName("packs/ab/" + "ab" * 32)
ARCHIVE = ObjectName("archives/" + "cd" * 32)
SESSION = ObjectName("sessions/" + "ef" * 32)
SETTINGS = Settings(("nothing",), "fuzz", lambda _: None)


class _Child:
    """No process."""

    stdin, stdout, stderr = -1, -1, None

    def __init__(self, command: object, say: object, end_s: float) -> None:
        pass

    def close_input(self) -> None: ...
    def linger(self) -> None: ...
    def end(self) -> None: ...
    def listen(self) -> None: ...

    def ended_because(self) -> str:
        return "it was the last answer"


class _Wire:
    """A ``Wire`` whose other end answers each request with the next frame, and then closes."""

    def __init__(self, frames: deque[Frame], ours: Hello) -> None:
        self._frames = frames
        self._due = 0
        self.ours, self.theirs = ours, Hello("server", "fuzz")
        self.arrived: deque[Message] = deque()
        self.ended = self.gone = False
        self.unsent = 0
        self.last_progress = 0.0

    def send(self, body: Mapping[str, Value], data: bytes = b"") -> None:
        encode_start(dict(body), data)
        self._due += 1

    def step(self, timeout_s: float, *, read: bool = True, others: tuple[int, ...] = ()) -> list[int]:
        if self._due and self._frames:
            body, data = self._frames.popleft()
            value = decode(body)
            if not isinstance(value, dict):
                raise Malformed("a body that is no map")
            self._due -= value.get("more") is not True
            self.arrived.append(Message(value, data))
        else:
            self.ended = True
        return []

    def close_output(self) -> None: ...
    def close(self) -> None: ...


def _list(store: RemoteStore) -> None:
    for collection in COLLECTIONS:
        for name, length in store.list(collection):
            assert is_object_name(name)
            assert name.startswith(f"{collection}/")
            assert 0 <= length < 1 << 64


def _get(store: RemoteStore) -> None:
    assert isinstance(store.get(PACK), bytes)
    assert len(store.get_range(PACK, 5, 3)) == 3


def _get_ranges(store: RemoteStore) -> None:
    found = store.get_ranges([Range(PACK, 0, 2), Range(PACK, 7, 1), Range(ARCHIVE, 0, 4)])
    assert [len(each) for each in found] == [2, 1, 4]


def _ask(store: RemoteStore) -> None:
    times = store.arrivals_ns([PACK, ARCHIVE])
    assert len(times) == 2
    for number in (*times, store.free_space()):
        assert number is None or (type(number) is int and 0 <= number < 1 << 63)
    for held in (store.is_held(SESSION), store.destroy()):
        assert held in (True, False, None)


def _hold(store: RemoteStore) -> None:
    hold = store.hold(SESSION, b"session")
    hold.replace(b"other")
    assert type(hold.is_intact()) is bool
    hold.release()


def _look(store: RemoteStore) -> None:
    hold, found = store.hold_and_look(
        SESSION, b"session", [Look(what, True, True) for what in (*COLLECTIONS, "config")]
    )
    for what, objects in zip((*COLLECTIONS, "config"), found, strict=True):
        for each in objects:
            assert is_object_name(each.name)
            assert each.name.startswith(what)
            assert each.data is None or len(each.data) == each.length
            assert each.held in (True, False, None)
    assert type(store.put_while_held(hold, ARCHIVE, b"head")) is bool
    assert type(store.begin_delete_if(ARCHIVE, bytes(32))()) is bool


def _change(store: RemoteStore) -> None:
    begun = [store.begin_put(PACK, b"pack"), store.begin_put(ARCHIVE, b"head")]
    for put in begun:
        assert put is not None
        put.wait()
    store.put_if_absent(PACK, b"pack")
    store.replace(ARCHIVE, b"head")
    store.delete(ARCHIVE)
    store.settle([PACK, ARCHIVE])
    store.use_reserve()
    store.keep_reserve()
    store.sweep()


USES: tuple[Callable[[RemoteStore], None], ...] = (_list, _get, _get_ranges, _ask, _hold, _change, _look)


def client(data: bytes) -> bool:
    """``[1: what it wants]``, and frames: the answers. Everything that it is told fits, or it ends with an error."""
    frames = deque(split(data[1:]))
    use = USES[(data[0] if data else 0) % len(USES)]
    with (
        mock.patch("bork.storage.remote.connection.Child", _Child),
        mock.patch("bork.storage.remote.connection.Wire", lambda _in, _out, ours, **_: _Wire(frames, ours)),
    ):
        try:
            store = RemoteStore.open("ssh://host/repo", "/repo", SETTINGS)
            use(store)
        except InternalError:
            raise
        except BorkError as error:
            ending = str(error) + error.advice
        else:
            ending = ""
            store.close()
    assert len(ending) < 50_000
    return not ending
