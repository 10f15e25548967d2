"""Objects of a local store that live as long as their holder: files with a lock that dies with the process.

The file is locked before it gets its name, as every temporary file is (``temporary.py``), so whoever finds the name and
wins the lock knows that the holder is dead. It is not synced: after a power cut nobody holds anything.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from bork.errors import ObjectExists
from bork.storage.base import Hold
from bork.storage.faults import storage_error
from bork.storage.publishing import publish_new, publish_over
from bork.storage.temporary import open_temporary
from bork.storage.writing import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from bork.storage.names import ObjectName


class LocalHold(Hold):
    """See ``Store.hold``. Raises FileNotFoundError, too, if a directory of the store is missing."""

    def __init__(self, location: str, root_fd: int, name: ObjectName, data: bytes) -> None:
        self._location, self._root_fd, self._name = location, root_fd, name
        self._fd = self._publish(data, publish_new)

    def _publish(self, data: bytes, publish: Callable[[int, str, str, int], None]) -> int:
        temp: str | None = None
        fd = -1
        try:
            fd, temp = open_temporary(self._root_fd)
            write_whole(fd, data)
            publish(fd, temp, self._name, self._root_fd)
        except BaseException as fault:
            if fd >= 0:
                os.close(fd)
            if temp is not None:
                self._remove(temp)
            if isinstance(fault, FileExistsError):
                raise ObjectExists(self._name, self._location) from None
            if isinstance(fault, OSError) and not isinstance(fault, FileNotFoundError):
                raise storage_error(fault, self._location, "put", self._name) from fault
            raise
        return fd

    def replace(self, data: bytes) -> None:
        fd = self._publish(data, publish_over)
        os.close(self._fd)
        self._fd = fd

    def is_intact(self) -> bool:
        try:
            return same_file(self._fd, self._name, self._root_fd)
        except OSError as fault:
            raise storage_error(fault, self._location, "look at", self._name) from fault

    def release(self) -> None:
        if self._fd < 0:
            return
        try:
            if same_file(self._fd, self._name, self._root_fd):
                self._remove(self._name)
        except OSError as fault:
            raise storage_error(fault, self._location, "release", self._name) from fault
        finally:
            os.close(self._fd)
            self._fd = -1

    def _remove(self, path: str) -> None:
        """Best effort: what stays is not held by anybody."""
        try:
            os.unlink(path, dir_fd=self._root_fd)
        except OSError:
            return


def same_file(fd: int, name: str, root_fd: int) -> bool:
    """Whether ``name`` is the file ``fd``. Raises: OSError."""
    ours = os.fstat(fd)
    try:
        theirs = os.stat(name, dir_fd=root_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino)


def is_held(name: ObjectName, root_fd: int) -> bool | None:
    """See ``Store.is_held``. Raises: OSError."""
    while True:
        try:
            fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=root_fd)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            # The holder may have replaced the file between our opening and our locking: then the lock says nothing.
            if same_file(fd, name, root_fd):
                return False
        except BlockingIOError:
            return True
        except OSError:
            return None  # this file system has no locks
        finally:
            os.close(fd)
