"""Open files of a store, kept open between reads: a restore asks for many ranges of few packs."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bork.storage.filesystem import Directory

OPEN_MAX = 64  # descriptors; the usual limit of a process is 1024


class Descriptors:
    """Read-only descriptors by path below ``root``; the one that was used least recently is closed first."""

    def __init__(self, root: Directory) -> None:
        self._root = root
        self._open: dict[str, int] = {}  # in the order of use

    def get(self, path: str) -> int:
        """Valid until the next call. Raises: OSError."""
        fd = self._open.pop(path, None)
        if fd is None:
            fd = self._root.open(path, os.O_RDONLY)
            if len(self._open) >= OPEN_MAX:
                self.forget(next(iter(self._open)))
        self._open[path] = fd
        return fd

    def forget(self, path: str) -> None:
        """Close it, if it is open."""
        fd = self._open.pop(path, None)
        if fd is not None:
            with contextlib.suppress(OSError):  # it was only read: nothing can be lost
                self._root.close(fd)

    def close(self) -> None:
        """Close all."""
        for path in list(self._open):
            self.forget(path)
