"""Two byte streams as messages: handshake, deadlines, and the upload rate. Neither end ever blocks without a limit.

``step`` waits for the descriptors once and moves what it can; both ends are loops around it.
"""

from __future__ import annotations

import os
import select
import time
from collections import deque
from typing import TYPE_CHECKING

from bork.protocol import hello
from bork.protocol.codec import Malformed
from bork.protocol.hello import HELLO_MAX, MAGIC, Hello
from bork.protocol.messages import DATA_MAX, Inbox, Message, encode_start

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from typing_extensions import Buffer

    from bork.protocol.codec import Value

STALL_S = 120.0  # without one byte of a message that has begun, or of one that waits to be sent
RATE_MIN = 256  # bytes per second on average, below which a message is given up
_PIECE = 256 << 10  # bytes of one write
_READS = 64  # in one step
_NOISE_MAX = 64  # bytes of what is no hello, for the message


class Stalled(Exception):
    """The other end does not go on. The text completes "... broken: "."""


class Wire:
    """One connection. Descriptors are made non-blocking; ``close`` puts them back and closes nothing."""

    def __init__(
        self,
        read_fd: int,
        write_fd: int,
        ours: Hello,
        *,
        stall_s: float = STALL_S,
        rate_bytes_s: int = 0,
        data_max: int = DATA_MAX,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read_fd, self._write_fd = read_fd, write_fd
        self._was_blocking = [(fd, os.get_blocking(fd)) for fd in (read_fd, write_fd)]
        for fd in (read_fd, write_fd):
            os.set_blocking(fd, False)
        self._stall_s, self._rate, self._clock = stall_s, rate_bytes_s, clock
        self._data_max = data_max
        self.ours = ours
        self.theirs: Hello | None = None
        self.arrived: deque[Message] = deque()
        self.ended = False  # the other end has closed its side
        self.gone = False  # the other end reads nothing any more
        self.unsent = 0  # bytes
        self.last_progress = clock()
        self._out: deque[memoryview] = deque()
        self._magic = bytearray()
        self._inbox = Inbox(body_max=HELLO_MAX, data_max=0)
        self._begun: float | None = None  # when the message that arrives did
        self._taken = 0  # bytes of it
        self._message_deadline: float | None = None
        self._write_progress = clock()
        self._tokens, self._refilled = 0.0, clock()
        self._queue(MAGIC)
        self.send(ours.encode())

    def close(self) -> None:
        """Leave the descriptors as they were."""
        for fd, was in self._was_blocking:
            os.set_blocking(fd, was)

    def close_output(self) -> None:
        """Everything was sent, and nothing more will be: leave that descriptor as it was; it may be closed."""
        self._was_blocking, before = self._was_blocking[:1], self._was_blocking[1:]
        for fd, was in before:
            os.set_blocking(fd, was)

    # ---- out -----------------------------------------------------------------------------------------------------

    def send(self, body: Mapping[str, Value], data: Buffer = b"") -> None:
        """Queue a message; ``step`` sends it. ``data`` may not change until it was sent."""
        self._queue(encode_start(dict(body), data))
        self._queue(data)

    def _queue(self, data: Buffer) -> None:
        view = memoryview(data).cast("B")
        if len(view) and not self.gone:
            if not self._out:
                self._write_progress = self._clock()
            self._out.append(view)
            self.unsent += len(view)

    # ---- one step ------------------------------------------------------------------------------------------------

    def step(self, timeout_s: float, *, read: bool = True, others: tuple[int, ...] = ()) -> list[int]:
        """Wait at most ``timeout_s`` seconds for something to move, and move it. Reads one message at most.

        The result is which of ``others`` can be read. Raises: Malformed, Stalled.
        """
        poll = select.poll()
        reading = read and not self.ended and not self.arrived
        pause_s = self._pause_s() if self._out else None
        events: dict[int, int] = dict.fromkeys(others, select.POLLIN)
        if reading:
            events[self._read_fd] = events.get(self._read_fd, 0) | select.POLLIN
        if pause_s == 0:
            events[self._write_fd] = events.get(self._write_fd, 0) | select.POLLOUT
        for fd, mask in events.items():
            poll.register(fd, mask)
        ready = dict(poll.poll(max(0, round(1000 * self._shortened(timeout_s, pause_s)))))
        if reading and ready.get(self._read_fd, 0) & ~select.POLLOUT:
            self._read()
        if pause_s == 0 and ready.get(self._write_fd, 0) & ~select.POLLIN:
            self._write()
        self._check_deadlines()
        return [fd for fd in others if ready.get(fd)]

    def _shortened(self, timeout_s: float, pause_s: float | None) -> float:
        now = self._clock()
        limits = [timeout_s]
        if pause_s:
            limits.append(pause_s)
        if self._message_deadline is not None:
            limits.append(self._message_deadline - now)
        if self._out:
            limits.append(self._write_progress + self._stall_s - now)
        return min(limits)

    def _check_deadlines(self) -> None:
        now = self._clock()
        if self._message_deadline is not None and now > self._message_deadline:
            raise Stalled("a message has begun and does not go on")
        if self._out and now > self._write_progress + self._stall_s:
            raise Stalled("what was sent is not taken")

    # ---- in ------------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        for _ in range(_READS):
            room: Buffer = (
                bytearray(len(MAGIC) - len(self._magic)) if len(self._magic) < len(MAGIC) else self._inbox.room()
            )
            try:
                count = os.readv(self._read_fd, [room])
            except BlockingIOError:
                return
            except OSError:  # reset: as good as closed
                count = 0
            if count == 0:
                self.ended = True
                self._message_deadline = None
                return
            self._took(room, count)
            if self.arrived:
                return

    def _took(self, room: Buffer, count: int) -> None:
        now = self.last_progress = self._clock()
        if self._begun is None:
            self._begun, self._taken = now, 0
        self._taken += count
        self._message_deadline = min(now, self._begun + self._taken / RATE_MIN) + self._stall_s
        if len(self._magic) < len(MAGIC):
            self._magic += memoryview(room)[:count]
            if not MAGIC.startswith(self._magic):
                raise Malformed(repr(self._noise()))
        elif (message := self._inbox.filled(count)) is not None:
            self._begun = self._message_deadline = None
            self._deliver(message)

    def _noise(self) -> str:
        """What was sent in place of a hello, as far as it is here."""
        noise = bytes(self._magic)
        try:
            noise += os.read(self._read_fd, _NOISE_MAX)
        except OSError:
            pass
        return noise[:_NOISE_MAX].decode("utf-8", "replace")

    def _deliver(self, message: Message) -> None:
        if self.theirs is not None:
            self.arrived.append(message)
            return
        self.theirs = hello.decode(message.body)
        if self.theirs.role == self.ours.role:
            raise Malformed(f"the hello of a {self.theirs.role}")
        self._inbox = Inbox(data_max=self._data_max)

    @property
    def is_open(self) -> bool:
        """Whether the hello of the other end has come."""
        return self.theirs is not None

    @property
    def is_between_messages(self) -> bool:
        """Whether everything that has arrived was whole."""
        return len(self._magic) in (0, len(MAGIC)) and self._inbox.is_empty

    # ---- the rate ------------------------------------------------------------------------------------------------

    def _pause_s(self) -> float:
        """How long to wait before the next bytes may go."""
        if not self._rate:
            return 0
        now = self._clock()
        burst = max(self._rate / 4, 1024)
        self._tokens = min(self._tokens + (now - self._refilled) * self._rate, burst)
        self._refilled = now
        wanted = min(1024, self.unsent)
        return 0 if self._tokens >= wanted else (wanted - self._tokens) / self._rate + 0.001

    def _write(self) -> None:
        while self._out:
            length = min(_PIECE, int(self._tokens)) if self._rate else _PIECE
            if length <= 0:
                return
            try:
                count = os.write(self._write_fd, self._out[0][:length])
            except BlockingIOError:
                return
            except OSError:  # what it said before may still be there to be read
                self.gone = True
                self._out.clear()
                self.unsent = 0
                return
            self.unsent -= count
            self._tokens -= count
            self.last_progress = self._write_progress = self._clock()
            if count == len(self._out[0]):
                self._out.popleft()
            else:
                self._out[0] = self._out[0][count:]
                return
