"""The loop of a server: one client, two descriptors, one request after the other.

Requests that a client sends ahead wait in the pipe, so memory is that of one message each way. An answer is sent when
what was asked for has happened; a put that was answered survives a power cut.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bork.errors import (
    BorkError,
    ConnectionBrokenWithHint,
    InternalError,
    InvalidRPCMethod,
    RPCServerOutdated,
    UnexpectedRPCDataFormatFromClient,
)
from bork.protocol.codec import Malformed
from bork.protocol.faults import encode_error
from bork.protocol.hello import Hello, common_version
from bork.protocol.verbs import UnknownVerb, parse_request
from bork.protocol.wire import STALL_S, Stalled, Wire
from bork.server.opening import Opener
from bork.server.verbs import Verbs

if TYPE_CHECKING:
    from collections.abc import Callable

    from bork.protocol.messages import Message
    from bork.server.policy import Policy

HELLO_S = 60.0  # that a client has for its hello
IDLE_S = 6 * 3600.0  # between two requests: someone may be typing a passphrase
FAREWELL_S = 5.0  # that a client has to take the last words


def serve(
    read_fd: int,
    write_fd: int,
    policy: Policy,
    *,
    program: str,
    confine: Callable[[str], None] = lambda _: None,
    hello_s: float = HELLO_S,
    idle_s: float = IDLE_S,
    stall_s: float = STALL_S,
) -> None:
    """Serve one client until it closes its side.

    Raises: UnexpectedRPCDataFormatFromClient, RPCServerOutdated, ConnectionBrokenWithHint: the client has been told.
    """
    wire = Wire(read_fd, write_fd, Hello("server", program), stall_s=stall_s)
    verbs = Verbs(Opener(policy, confine))
    try:
        _Session(wire, verbs, program, hello_s, idle_s).run()
    finally:
        wire.close()
        verbs.close()


class _Session:
    def __init__(self, wire: Wire, verbs: Verbs, program: str, hello_s: float, idle_s: float) -> None:
        self._wire, self._verbs, self._program = wire, verbs, program
        self._hello_s, self._idle_s = hello_s, idle_s
        self._last_id = 0

    def run(self) -> None:
        try:
            self._shake_hands()
            while (message := self._next()) is not None:
                self._answer(message)
        except Malformed as problem:
            self._end(UnexpectedRPCDataFormatFromClient(self._program, str(problem)))
        except Stalled as problem:
            self._end(ConnectionBrokenWithHint(str(problem)))

    def _shake_hands(self) -> None:
        deadline = time.monotonic() + self._hello_s
        while not self._wire.is_open and not self._wire.ended:
            self._wire.step(deadline - time.monotonic())
            if time.monotonic() > deadline and not self._wire.is_open:
                raise Stalled(f"no hello came for {self._hello_s:.0f} seconds")
        theirs = self._wire.theirs
        if theirs is not None and common_version(self._wire.ours, theirs) is None:
            spoken = [f"{each.program}, {each.version_min} to {each.version_max}" for each in (theirs, self._wire.ours)]
            self._end(RPCServerOutdated(*spoken))

    def _next(self) -> Message | None:
        """The next request, or None when the client has closed its side. Raises: Malformed, if it did so within one."""
        deadline = time.monotonic() + self._idle_s
        while not self._wire.arrived:
            if self._wire.gone:
                return None
            if self._wire.ended:
                if not self._wire.is_between_messages:
                    raise Malformed("half a message")
                return None
            self._wire.step(deadline - time.monotonic())
            if time.monotonic() > deadline and self._wire.is_between_messages and not self._wire.arrived:
                raise Stalled(f"no request came for {self._idle_s:.0f} seconds")
        return self._wire.arrived.popleft()

    def _answer(self, message: Message) -> None:
        try:
            request = parse_request(message)
        except UnknownVerb as unknown:
            self._send(unknown.request_id, InvalidRPCMethod(unknown.name))
            return
        if request.id <= self._last_id:
            raise Malformed("a request with an id that was there before")
        self._last_id = request.id
        try:
            for members, data in self._verbs.perform(request, message):
                self._wire.send({"answer": request.id, **members}, data)
                self._flush()
        except InternalError:
            raise
        except BorkError as error:
            self._send(request.id, error)

    def _send(self, request_id: int, error: BorkError) -> None:
        self._wire.send({"answer": request_id, **encode_error(error)})
        self._flush()

    def _flush(self) -> None:
        """Send everything. Nothing is read meanwhile: a client that takes no answers gets no more of them."""
        while self._wire.unsent and not self._wire.gone:
            self._wire.step(1.0, read=False)

    def _end(self, error: BorkError) -> None:
        """Tell the client why it ends here, if it still listens, and end."""
        self._wire.send({"answer": 0, **encode_error(error)})
        deadline = time.monotonic() + FAREWELL_S
        try:
            while self._wire.unsent and not self._wire.gone and time.monotonic() < deadline:
                self._wire.step(0.1, read=False)
        except Stalled:
            pass  # it does not
        raise error
