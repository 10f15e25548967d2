"""Objects of a local store that live as long as their holder: files with a lock that dies with the process.

The file is locked before it gets its name, as every temporary file is (``temporary.py``), so whoever finds the name and
wins the lock knows that the holder is dead. It is not synced: after a power cut nobody holds anything.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

from bork.errors import ObjectExists, ObjectMissing
from bork.storage.base import Hold
from bork.storage.faults import storage_error
from bork.storage.publishing import publish_new, publish_over
from bork.storage.temporary import open_temporary
from bork.storage.writing import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from bork.storage.filesystem import Directory
    from bork.storage.names import ObjectName


class LocalHold(Hold):
    """See ``Store.hold``. Raises FileNotFoundError, too, if a directory of the store is missing."""

    def __init__(self, location: str, root: Directory, name: ObjectName, data: bytes) -> None:
        self._location, self._root, self._name = location, root, name
        self._fd = self._publish(data, publish_new)

    def _publish(self, data: bytes, publish: Callable[[Directory, int, str, str], None]) -> int:
        temp: str | None = None
        fd = -1
        try:
            fd, temp = open_temporary(self._root)
            write_whole(self._root, fd, data)
            publish(self._root, fd, temp, self._name)
        except BaseException as fault:
            if fd >= 0:
                self._close(fd)
            if temp is not None:
                self._remove(temp)
            if isinstance(fault, FileExistsError):
                raise ObjectExists(self._name, self._location) from None
            if isinstance(fault, OSError) and not isinstance(fault, FileNotFoundError):
                raise storage_error(fault, self._location, "put", self._name) from fault
            raise
        return fd

    def replace(self, data: bytes) -> None:
        if not self.is_intact():
            raise ObjectMissing(self._name, self._location)
        fd = self._publish(data, publish_over)
        self._close(self._fd)
        self._fd = fd

    def is_intact(self) -> bool:
        try:
            return same_file(self._root, self._fd, self._name)
        except OSError as fault:
            raise storage_error(fault, self._location, "look at", self._name) from fault

    def release(self) -> None:
        if self._fd < 0:
            return
        try:
            if same_file(self._root, self._fd, self._name):
                self._remove(self._name)
        except OSError as fault:
            raise storage_error(fault, self._location, "release", self._name) from fault
        finally:
            self._close(self._fd)
            self._fd = -1

    def _close(self, fd: int) -> None:
        """It is closed even if that fails, and its content need not be durable."""
        with contextlib.suppress(OSError):
            self._root.close(fd)

    def _remove(self, path: str) -> None:
        """Best effort: what stays is not held by anybody."""
        try:
            self._root.unlink(path)
        except OSError:
            return


def same_file(root: Directory, fd: int, name: str) -> bool:
    """Whether ``name`` is the file ``fd``. Raises: OSError."""
    ours = root.fstat(fd)
    try:
        theirs = root.stat(name)
    except FileNotFoundError:
        return False
    return (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino)


def is_held(root: Directory, name: ObjectName) -> bool | None:
    """See ``Store.is_held``. Raises: OSError."""
    while True:
        try:
            fd = root.open(name, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            return False
        try:
            root.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            # The holder may have replaced the file between our opening and our locking: then the lock says nothing.
            if same_file(root, fd, name):
                return False
        except BlockingIOError:
            return True
        except OSError:
            return None  # this file system has no locks
        finally:
            root.close(fd)
