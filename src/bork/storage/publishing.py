"""Give a finished temporary file its name, exactly once, and make names durable."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from typing import TYPE_CHECKING

from bork.storage.temporary import DIRECTORY

if TYPE_CHECKING:
    from bork.storage.filesystem import Directory

_LOCK = f"{DIRECTORY}/publish.lock"  # never removed: two processes must not hold locks on two files of that name
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}  # what file systems without links answer


def publish_new(root: Directory, fd: int, temp: str, name: str) -> None:
    """Name the file ``fd``, which is ``temp``, ``name``. Raises: FileExistsError, if the name is taken; OSError."""
    try:
        root.link(temp, name)
    except FileExistsError:
        if not _is_same_file(root, fd, name):  # NFS can lose the answer to a request that it has carried out
            raise
    except OSError as fault:
        if fault.errno not in _NO_LINKS:
            raise
        _rename_if_free(root, temp, name)
        return
    root.unlink(temp)


def _is_same_file(root: Directory, fd: int, name: str) -> bool:
    ours, theirs = root.fstat(fd), root.stat(name)
    return (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino)


def _rename_if_free(root: Directory, temp: str, name: str) -> None:
    """Without links: look and rename under a lock, which every writer on such a file system takes."""
    lock_fd = root.open(_LOCK, os.O_RDWR | os.O_CREAT)
    try:
        root.flock(lock_fd, fcntl.LOCK_EX)
        try:
            root.stat(name)
        except FileNotFoundError:
            root.rename(temp, name)
        else:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
    finally:
        root.close(lock_fd)


def publish_over(root: Directory, _fd: int, temp: str, name: str) -> None:
    """Name the file ``temp`` ``name``, in place of what had that name. Raises: OSError."""
    root.rename(temp, name)


def make_directory(root: Directory, path: str) -> None:
    """Make one directory durably; its parent is there. It is no error if it exists. Raises: OSError."""
    with contextlib.suppress(FileExistsError):  # whoever made it may not have synced it yet
        root.mkdir(path)
    sync_directory(root, os.path.dirname(path) or ".")


def sync_directory(root: Directory, path: str) -> None:
    """Make the names in a directory durable. Raises: OSError."""
    directory = root.enter(path)
    try:
        directory.sync()
    except OSError as fault:
        if fault.errno != errno.EINVAL:  # a file system that cannot sync directories says so (some of FUSE, CIFS)
            raise
    finally:
        directory.leave()
