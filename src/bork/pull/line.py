"""The line to an agent: an ssh that runs it, the handshake, and the bytes in both directions."""

from __future__ import annotations

import os
import select
import threading
import time
from typing import TYPE_CHECKING, NamedTuple, NoReturn, cast

from bork.core import decode_agent_hello
from bork.errors import (
    AgentFault,
    ConnectionBrokenWithHint,
    ConnectionClosedWithHint,
    IntegrityError,
    UnsupportedFormat,
)
from bork.pull import bootstrap
from bork.storage.remote.child import Child
from bork.storage.remote.command import ssh_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from bork.core import PullEngine, PushEngine
    from bork.pull.bootstrap import Agent
    from bork.storage.remote.command import Server

MAGIC = b"\x00BORKA1\n"
HEAD_LENGTH = 5  # length of the body, 32 bits, little endian; kind
HELLO = 1
HELLO_MAX = 1 << 20  # bytes
NOISE_MAX = 64 << 10  # bytes that login shells may print before the agent speaks
SILENCE_S = 120.0  # an agent says something every ten seconds
STEP_S = 0.2
PIECE = 1 << 20
# Of OpenSSH alone: no terminal, no escape character, and a dead line is noticed.
_SSH_OPTIONS = ("-T", "-e", "none", "-o", "ServerAliveInterval=30", "-o", "ServerAliveCountMax=4")


class Hello(NamedTuple):
    """What the agent says of itself: the word of the client, good for messages and for what it can do."""

    program: str
    hostname: str
    uid: int
    reads_all: bool
    confinement: str
    read: tuple[bytes, ...]
    write: tuple[bytes, ...]
    writes_all: bool
    clock_ns: int
    heard_ns: int = 0  # by the clock of this machine, when it was said


class _OtherMachineError(Exception):
    """The client is not of the kind that the agent was made for."""

    def __init__(self, machine: str) -> None:
        super().__init__(machine)
        self.machine = machine


def _always() -> bool:
    return True


def connect(
    server: Server,
    rsh: str,
    say: Callable[[str], None],
    *,
    ship: bool = True,
    write: bool = False,
    is_wanted: Callable[[], bool] = _always,
) -> Line:
    """A line to the agent of ``server``, which is sent if it has none and ``ship`` allows it. ``write``: for a restore;
    a forced command may forbid that all the same. ``is_wanted``: asked during the handshake; False ends it.

    Raises: RemoteFault and its kin.
    """
    found = bootstrap.agents() if ship else {}
    # Of this machine's kind, since that is what most clients are. Only the client knows what it is.
    path = found.get(os.uname().machine) or next(iter(found.values()), None)
    try:
        agent = None if path is None else bootstrap.load(path)
        return Line(server, rsh, say, agent, write=write, is_wanted=is_wanted)
    except _OtherMachineError as other:
        if other.machine not in found:
            raise AgentFault(
                f"{server.host} is a {other.machine[:20]!r}, and this installation has agents for "
                f"{', '.join(found)}: install bork-agent there"
            ) from None
        agent = bootstrap.load(found[other.machine])
    try:
        return Line(server, rsh, say, agent, write=write, is_wanted=is_wanted)
    except _OtherMachineError:
        raise AgentFault(f"{server.host} says that it is one machine, and then another") from None


class Line:
    """Starts the agent. Raises: RemoteFault and its kin, here and in every method."""

    def __init__(
        self,
        server: Server,
        rsh: str,
        say: Callable[[str], None],
        agent: Agent | None,
        *,
        write: bool = False,
        is_wanted: Callable[[], bool] = _always,
    ) -> None:
        self._host = server.host
        self._is_wanted = is_wanted
        words = ssh_words(server, rsh)
        if os.path.basename(words[0]) == "ssh":
            words[1:1] = _SSH_OPTIONS
        self._child = Child([*words, bootstrap.command(agent, write=write)], say)
        self._buffer = bytearray()
        self._heard = time.monotonic()
        self._deadline = self._heard + SILENCE_S  # of the handshake
        self._ended = False
        try:
            os.set_blocking(self._child.stdin, False)
            self.hello = self._shake_hands(agent)
        except BaseException:
            self.close()
            raise

    # ---- the handshake -------------------------------------------------------------------------------------------

    def _shake_hands(self, agent: Agent | None) -> Hello:
        while (at := self._buffer.find(MAGIC)) < 0:
            asked = self._buffer.find(bootstrap.ASK)
            if agent is not None and asked >= 0 and (end := self._buffer.find(b"\n", asked)) >= 0:
                machine = self._buffer[asked + len(bootstrap.ASK) : end].decode("ascii", "replace").strip()
                del self._buffer[: end + 1]
                self._ship(agent, machine)
                agent = None
            elif len(self._buffer) > NOISE_MAX:
                raise AgentFault(f"what {self._host} says is no agent: {bytes(self._buffer[:60])!r}")
            else:
                self._more()
        del self._buffer[: at + len(MAGIC)]
        head = self._take(HEAD_LENGTH)
        length = int.from_bytes(head[:4], "little")
        if head[4] != HELLO or length > HELLO_MAX:
            raise AgentFault(f"the agent of {self._host} does not say who it is")
        try:
            said = decode_agent_hello(self._take(length))
        except UnsupportedFormat:
            raise AgentFault(
                f"the agent that {self._host} has installed is of another version than this Bork"
            ) from None
        except IntegrityError as fault:
            raise AgentFault(f"the agent of {self._host} does not keep to the protocol: {fault}") from None
        return _hello(said)._replace(heard_ns=time.time_ns())

    def _ship(self, agent: Agent, machine: str) -> None:
        if agent.machine != machine:
            raise _OtherMachineError(machine)
        self.send(agent.data)
        self._deadline = time.monotonic() + SILENCE_S

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._more()
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def _more(self) -> None:
        """Wait for bytes during the handshake, which has one deadline however slowly they come."""
        while True:
            is_there = bool(select.select([self._child.stdout], [], [], STEP_S)[0])
            self._child.listen()
            if not self._is_wanted():
                self._child.terminate()  # it may wait for a person, and has changed the terminal for that
                raise ConnectionBrokenWithHint(f"{self._host} is not wanted any more")
            if is_there and time.monotonic() <= self._deadline:
                break
            if time.monotonic() > self._deadline:
                raise ConnectionBrokenWithHint(f"{self._host} did not answer for {SILENCE_S:.0f} seconds")
        data = os.read(self._child.stdout, PIECE)
        if not data:
            self.fail()
        self._buffer += data

    # ---- the session ---------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Write all of it, while what the client says on stderr is shown."""
        view = memoryview(data)
        deadline = time.monotonic() + SILENCE_S
        while view:
            if not select.select([], [self._child.stdin], [], STEP_S)[1]:
                self._child.listen()
                if time.monotonic() > deadline:
                    raise ConnectionBrokenWithHint(f"{self._host} took nothing for {SILENCE_S:.0f} seconds")
                continue
            try:
                view = view[os.write(self._child.stdin, view) :]
            except BlockingIOError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                self.fail()
            deadline = time.monotonic() + SILENCE_S

    def feed(self, engine: PullEngine | PushEngine) -> threading.Thread:
        """Start to hand what arrives to the engine, in a thread that ends with the line or the engine."""
        thread = threading.Thread(target=self._feed, args=(engine,), name="line", daemon=True)
        thread.start()
        return thread

    def _feed(self, engine: PullEngine | PushEngine) -> None:
        data = bytes(self._buffer)
        self._buffer.clear()
        try:
            if data and not engine.received(data):
                return
            while data := os.read(self._child.stdout, PIECE):
                if not engine.received(data):
                    return
                self._heard = time.monotonic()
            self._ended = True
        except OSError:
            pass  # it was closed from this side
        engine.ended()

    def check(self) -> None:
        """Show what was said on stderr. Raises: ConnectionBrokenWithHint, if nothing has come for long."""
        self._child.listen()
        if time.monotonic() - self._heard > SILENCE_S:
            raise ConnectionBrokenWithHint(f"nothing came from {self._host} for {SILENCE_S:.0f} seconds")

    def heard(self) -> None:
        """This side was busy: silence counts from now on."""
        self._heard = time.monotonic()

    @property
    def ended(self) -> bool:
        """The other side has closed the line."""
        return self._ended

    def fail(self) -> NoReturn:
        """The line is closed. Raises: ConnectionClosedWithHint, with the words of ssh and of the agent."""
        raise ConnectionClosedWithHint(self._child.ended_because())

    def close(self) -> None:
        self._child.end()


def _hello(said: dict[str, object]) -> Hello:
    def text(name: str) -> str:
        return printable(cast("bytes", said[name]))

    return Hello(
        program=text("program"),
        hostname=text("hostname"),
        uid=cast("int", said["uid"]),
        reads_all=bool(said["reads_all"]),
        confinement=text("confinement"),
        read=tuple(cast("list[bytes]", said["read"])),
        write=tuple(cast("list[bytes]", said["write"])),
        writes_all=bool(said["writes_all"]),
        clock_ns=cast("int", said["clock_ns"]),
    )


def printable(raw: bytes) -> str:
    """Words of a client, without what would steer a terminal."""
    return "".join(character if character.isprintable() else "?" for character in raw.decode("utf-8", "replace"))
