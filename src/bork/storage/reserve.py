"""A file that takes space for the day when the medium is full: without it, not even deleting would be possible.

What a compaction writes before it can free anything is small: a session, a generation, an index. The file is removed
when such a put meets a full medium, and made again when there is room.
"""

from __future__ import annotations

import contextlib
import os

NAME = "tmp/reserve"
LENGTH = 4 << 20  # bytes: a generation of 100,000 packs
ROOM_MIN = 16 * LENGTH  # bytes; with less left, the space is worth more to the user than to us


def use(root_fd: int) -> None:
    """Remove the file. Best effort: then the put fails again, and says why."""
    with contextlib.suppress(OSError):
        os.unlink(NAME, dir_fd=root_fd)


def keep(root_fd: int) -> None:
    """Make the file if it is not there and there is room enough. Best effort."""
    with contextlib.suppress(OSError):
        status = os.fstatvfs(root_fd)
        if status.f_bavail * status.f_frsize < ROOM_MIN:
            return
        fd = os.open(NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=root_fd)
        try:
            os.posix_fallocate(fd, 0, LENGTH)
        except OSError:
            os.unlink(NAME, dir_fd=root_fd)
        finally:
            os.close(fd)
