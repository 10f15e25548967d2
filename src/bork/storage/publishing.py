"""Give a finished temporary file its name, exactly once, and make names durable."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os

from bork.storage.temporary import DIRECTORY

_LOCK = f"{DIRECTORY}/publish.lock"  # never removed: two processes must not hold locks on two files of that name
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}  # what file systems without links answer


def publish_new(fd: int, temp: str, name: str, root_fd: int) -> None:
    """Name the file ``fd``, which is ``temp``, ``name``. Raises: FileExistsError, if the name is taken; OSError."""
    try:
        os.link(temp, name, src_dir_fd=root_fd, dst_dir_fd=root_fd, follow_symlinks=False)
    except FileExistsError:
        if not _is_same_file(fd, name, root_fd):  # NFS can lose the answer to a request that it has carried out
            raise
    except OSError as fault:
        if fault.errno not in _NO_LINKS:
            raise
        _rename_if_free(temp, name, root_fd)
        return
    os.unlink(temp, dir_fd=root_fd)


def _is_same_file(fd: int, name: str, root_fd: int) -> bool:
    ours, theirs = os.fstat(fd), os.stat(name, dir_fd=root_fd, follow_symlinks=False)
    return (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino)


def _rename_if_free(temp: str, name: str, root_fd: int) -> None:
    """Without links: look and rename under a lock, which every writer on such a file system takes."""
    lock_fd = os.open(_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666, dir_fd=root_fd)
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX)
        try:
            os.stat(name, dir_fd=root_fd, follow_symlinks=False)
        except FileNotFoundError:
            os.rename(temp, name, src_dir_fd=root_fd, dst_dir_fd=root_fd)
        else:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
    finally:
        os.close(lock_fd)


def publish_over(_fd: int, temp: str, name: str, root_fd: int) -> None:
    """Name the file ``temp`` ``name``, in place of what had that name. Raises: OSError."""
    os.rename(temp, name, src_dir_fd=root_fd, dst_dir_fd=root_fd)


def make_directory(path: str, root_fd: int) -> None:
    """Make one directory durably; its parent is there. It is no error if it exists. Raises: OSError."""
    with contextlib.suppress(FileExistsError):  # whoever made it may not have synced it yet
        os.mkdir(path, dir_fd=root_fd)
    sync_directory(os.path.dirname(path) or ".", root_fd)


def sync_directory(path: str, root_fd: int | None = None) -> None:
    """Make the names in a directory durable. Raises: OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root_fd)
    try:
        os.fsync(fd)
    except OSError as fault:
        if fault.errno != errno.EINVAL:  # a file system that cannot sync directories says so (some of FUSE, CIFS)
            raise
    finally:
        os.close(fd)
