"""Remove a local store as a whole: its objects, its directories, and nothing that somebody else has put there."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

from bork.storage import temporary
from bork.storage.names import COLLECTIONS, CONFIG
from bork.storage.publishing import sync_directory

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bork.storage.names import ObjectName

_NOT_EMPTY = (errno.ENOTEMPTY, errno.EEXIST)


def remove_objects(names: Iterable[ObjectName], root_fd: int) -> None:
    """Unlink objects; it is no error if one is gone. Not durable before the next sync. Raises: OSError."""
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=root_fd)


def sync_collection(collection: str, root_fd: int) -> None:
    """Make durable what ``remove_objects`` has done to a collection that is not sharded. Raises: OSError."""
    with contextlib.suppress(FileNotFoundError):
        sync_directory(collection, root_fd)


def remove_place(location: str, root_fd: int) -> bool:
    """Remove the directories of a store without objects, its config, and its own directory; whether all are gone.

    Raises: OSError.
    """
    _empty_temporary(root_fd)
    emptied = [_remove_directory(path, root_fd) for path in _skeleton()]
    with contextlib.suppress(FileNotFoundError):
        os.unlink(CONFIG, dir_fd=root_fd)
    sync_directory(".", root_fd)
    if not all(emptied) or os.listdir(root_fd):
        return False
    os.rmdir(location)
    with contextlib.suppress(PermissionError):  # the directory above may be one that we cannot list
        sync_directory(os.path.dirname(os.path.abspath(location)))
    return True


def _skeleton() -> Iterable[str]:
    for name, sharded in COLLECTIONS.items():
        if sharded:
            yield from (f"{name}/{first:02x}" for first in range(256))
        yield name
    yield temporary.DIRECTORY


def _remove_directory(path: str, root_fd: int) -> bool:
    try:
        os.rmdir(path, dir_fd=root_fd)
    except FileNotFoundError:
        return True
    except OSError as fault:
        if fault.errno not in _NOT_EMPTY:
            raise
        return False
    return True


def _empty_temporary(root_fd: int) -> None:
    """Whatever lies there is half of something, or a reserve."""
    try:
        fd = os.open(temporary.DIRECTORY, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root_fd)
    except FileNotFoundError:
        return
    try:
        for name in os.listdir(fd):
            with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                os.unlink(name, dir_fd=fd)
    finally:
        os.close(fd)
