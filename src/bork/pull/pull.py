"""Make an archive of what an agent on another host reads. The server holds the key; the client gets to see none."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from bork.core import PullEngine, Send, digest
from bork.errors import AgentFault
from bork.operations import create
from bork.operations.create import Started
from bork.pull.line import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bork.core import ChunkIndex, Event, Keys, PushEngine
    from bork.operations.access import Access
    from bork.operations.create import CreateOptions, CreateOutcome
    from bork.operations.drive import Counters
    from bork.operations.events import EventSink
    from bork.pull.line import Hello, Line

# What a plan for this machine says, and one for an agent does not.
_LOCAL = ("paths", "stdin", "path_list", "skip", "sparse", "base", "names", "file_systems")
STEP_S = 0.1
PATHS_SHOWN, PATH_SHOWN = 8, 200  # paths, and bytes of each, that a client's words fill a line with
GONE = "the agent went away"  # the engine's words for a line that has ended too early
SKEW_NS = 2_000_000_000  # a clock that is off by more is worth a word


@dataclass(frozen=True, slots=True)
class PullOptions:
    """What a pull has besides the options of a create."""

    share_dedup: bool = False  # the client may learn which chunks other clients have
    rate_bytes_s: int = 0  # that the client sends at most; 0: no limit


class Connecting:
    """A connection in the making: with ``eager`` in a thread of its own, else when it is asked for."""

    def __init__(self, connect: Callable[[], Line], *, eager: bool) -> None:
        self._connect = connect
        self._line: Line | None = None
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._try, name="connect", daemon=True) if eager else None
        if self._thread is not None:
            self._thread.start()

    def _try(self) -> None:
        try:
            self._line = self._connect()
        except BaseException as fault:  # noqa: BLE001 (raised again in the thread that wants the line)
            self._fault = fault

    def line(self) -> Line:
        """Wait for it. Raises: as ``line.connect``."""
        if self._thread is None:
            self._line = self._line or self._connect()
        else:
            while self._thread.is_alive():
                self._thread.join(STEP_S)  # in steps, so that signals are seen
        if self._fault is not None:
            raise self._fault
        assert self._line is not None
        return self._line

    def close(self) -> None:
        """Close the line, if there is one. One that is still being made ends with the process."""
        if self._line is not None:
            self._line.close()


def run(
    access: Access, options: CreateOptions, pull: PullOptions, connecting: Connecting, events: EventSink
) -> CreateOutcome:
    """As ``create.run``. Raises also: RemoteFault and its kin."""
    options = replace(options, of_user=True)
    engines: list[PullEngine] = []

    def start(plan: dict[str, object], keys: Keys, index: ChunkIndex) -> Started:
        line = connecting.line()
        events.log("info", f"Connected: {allows(line.hello)}")
        behind_ns = _clock_behind_ns(line.hello, events)
        plan = {name: value for name, value in plan.items() if name not in _LOCAL}
        plan.update(share_dedup=pull.share_dedup, rate=pull.rate_bytes_s)
        plan["scratch_dir"] = plan["scratch_dir"] or tempfile.gettempdir()
        plan["start_ns"] = cast("int", plan["start_ns"]) - behind_ns
        plan["memory"] = None if options.dry_run else _memory(str(plan["scratch_dir"]), options)
        engines.append(PullEngine(plan, keys, index))
        return Started(AgentEngine(engines[0], line), behind_ns)

    try:
        outcome = create.run(access, options, events, start)
    except AgentFault as fault:
        line = connecting.line()
        if line.ended and GONE in str(fault):
            line.fail()  # it has more to say about that than the engine
        raise
    else:
        for engine in engines:
            engine.forget()
        engines.clear()
        return outcome
    finally:
        for engine in engines:
            engine.remember()
        connecting.close()


def _memory(directory: str, options: CreateOptions) -> str:
    """Where an interrupted pull of this client leaves the names of the chunks that have arrived."""
    client = f"{options.username}@{options.hostname}".encode("utf-8", "surrogateescape")
    return os.path.join(directory, f"pulled-{digest(client).hex()[:16]}.ids")


def _clock_behind_ns(hello: Hello, events: EventSink) -> int:
    """How far the client's clock is behind. One that is ahead only means that some files are read again; one before
    1970 is no clock.
    """
    behind_ns = time.time_ns() - hello.clock_ns
    if abs(behind_ns) > SKEW_NS:
        way = "behind" if behind_ns > 0 else "ahead of"
        events.log("warning", f"The client's clock is {abs(behind_ns) / 1e9:.0f} s {way} the clock of this machine.")
    return max(0, min(behind_ns, time.time_ns()))


class AgentEngine:
    """A pull or push engine with its line: what it wants sent is sent here, so that its driver need not know of it."""

    def __init__(self, engine: PullEngine | PushEngine, line: Line) -> None:
        self._engine, self._line = engine, line
        line.heard()
        line.feed(engine)

    def next_event(self, timeout_s: float) -> Event | None:
        """As all engines. What the client says on stderr is shown meanwhile."""
        event = self._engine.next_event(timeout_s)
        self._line.check()
        while isinstance(event, Send):
            self._line.send(event.data)
            event = self._engine.next_event(0)
        return event

    def stored(self, token: int) -> None:
        self._line.heard()
        self._engine.stored(token)

    def fetched(self, token: int, data: Sequence[bytes]) -> None:
        self._engine.fetched(token, data)

    def fetch_failed(self, token: int, message: str) -> None:
        self._engine.fetch_failed(token, message)

    def progress(self) -> Counters:
        return self._engine.progress()

    def cancel(self) -> None:
        self._engine.cancel()


def allows(hello: Hello) -> str:
    """One line about an agent, for a person."""
    reads = _shown(hello.read) or "everything that its user can read"
    writes = f", writes {_shown(hello.write)}" if hello.write else ""
    return f"agent {hello.program} on {hello.hostname}, uid {hello.uid}, reads {reads}{writes}"


def _shown(paths: Sequence[bytes]) -> str:
    shown = [printable(path[:PATH_SHOWN]) for path in paths[:PATHS_SHOWN]]
    return ", ".join(shown + ["..."] * (len(paths) > PATHS_SHOWN))
