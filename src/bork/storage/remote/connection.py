"""A running ``bork serve`` at the other end of a child process: requests in flight, answers, and how it ended.

One thread uses it. While it waits for anything it reads all there is: answers, so that neither end waits for the other,
and what the child says on stderr, which is shown as ``Remote: ...``.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from bork.errors import (
    BorkError,
    ConnectionBrokenWithHint,
    ConnectionClosedWithHint,
    RPCServerOutdated,
    UnexpectedRPCDataFormatFromServer,
)
from bork.protocol.codec import Malformed
from bork.protocol.faults import decode_error
from bork.protocol.hello import Hello, common_version
from bork.protocol.verbs import check_answer, request_body
from bork.protocol.wire import STALL_S, Stalled, Wire
from bork.storage.remote.child import END_S, Child
from bork.storage.remote.inherited import Inherited

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from typing_extensions import Buffer

    from bork.protocol.codec import Value
    from bork.protocol.messages import Message

ANSWER_S = 600.0  # without one byte from the server while an answer is due
PING_S = 60.0  # after which a client that is busy with something else gives a sign of life
REQUESTS_MAX = 64  # in flight
EXPECTED_MAX = 64 << 20  # bytes of answers in flight
LIST_MAX = 256 << 20  # bytes of a list in parts: more than six million names, which are 100 TiB in packs of 16 MiB
_STEP_S = 0.5


class Settings(NamedTuple):
    """How to connect, and what to do with the words of the other end."""

    command: Sequence[str]
    program: str  # how we call ourselves
    say: Callable[[str], None]  # takes lines of the child's stderr
    rate_bytes_s: int = 0  # of the upload; 0: no limit
    buffer_bytes: int = 0  # that may wait to be sent when a put returns
    answer_s: float = ANSWER_S
    descriptors: tuple[int, int] | None = None  # to read and to write, where the connection is there already
    stall_s: float = STALL_S
    end_s: float = END_S  # that the other end gets to say its last and to end

    def connect(self) -> Child | Inherited:
        """Raises: ConnectionClosedWithHint."""
        if self.descriptors is not None:
            return Inherited(*self.descriptors)
        return Child(self.command, self.say, self.end_s)


class Pending:
    """A request that was sent. ``parts`` and ``members`` are there when it is ``done``."""

    __slots__ = ("data", "done", "error", "expected", "length", "members", "parts", "round_trip", "verb")

    def __init__(self, verb: str, expected: int, round_trip: int, data: Buffer) -> None:
        self.verb = verb
        self.expected = expected  # bytes of the answer, where that is known
        self.round_trip = round_trip  # the number of the one that brings the answer
        self.data: Buffer | None = data  # what is being sent: it has to live until it was
        self.done = False
        self.error: BorkError | None = None
        self.members: Mapping[str, Value] = {}
        self.parts: list[Buffer] = []
        self.length = 0  # bytes of all parts but the last


class Connection:
    """Starts the child, if there has to be one. Raises: ConnectionClosed and the other RemoteFaults, here and later."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._child = settings.connect()
        self._wire = Wire(
            self._child.stdout,
            self._child.stdin,
            Hello("client", settings.program),
            rate_bytes_s=settings.rate_bytes_s,
            stall_s=settings.stall_s,
        )
        self._pending: OrderedDict[int, Pending] = OrderedDict()
        self._expected = 0
        self._last_id = 0
        self._broken: BorkError | None = None
        self._used = time.monotonic()
        self._is_greeted = False
        # Waited for one after the other: what a distance costs. What was sent before an answer was waited for shares
        # its round trip, however fast the answer came.
        self.round_trips = 0

    def _greet(self, theirs: Hello) -> None:
        """The hello of the server is here. What we have sent behind ours has the same form in all versions."""
        self._is_greeted = True
        ours = self._wire.ours
        if common_version(ours, theirs) is None:
            spoken = [f"{each.program}, version {_versions(each)}" for each in (ours, theirs)]
            self._fail(RPCServerOutdated(*spoken))

    def can(self, feature: str) -> bool:
        """Whether the server says that it can do something. Known when the first request is answered."""
        return self._wire.theirs is not None and feature in self._wire.theirs.features

    # ---- requests ------------------------------------------------------------------------------------------------

    def begin(
        self, verb: str, arguments: Mapping[str, Value] | None = None, data: Buffer = b"", *, expected: int = 0
    ) -> Pending:
        """Send a request and return while its answer is under way. ``data`` may not change before it is ``done``.

        ``expected``: bytes of data that the answer will have at most; it bounds what is in memory.
        """
        self._check()
        while self._pending and (len(self._pending) >= REQUESTS_MAX or self._expected + expected > EXPECTED_MAX):
            self._await(next(iter(self._pending.values())))
        pending = Pending(verb, expected, self.round_trips + 1, data)
        try:
            self._last_id += 1
            self._pending[self._last_id] = pending
            self._expected += expected
            self._wire.send(request_body(self._last_id, verb, arguments or {}), data)
            self._used = time.monotonic()
        except KeyboardInterrupt:
            self._broken = _interrupted()
            raise
        while self._wire.unsent > self._settings.buffer_bytes and not self._wire.gone:
            self._step(None)
        return pending

    def wait(self, pending: Pending) -> Pending:
        """``pending`` itself, when it is done. Raises: what the server answered."""
        self._await(pending)
        if pending.error is not None:
            raise pending.error
        return pending

    def ask(
        self, verb: str, arguments: Mapping[str, Value] | None = None, data: Buffer = b"", *, expected: int = 0
    ) -> Pending:
        """``begin`` and ``wait``."""
        return self.wait(self.begin(verb, arguments, data, expected=expected))

    def stay(self) -> None:
        """A sign of life, if nothing was sent for long."""
        if self._broken is None and time.monotonic() - self._used > PING_S:
            self.ask("ping")

    def _await(self, pending: Pending) -> None:
        while not pending.done:
            self._check()
            self._step(max(self._wire.last_progress, self._used) + self._settings.answer_s)
        self.round_trips = max(self.round_trips, pending.round_trip)

    # ---- what happens --------------------------------------------------------------------------------------------

    def _check(self) -> None:
        if self._broken is not None:
            raise self._broken

    def _fail(self, error: BorkError) -> NoReturn:
        """Nothing can be asked any more. What is in flight ends with the same error."""
        self._broken = error
        raise error

    def _step(self, deadline: float | None) -> None:
        try:
            stderr = self._child.stderr
            for _ in self._wire.step(_STEP_S, others=() if stderr is None else (stderr,)):
                self._child.listen()
            if not self._is_greeted and self._wire.theirs is not None:
                self._greet(self._wire.theirs)
            while self._wire.arrived:
                self._dispatch(self._wire.arrived.popleft())
        except Malformed as problem:
            self._child.linger()
            self._fail(UnexpectedRPCDataFormatFromServer(str(problem)))
        except Stalled as problem:
            self._fail(ConnectionBrokenWithHint(str(problem)))
        except KeyboardInterrupt:
            self._broken = _interrupted()
            raise
        if self._wire.ended:
            self._fail(ConnectionClosedWithHint(self._child.ended_because()))
        if deadline is not None and time.monotonic() > deadline:
            self._fail(ConnectionBrokenWithHint(f"the server did not answer for {self._settings.answer_s:.0f} seconds"))

    def _dispatch(self, message: Message) -> None:
        members = dict(message.body)
        number = members.pop("answer", None)
        if not isinstance(number, int) or isinstance(number, bool):
            raise Malformed("an answer without an id")
        if number == 0:
            self._fail(decode_error(members))
        pending = self._pending.get(number)
        if pending is None:
            raise Malformed(f"an answer to request {number}, which is not in flight")
        if "error" in members:
            pending.error = decode_error(members)
        else:
            check_answer(pending.verb, members, message.data_length())
            pending.members = members
            pending.parts.append(message.data)
            if members.get("more"):
                if not message.data_length():
                    raise Malformed("a part of a list without anything in it")
                pending.length += message.data_length()
                if pending.length > LIST_MAX:
                    raise Malformed(f"a list of more than {LIST_MAX >> 20} MiB")
                return
        del self._pending[number]
        self._expected -= pending.expected
        pending.done, pending.data = True, None

    def finish(self, verb: str, each: Sequence[Mapping[str, Value]]) -> None:
        """Last requests: our side is closed behind them, and the answers are waited for. Never raises.

        What they ask for happens at the end of the connection anyway.
        """
        if self._broken is not None:
            return
        try:
            pendings = [self.begin(verb, arguments) for arguments in each]
            while self._wire.unsent and not self._wire.gone:
                self._step(None)
            self._wire.close_output()
            self._child.close_input()
            deadline = time.monotonic() + self._settings.end_s
            for pending in pendings:
                while not pending.done:
                    self._step(deadline)
                self.round_trips = max(self.round_trips, pending.round_trip)
        except BorkError:
            return

    def close(self) -> None:
        """End the child, and wait for it: it leaves no zombie."""
        if self._broken is None:
            self._broken = ConnectionClosedWithHint("it was closed")
        self._wire.close()
        self._child.end()


def _interrupted() -> BorkError:
    """A message may be half sent: whatever would follow is nonsense to the server."""
    return ConnectionClosedWithHint("the command was interrupted")


def _versions(end: Hello) -> str:
    return str(end.version_min) if end.version_min == end.version_max else f"{end.version_min} to {end.version_max}"
