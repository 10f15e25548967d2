"""The process that makes the connection: ssh, mostly. How it is started, what it says, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

from bork.errors import ConnectionClosedWithHint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

END_S = 5.0  # that the child gets to end by itself when its stdin is closed; then SIGTERM, then SIGKILL
LAST_WORDS_S = 1.0  # that a child gets which has closed its stdout
PIPE_LENGTH = 1 << 20  # bytes; the usual 64 KiB make 16 times as many switches between the processes
LINE_MAX = 2000  # bytes of one line of stderr
LINES_MAX = 3  # of the last words, in an error
READS_MAX = 16  # of 64 KiB, before something else gets its turn
WORDS_MAX = 150  # characters of each of them


class Child:
    """Raises: ConnectionClosedWithHint, if there is no such program.

    Ctrl-C is for us alone: the child lives on until we have ended what we are at.
    """

    def __init__(self, command: Sequence[str], say: Callable[[str], None], end_s: float = END_S) -> None:
        self._name = os.path.basename(command[0])
        self._say = say
        self._end_s = end_s
        self._line = bytearray()
        self._last_words: list[str] = []
        # Blocked signals stay blocked in the child; nothing that arrives meanwhile is lost.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                pipesize=PIPE_LENGTH,
            )
        except OSError as fault:
            raise ConnectionClosedWithHint(
                f"{command[0]} cannot be started ({os.strerror(fault.errno or 0)})"
            ) from None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.stdin, self.stdout = self._process.stdin.fileno(), self._process.stdout.fileno()
        self.stderr: int | None = self._process.stderr.fileno()  # None: there is nothing more to be heard
        os.set_blocking(self.stderr, False)

    def listen(self) -> None:
        """Take what the child has said, and show whole lines. A child that says more than we can show waits."""
        for _ in range(READS_MAX):
            if self.stderr is None:
                return
            try:
                data = os.read(self.stderr, 65536)
            except BlockingIOError:
                return
            if not data:
                self.stderr = None
            self._line += data
            while self._line and (b"\n" in self._line or len(self._line) > LINE_MAX or self.stderr is None):
                line, _, rest = (
                    self._line.partition(b"\n")
                    if b"\n" in self._line[:LINE_MAX]
                    else (
                        self._line[:LINE_MAX],
                        b"",
                        self._line[LINE_MAX:],
                    )
                )
                self._line = bytearray(rest)
                self._show(bytes(line))

    def _show(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").strip()
        text = "".join(character if character.isprintable() else "?" for character in text.replace("\t", " "))
        if text:
            self._last_words = [*self._last_words, text[:WORDS_MAX]][-LINES_MAX:]
            self._say(text)

    def linger(self) -> None:
        """Give a child that is about to end the time to say why."""
        deadline = time.monotonic() + LAST_WORDS_S
        while self._process.poll() is None and time.monotonic() < deadline:
            self.listen()
            time.sleep(0.01)
        self.listen()

    def ended_because(self) -> str:
        """Why the child has closed the connection, in its own words if it said any."""
        self.linger()
        code = self._process.returncode
        if code is None:
            how = f"{self._name} closed it"
        elif code < 0:
            how = f"{self._name} was ended by {signal.Signals(-code).name}"
        else:
            how = f"{self._name} ended with exit code {code}"
        return f"{how} and said: {' / '.join(self._last_words)}" if self._last_words else how

    def close_input(self) -> None:
        """Close its stdin, which tells the server that nothing more comes."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except OSError:
            pass  # it is gone

    def terminate(self) -> None:
        """Tell it to end now. Its end is still to be waited for."""
        self._process.terminate()

    def end(self) -> None:
        """Close its stdin, and wait for its end; if it does not end, make it."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.close_input()
        self._process.stdout.close()
        for last_step in (self._process.terminate, self._process.kill, None):
            deadline = time.monotonic() + self._end_s
            while self._process.poll() is None and time.monotonic() < deadline:
                self.listen()
                time.sleep(0.002)
            if self._process.returncode is not None or last_step is None:
                break
            last_step()
        self._process.wait()
        self.listen()
        self.stderr = None
        self._process.stderr.close()
