"""Remove a local store as a whole: its objects, its directories, and nothing that somebody else has put there."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

from bork.storage import temporary
from bork.storage.names import COLLECTIONS, CONFIG, SESSIONS
from bork.storage.publishing import sync_directory

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bork.storage.filesystem import Directory
    from bork.storage.names import ObjectName

_NOT_EMPTY = (errno.ENOTEMPTY, errno.EEXIST)
_NOT_OURS = (errno.EACCES, errno.EPERM, errno.EBUSY)  # in a directory of somebody else, or a mount point


def remove_objects(root: Directory, names: Iterable[ObjectName]) -> None:
    """Unlink objects; it is no error if one is gone. Not durable before the next sync. Raises: OSError."""
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            root.unlink(name)


def sync_collection(root: Directory, collection: str) -> None:
    """Make durable what ``remove_objects`` has done to a collection that is not sharded. Raises: OSError."""
    with contextlib.suppress(FileNotFoundError):
        sync_directory(root, collection)


def remove_config(root: Directory) -> bool:
    """Remove the directories of a store without objects but that of sessions, and its config: durably, when it returns.

    False: there is something else in one of them. Raises: OSError.
    """
    _empty_temporary(root)
    emptied = [_remove_directory(root, path) for path in _skeleton()]
    with contextlib.suppress(FileNotFoundError):
        root.unlink(CONFIG)
    root.sync()
    return all(emptied)


def remove_place(machine: Directory, location: str, root: Directory) -> bool:
    """Remove the directory of sessions, when there are none, and that of the store.

    False: there is something else in it. An empty directory that cannot be removed from where it is may stay.
    Raises: OSError.
    """
    is_empty = _remove_directory(root, SESSIONS)
    root.sync()
    if not is_empty or root.names():
        return False
    try:
        machine.rmdir(location)
        sync_directory(machine, os.path.dirname(location))
    except OSError as fault:
        if fault.errno not in _NOT_OURS:
            raise
    return True


def _skeleton() -> Iterable[str]:
    for name, sharded in COLLECTIONS.items():
        if sharded:
            yield from (f"{name}/{first:02x}" for first in range(256))
        if name != SESSIONS:
            yield name
    yield temporary.DIRECTORY


def _remove_directory(root: Directory, path: str) -> bool:
    try:
        root.rmdir(path)
    except FileNotFoundError:
        return True
    except OSError as fault:
        if fault.errno not in _NOT_EMPTY:
            raise
        return False
    return True


def _empty_temporary(root: Directory) -> None:
    """Whatever lies there is half of something, or a reserve."""
    try:
        directory = root.enter(temporary.DIRECTORY)
    except FileNotFoundError:
        return
    try:
        for name in directory.names():
            with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                directory.unlink(name)
    finally:
        directory.leave()
