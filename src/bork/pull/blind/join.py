"""Two programs that talk to each other and not to us: ssh, with the client behind it, and ``bork serve``.

Each gets an end of two pipes; nothing that they say passes through here. We hear only what they have for people, on
their stderr, and how they end. ``bork serve`` is started when the first bytes of the client are there: until then there
may be a question of ssh to answer, and a client that does not begin has nobody to annoy.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import time
from typing import TYPE_CHECKING, NamedTuple

from bork.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

END_S = 5.0  # that a program gets to end by itself, then to end after SIGTERM
ALONE_S = 30.0  # that the client gets to end when its server has failed
LINE_MAX = 32 << 10  # bytes of one line of stderr: a path of 4096 bytes, escaped for JSON
PIPE_LENGTH = 1 << 20  # bytes; the usual 64 KiB make 16 times as many switches between the processes
_STEP_S = 0.5
_ENDING_STEP_S = 0.01


class Ends(NamedTuple):
    """Exit codes; negative: the number of the signal. ``server`` is None if the client never began."""

    client: int
    server: int | None


class Program:
    """A child with ``stdin`` and ``stdout`` that somebody else made. ``say`` gets the lines of its stderr.

    Ctrl-C is for us alone: the child lives on until we end it.
    Raises: CommandError, if there is no such program.
    """

    def __init__(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        stdin: int,
        stdout: int,
        say: Callable[[bytes], None],
    ) -> None:
        self._say = say
        self._line = bytearray()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process = subprocess.Popen(
                list(words), env=dict(environment), stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, bufsize=0
            )
        except OSError as fault:
            raise CommandError(f"{words[0]} cannot be started ({os.strerror(fault.errno or 0)})") from None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        assert self._process.stderr is not None
        self.stderr: int | None = self._process.stderr.fileno()  # None: there is nothing more to be heard
        os.set_blocking(self.stderr, False)

    @property
    def code(self) -> int | None:
        """How it has ended; None: not yet."""
        return self._process.poll()

    def listen(self) -> None:
        """Take what it has said, and pass whole lines on."""
        while self.stderr is not None:
            try:
                data = os.read(self.stderr, 65536)
            except BlockingIOError:
                return
            if not data:
                self.stderr = None
                if self._line:
                    self._say(bytes(self._line))
                return
            *lines, rest = (self._line + data).split(b"\n")
            self._line = bytearray(rest[:LINE_MAX])
            for line in lines:
                if line:
                    self._say(bytes(line[:LINE_MAX]))

    def end(self) -> None:
        """Make it end, if it does not by itself."""
        for step in (None, self._process.terminate, self._process.kill):
            if step is not None:
                step()
            deadline = time.monotonic() + END_S
            while self._process.poll() is None and time.monotonic() < deadline:
                self.listen()
                time.sleep(0.01)
            if self._process.returncode is not None:
                break
        self._process.wait()
        self.listen()

    def mute(self) -> None:
        """Pass nothing on any more."""
        self._say = lambda _: None

    def terminate(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()

    def close(self) -> None:
        assert self._process.stderr is not None
        self._process.stderr.close()
        self.stderr = None


class Join:
    """Use ``run`` once."""

    def __init__(
        self,
        client: Sequence[str],
        server: Sequence[str],
        environment: Mapping[str, str],
        said_by_client: Callable[[bytes], None],
        said_by_server: Callable[[bytes], None],
    ) -> None:
        self._client_words, self._server_words, self._environment = client, server, environment
        self._said_by_client, self._said_by_server = said_by_client, said_by_server
        self._client: Program | None = None
        self._server: Program | None = None
        self._open: set[int] = set()

    def run(self, preamble: bytes) -> Ends:
        """Send ``preamble`` to the client, and wait until both have ended. When it raises, both have, too."""
        try:
            return self._run(preamble)
        except BaseException:
            self._stop()
            raise
        finally:
            for fd in self._open:
                os.close(fd)
            for program in (self._client, self._server):
                if program is not None:
                    program.close()

    def _run(self, preamble: bytes) -> Ends:
        down_read, down_write = self._pipe()
        up_read, up_write = self._pipe()
        client = self._client = Program(
            self._client_words, self._environment, down_read, up_write, self._said_by_client
        )
        self._close(down_read, up_write)
        try:
            _write_all(down_write, preamble)  # the pipe has room for all of it, or the client reads
        except BrokenPipeError:
            pass  # it has ended, and will say why
        if not self._has_begun(client, up_read):
            self._close(down_write, up_read)
            client.end()
            assert client.code is not None
            return Ends(client.code, None)
        server = self._server = Program(
            self._server_words, self._environment, up_read, down_write, self._said_by_server
        )
        self._close(down_write, up_read)
        return self._wait(client, server)

    def _pipe(self) -> tuple[int, int]:
        read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
        self._open |= {read_fd, write_fd}
        try:
            fcntl.fcntl(write_fd, fcntl.F_SETPIPE_SZ, PIPE_LENGTH)
        except PermissionError:
            pass  # this user has many pipes: a smaller one works, too
        return read_fd, write_fd

    def _close(self, *fds: int) -> None:
        for fd in fds:
            self._open.discard(fd)
            os.close(fd)

    def _has_begun(self, client: Program, up_read: int) -> bool:
        """Whether the client has sent something; otherwise it has closed its side."""
        while True:
            ready = _ready(up_read, client.stderr)
            client.listen()
            if ready.get(up_read, 0) & select.POLLIN:
                return True
            if ready.get(up_read) or client.code is not None:
                return False

    def _wait(self, client: Program, server: Program) -> Ends:
        deadline: float | None = None
        while client.code is None or server.code is None:
            _ready(client.stderr, server.stderr)
            client.listen()
            server.listen()
            if client.code is not None and server.code is None:
                server.end()  # it has nobody left to serve
            if server.code and deadline is None:
                deadline = time.monotonic() + ALONE_S
            if deadline is not None and client.code is None and time.monotonic() > deadline:
                client.end()
        client.listen()
        server.listen()
        return Ends(client.code, server.code)

    def _stop(self) -> None:
        """The connection first: the server then finds its client gone and ends its session in good order, and the
        client ends with its connection. What they say to that is of no interest.
        """
        self._close(*self._open.copy())
        for program in (self._client, self._server):
            if program is not None:
                program.mute()
        if self._client is not None:
            self._client.terminate()
            self._client.end()
        if self._server is not None:
            self._server.end()


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _ready(*fds: int | None) -> dict[int, int]:
    poll = select.poll()
    for fd in fds:
        if fd is not None:
            poll.register(fd, select.POLLIN)
    # What has closed its stderr is about to end.
    return dict(poll.poll(round(1000 * (_ENDING_STEP_S if None in fds else _STEP_S))))
