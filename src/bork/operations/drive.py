"""The one loop that performs the I/O of an engine.

An engine never sees a repository: it says which bytes to store and which to read, and this loop does it, in one thread,
while the engine's own threads work on. So every fault of a storage meets an engine here and nowhere else.

Engines rely on the order: packs are durable before anything else that an engine wants is looked at, so an index that an
engine emits after its packs is never stored before them. Packs travel beside each other, and so do reads where there is
a latency to hide: while the storage is at one, the next is on its way. An engine is told that a pack is stored when it
is.
"""

from __future__ import annotations

import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Protocol

from bork.core import Data, Done, Fetch, FileSystem, Lines, Problem, StoreIndex, StorePack
from bork.errors import CancelledByUser, IntegrityError, InternalError, ObjectMissing, StorageFault
from bork.repository.layout import IndexId, PackId

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bork.core import Event
    from bork.operations.events import EventSink, Progress
    from bork.repository.repository import Repository

TOGETHER_S = 0.0005  # in which an engine says what else it wants, before anything is waited for
WAIT_S = 0.2  # how long the user waits at most for a sign of life, and for Ctrl-C

Counters = tuple[int, int, int, int, bytes]


class Engine(Protocol):
    """What all engines have in common. See ``bork/core/_native.pyi``."""

    def next_event(self, timeout_s: float) -> Event | None:
        """The next thing to do, or None after ``timeout_s`` seconds."""
        ...

    def fetched(self, token: int, data: Sequence[bytes]) -> None:
        """The answer to ``Fetch``."""

    def fetch_failed(self, token: int, message: str) -> None:
        """The other answer to ``Fetch``."""

    def progress(self) -> Counters:
        """Counters, by engine."""
        ...

    def cancel(self) -> None:
        """Stop early."""


class Outcome:
    """The numbers that an engine ends with; a missing one is a bug of ours and not of the user."""

    def __init__(self, values: dict[str, int | bytes | None]) -> None:
        self._values = values

    def number(self, key: str) -> int:
        """A counter."""
        value = self._values.get(key)
        if not isinstance(value, int):
            raise InternalError(f"the engine gave {key} as {value!r}")
        return value

    def digest(self, key: str) -> bytes:
        """An id of 32 bytes."""
        value = self._values.get(key)
        if not isinstance(value, bytes) or len(value) != 32:
            raise InternalError(f"the engine gave {key} as {value!r}")
        return value


def drive(
    engine: Engine,
    repository: Repository | None,
    events: EventSink,
    *,
    progress: Callable[[Counters, bool], Progress],
    stored: Callable[[int], None] | None = None,
    unread: Callable[[PackId], None] | None = None,
    met: Callable[[FileSystem], None] | None = None,
) -> Outcome:
    """Run an engine to its end. Without a ``repository`` it may neither store nor fetch.

    ``progress`` makes an event of its counters; ``stored`` is that of a writing engine; ``unread`` hears of each pack
    that the medium does not give, which says nothing of what is in it; ``met`` hears of the file systems of the plan.
    If this raises, the engine has been cancelled. A range that cannot be read is told to the engine, which knows what
    depends on it; everything else that goes wrong in the storage ends the operation.
    Raises: CancelledByUser, StorageError, RepositoryError, and whatever ``events`` raises.
    """
    begun = _Begun(repository, stored)
    try:
        shown = time.monotonic()
        while True:
            event = engine.next_event(TOGETHER_S if begun.under_way else WAIT_S)
            if events.cancelled():
                raise CancelledByUser
            if event is None:
                begun.finish(1)  # an engine with nothing to do may be waiting for bytes, or the buffer of a pack
            if isinstance(event, Done):
                begun.finish()
                events.progress(progress(engine.progress(), True))
                return Outcome(event.outcome)
            if event is not None:
                if isinstance(event, FileSystem):
                    if met is not None:
                        met(event)
                else:
                    _perform(event, engine, repository, events, begun, unread)
            if time.monotonic() - shown >= WAIT_S:
                events.progress(progress(engine.progress(), False))
                shown = time.monotonic()
                if repository is not None:
                    repository.stay()
    except BaseException:
        engine.cancel()
        raise


class _Begun:
    """Packs and reads that are on their way, oldest first. The engine's buffers and queues bound their number."""

    def __init__(self, repository: Repository | None, stored: Callable[[int], None] | None) -> None:
        self._repository, self._stored = repository, stored
        self.under_way: deque[Callable[[], None]] = deque()

    def begin(self, event: StorePack) -> None:
        """Raises: StorageError, of this pack."""
        repository, stored = self._writable()
        wait = repository.begin_pack(PackId(event.name), event.data)
        if wait is None:
            stored(event.token)
            return

        def finish() -> None:
            wait()
            stored(event.token)

        self.under_way.append(finish)

    def finish(self, count: int | None = None) -> None:
        """Wait until the oldest ``count`` of them have come to their end; None: all. Raises: as they do."""
        for _ in range(len(self.under_way) if count is None else min(count, len(self.under_way))):
            self.under_way.popleft()()

    def index(self, event: StoreIndex) -> None:
        """Store an index, when all packs are. Raises: StorageError."""
        self.finish()
        repository, stored = self._writable()
        repository.put_index(IndexId(event.name), event.data)
        stored(event.token)

    def _writable(self) -> tuple[Repository, Callable[[int], None]]:
        if self._stored is None or self._repository is None:
            raise InternalError("an engine that only reads wants to store something")
        return self._repository, self._stored


def _perform(
    event: Lines | Fetch | Data | Problem | StorePack | StoreIndex,
    engine: Engine,
    repository: Repository | None,
    events: EventSink,
    begun: _Begun,
    unread: Callable[[PackId], None] | None,
) -> None:
    match event:
        case Lines():
            events.lines(event.data)
        case Fetch():
            _fetch(event, engine, repository, begun, unread)
        case Data():
            events.data(event.data)
        case Problem():
            events.problem(event.kind, event.path, event.message)
        case StorePack():
            begun.begin(event)
        case StoreIndex():
            begun.index(event)


def _fetch(
    event: Fetch,
    engine: Engine,
    repository: Repository | None,
    begun: _Begun,
    unread: Callable[[PackId], None] | None,
) -> None:
    if repository is None:
        raise InternalError("an engine wants to read from a repository, and there is none")
    ranges = [(PackId(pack), offset, length) for pack, offset, length in event.ranges]
    later = repository.begin_read(ranges)
    if later is None:
        _answer(event, engine, partial(repository.read, ranges), unread)
    else:
        begun.under_way.append(partial(_answer, event, engine, later, unread))


def _answer(
    event: Fetch, engine: Engine, read: Callable[[], Sequence[bytes]], unread: Callable[[PackId], None] | None
) -> None:
    try:
        data = read()
    except (ObjectMissing, IntegrityError, StorageFault) as fault:
        if unread is not None and isinstance(fault, StorageFault):
            for pack, _, _ in event.ranges:
                unread(PackId(pack))
        engine.fetch_failed(event.token, str(fault))
    else:
        engine.fetched(event.token, data)
