"""What a pull and a push have in common: a connection in the making, and an engine whose other half is an agent."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from bork.core import Send
from bork.pull.line import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bork.core import Event, PullEngine, PushEngine
    from bork.errors import AgentFault
    from bork.operations.drive import Counters
    from bork.pull.line import Hello, Line

STEP_S = 0.1
PATHS_SHOWN, PATH_SHOWN = 8, 200  # paths, and bytes of each, that a client's words fill a line with
GONE = "the agent went away"  # the engine's words for a line that has ended too early


class Connecting:
    """A connection in the making: with ``eager`` in a thread of its own, else when it is asked for.

    ``connect`` gets a function that says whether the connection is still wanted.
    """

    def __init__(self, connect: Callable[[Callable[[], bool]], Line], *, eager: bool) -> None:
        self._connect = connect
        self._is_unwanted, self._has_ended = threading.Event(), threading.Event()
        self._line: Line | None = None
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._try, name="connect", daemon=True) if eager else None
        if self._thread is not None:
            self._thread.start()

    def _try(self) -> None:
        try:
            self._line = self._connect(self._is_wanted)
        except BaseException as fault:  # noqa: BLE001 (raised again in the thread that wants the line)
            self._fault = fault
        finally:
            self._has_ended.set()

    def _is_wanted(self) -> bool:
        return not self._is_unwanted.is_set()

    def line(self) -> Line:
        """Wait for it. Raises: as ``line.connect``."""
        if self._thread is None:
            self._line = self._line or self._connect(self._is_wanted)
        else:
            # In steps, so that signals are seen. Not for the thread itself: after a signal Python takes it for ended.
            while not self._has_ended.wait(STEP_S):
                pass
        if self._fault is not None:
            raise self._fault
        assert self._line is not None
        return self._line

    def explain(self, fault: AgentFault) -> None:
        """If the line ended early, raise what ssh and the agent said of it: more than the engine knows.

        Raises: ConnectionClosedWithHint.
        """
        line = self.line()
        if line.ended and GONE in str(fault):
            line.fail()

    def close(self) -> None:
        """Close the line, or give up making one: no ssh that asks for a password stays behind."""
        self._is_unwanted.set()
        if self._thread is not None:
            self._has_ended.wait()
        if self._line is not None:
            self._line.close()


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
