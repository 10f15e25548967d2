"""Temporary files of a store's directory, and how to tell a living writer's from a dead one's.

A writer holds an exclusive ``flock`` on its temporary file as long as the name exists. The kernel gives the lock up
with the last descriptor, so a file whose lock is free belongs to nobody: ``sweep`` takes the lock and removes the name.
Three cases could hurt, and none does:

* A writer has made its file and not locked it yet when ``sweep`` comes: ``sweep`` wins the lock. The writer sees that
  the lock is taken, or, if ``sweep`` is done by then, that its file has no name any more, and begins with a new file.
* The writer publishes between the opening and the locking in ``sweep``: the temporary name is gone, and ``sweep``
  removes nothing, since a name is random and never used twice.
* A writer dies between publishing (a second link) and removing the temporary name: ``sweep`` removes the one name, and
  the object keeps the other.

Where ``flock`` does not work, ``sweep`` removes nothing.
"""

from __future__ import annotations

import fcntl
import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bork.storage.filesystem import Directory

DIRECTORY = "tmp"
_NAME = re.compile(r"[0-9]+-[0-9a-f]{32}", re.ASCII)
_ATTEMPTS = 100  # losing the race with a sweep even twice in a row is unheard of


def open_temporary(root: Directory) -> tuple[int, str]:
    """A new, empty, locked file in a store's directory: its descriptor, and its path below that directory.

    Raises: OSError.
    """
    for _ in range(_ATTEMPTS):
        path = f"{DIRECTORY}/{os.getpid()}-{os.urandom(16).hex()}"
        fd = root.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        try:
            root.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if root.fstat(fd).st_nlink == 1:
                return fd, path
        except BlockingIOError:
            pass  # a sweep holds it, and will remove it
        except OSError:
            if root.fstat(fd).st_nlink == 1:
                return fd, path  # no flock here: nobody else has one either, so no sweep removes it
        except BaseException:
            root.close(fd)
            raise
        root.close(fd)
    raise TimeoutError("no temporary file could be made")


def sweep(root: Directory) -> None:
    """Remove the files of writers that no longer live. Raises: OSError."""
    directory = root.enter(DIRECTORY)
    try:
        for name in directory.names():
            if _NAME.fullmatch(name):
                _remove_if_abandoned(directory, name)
    finally:
        directory.leave()


def _remove_if_abandoned(directory: Directory, name: str) -> None:
    try:
        fd = directory.open(name, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return  # published or removed meanwhile, or not ours
    try:
        directory.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        directory.unlink(name)
    except OSError:
        return  # its writer lives, or removed it just now
    finally:
        directory.close(fd)
