"""Is what is backed up still there? A file system can go away under a walk: a server, a cable, a disk.

Each path that is left then fails, which looks like so many unreadable files. An archive of the few that were read
before would stand for all of them, in the list and for ``prune``.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from bork.errors import SourceGone

if TYPE_CHECKING:
    from collections.abc import Iterable


# What the kernel answers for a mount whose other end is lost: FUSE, NFS, SMB, a disk. Not that a path is missing or
# forbidden: that can happen to any path while it is backed up.
_GONE = frozenset(
    (
        *(errno.ENOTCONN, errno.ECONNABORTED, errno.ESTALE, errno.EHOSTDOWN, errno.ETIMEDOUT),
        *(errno.EIO, errno.ENODEV, errno.ENXIO, errno.ESHUTDOWN),
    )
)


class Sources:
    """The paths of a backup, and on which file systems they are when it begins."""

    def __init__(self, paths: Iterable[bytes]) -> None:
        self._devices = {path: device for path in paths if (device := _device(path)) is not None}

    def verify(self) -> None:
        """Raises: SourceGone, when one is not there any more, or lies on another file system."""
        for path, device in self._devices.items():
            shown = os.path.normpath(os.fsdecode(path))
            try:
                # Not ``stat``: that is answered from memory for a while.
                os.statvfs(path if not os.path.islink(path) else os.path.dirname(path) or b".")
            except OSError as fault:
                if fault.errno in _GONE:
                    raise SourceGone(shown, fault.strerror) from fault
            if _device(path) not in (device, None):
                raise SourceGone(shown, "another file system is there now")


def _device(path: bytes) -> int | None:
    try:
        return os.lstat(path).st_dev  # of a link nothing but itself is stored
    except OSError:
        return None
