"""One child process: its lines of JSON, its result, its end. Bounded memory, whatever it says.

A child has a session of its own. So Ctrl-C on the terminal reaches it once, from us, and it cannot ask for anything.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import IO, TYPE_CHECKING, Any

from bork.pull.fleet import commands

if TYPE_CHECKING:
    from bork.pull.fleet.hosts import Host

LINE_BYTES_MAX = 64 << 10  # of one record; what is longer is cut, and no record
RESULT_BYTES_MAX = 1 << 20  # of stdout: one JSON document
READ_BYTES = 64 << 10
READS_MAX = 64  # more than a pipe can hold: who still writes is not the child
GRACE_S = 10.0  # between asking a process to end and ending it

Record = dict[str, Any]


class Child:
    """Started by its constructor. Raises OSError, if it cannot be started or its passphrase cannot be read.

    ``keep``: descriptors that the child holds open, too: locks, so that they are held as long as it lives.
    """

    def __init__(
        self,
        program: Sequence[str],
        step: commands.Step,
        host: Host,
        variables: dict[str, str],
        keep: Sequence[int],
        tell: Callable[[Record], None],
    ) -> None:
        self.step = step
        self.is_late = False  # it took longer than the host may take
        self.last_error = ""  # what it said last about its failure
        self._tell = tell
        self._line = bytearray()
        self._result = bytearray()
        passphrase = open_passphrase(host)
        try:
            self._process = subprocess.Popen(
                [*program, *step.words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=commands.environment(host, variables, passphrase),
                pass_fds=[*keep, *([] if passphrase is None else [passphrase])],
                start_new_session=True,
            )
        finally:
            if passphrase is not None:
                os.close(passphrase)
        self._deadline = time.monotonic() + host.timeout_s
        self._kill_at: float | None = None
        for stream in self.streams():
            os.set_blocking(stream.fileno(), False)

    def streams(self) -> list[IO[bytes]]:
        """The ends of its pipes that are still open."""
        ends = (self._process.stdout, self._process.stderr)
        return [end for end in ends if end is not None and not end.closed]

    def read(self, stream: IO[bytes]) -> int | None:
        """Take what is there: the number of bytes. 0: there will be no more. None: nothing now."""
        try:
            data = os.read(stream.fileno(), READ_BYTES)
        except BlockingIOError:
            return None
        if stream is self._process.stdout:
            if len(self._result) <= RESULT_BYTES_MAX:
                self._result += data
        else:
            self._take_lines(data)
        return len(data)

    def _take_lines(self, data: bytes) -> None:
        *whole, rest = data.split(b"\n")
        for part in whole:
            self._append(part)
            self._take_line(bytes(self._line))
            self._line.clear()
        self._append(rest)

    def _append(self, part: bytes) -> None:
        self._line += part[: LINE_BYTES_MAX - len(self._line)]

    def _take_line(self, line: bytes) -> None:
        if not line.strip():
            return
        record = parse_record(line)
        if record.get("type") == "log_message" and record.get("levelname") in ("ERROR", "CRITICAL"):
            self.last_error = str(record.get("message", ""))
        self._tell(record)

    def has_ended(self) -> bool:
        """Whether it is over. What it left running may still hold its pipes, and is not waited for."""
        return self._process.poll() is not None

    def finish(self) -> None:
        """Take what it said last, and close its pipes."""
        for stream in self.streams():
            for _ in range(READS_MAX):
                if not self.read(stream):
                    break
            stream.close()
        if self._line:
            self._take_line(bytes(self._line))
            self._line.clear()

    def watch(self) -> None:
        """To be called often: ends a child that takes too long, or does not end when it was asked to."""
        now = time.monotonic()
        if self._kill_at is None and now > self._deadline:
            self.is_late = True
            self.stop(signal.SIGTERM)
        elif self._kill_at is not None and now > self._kill_at:
            self._kill_all()
            self._kill_at = now + GRACE_S

    def stop(self, number: int) -> None:
        """Ask it to end, with this signal; GRACE_S later ``watch`` makes it."""
        if self._kill_at is None:
            self._kill_at = time.monotonic() + GRACE_S
        self._process.send_signal(number)

    def _kill_all(self) -> None:
        """It and what it has started: the session is its own."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass

    @property
    def exit_code(self) -> int:
        """Of a child that has ended; negative: the number of the signal that has ended it."""
        code = self._process.returncode
        assert code is not None
        return int(code)

    def result(self) -> Record | None:
        """The document on its stdout, if it is one."""
        if len(self._result) > RESULT_BYTES_MAX:
            return None
        try:
            document = json.loads(self._result)
        except (ValueError, RecursionError):
            return None
        return document if isinstance(document, dict) else None


def parse_record(line: bytes) -> Record:
    """A line of ``--log-json``. What is none becomes a warning with the line as its message."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        record = None
    if isinstance(record, dict) and isinstance(record.get("type"), str):
        return record
    text = line.decode("utf-8", "backslashreplace").strip()
    return message("warning", text)


def message(level: str, text: str) -> Record:
    """A message of our own, in the form of those of the children."""
    record: Record = {"type": "log_message", "time": time.time(), "message": text}
    return record | {"levelname": level.upper(), "name": "bork.pull"}


def open_passphrase(host: Host) -> int | None:
    """A descriptor for ``BORK_PASSPHRASE_FD``, so that the secret is in no environment. Raises OSError."""
    path = host.passphrase_file
    if path is None or host.passcommand is not None:
        return None
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        raise OSError(error.errno, f"passphrase-file {path}: {error.strerror}") from None
