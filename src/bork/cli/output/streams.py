"""The two streams of the process, below Python's text layers, which would buffer and decide on encodings for us."""

from __future__ import annotations

import errno
import os
import select

from bork.errors import OutputFault

# A write of at most this many bytes into a pipe is atomic (POSIX), so a reader never sees half a line of it.
ATOMIC_BYTES = 4096
BUFFER_BYTES = 65536


class ClosedOutput(Exception):
    """Whoever read stdout has gone (``bork list | head``). Not an error: there is nobody left to tell."""


def _write_all(descriptor: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            # A pipe of ssh or of a terminal program may be set to non-blocking by its other user.
            select.select([], [descriptor], [])


class Out:
    """stdout. Buffered: ``flush`` at the end. Raises ClosedOutput, or OutputFault for other failures."""

    def __init__(self, descriptor: int = 1, target: str = "stdout") -> None:
        self._descriptor = descriptor
        self._target = target  # what an OutputFault names
        self._buffer = bytearray()
        self.holds_content = False  # of backed up files: then a reader that goes away early does not have all of it

    def write(self, data: bytes) -> None:
        if len(data) >= BUFFER_BYTES:
            self.flush()
            self._write(data)
            return
        self._buffer += data
        if len(self._buffer) >= BUFFER_BYTES:
            self.flush()

    def flush(self) -> None:
        data, self._buffer = bytes(self._buffer), bytearray()
        self._write(data)

    def _write(self, data: bytes) -> None:
        try:
            _write_all(self._descriptor, data)
        except BrokenPipeError:
            raise ClosedOutput from None
        except OSError as error:
            if error.errno == errno.EBADF and not data:
                return
            raise OutputFault(self._target, error.strerror) from None

    def drop(self) -> None:
        self._buffer.clear()


class Err:
    """stderr. Never buffered, never a reason to stop: a backup goes on when its log has nowhere to go."""

    def __init__(self, descriptor: int = 2) -> None:
        self._descriptor = descriptor

    def write(self, data: bytes) -> None:
        try:
            _write_all(self._descriptor, data)
        except OSError:
            pass

    def write_lines(self, data: bytes) -> None:
        """Many lines, so that a reader of the pipe finds only whole ones, in as few writes as that allows."""
        start = 0
        while start < len(data):
            end = data.rfind(b"\n", start, start + ATOMIC_BYTES) + 1
            if not end:
                end = data.find(b"\n", start) + 1 or len(data)
            self.write(data[start:end])
            start = end

    def is_terminal(self) -> bool:
        return os.isatty(self._descriptor)

    def rows(self) -> int:
        try:
            return os.get_terminal_size(self._descriptor).lines or 24
        except OSError:
            return 24

    def columns(self) -> int:
        try:
            return os.get_terminal_size(self._descriptor).columns or 80
        except OSError:
            return 80
