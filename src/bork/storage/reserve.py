"""A file that takes space for the day when the medium is full: without it, not even deleting would be possible.

What a compaction writes before it can free anything is small: a session, a generation, an index. The file is removed
when such a put meets a full medium, and made again when there is room.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bork.storage.filesystem import Directory

NAME = "tmp/reserve"
LENGTH = 4 << 20  # bytes: a generation of 100,000 packs
ROOM_MIN = 16 * LENGTH  # bytes; with less left, the space is worth more to the user than to us


def use(root: Directory) -> None:
    """Remove the file. Best effort: then the put fails again, and says why."""
    with contextlib.suppress(OSError):
        root.unlink(NAME)


def keep(root: Directory) -> None:
    """Make the file, if there is room enough, or make it whole: a crash can have left an empty one. Best effort."""
    with contextlib.suppress(OSError):
        if root.free_bytes() < ROOM_MIN:
            return
        fd = root.open(NAME, os.O_WRONLY | os.O_CREAT)
        try:
            if root.fstat(fd).st_size < LENGTH:
                root.allocate(fd, LENGTH)
        except OSError:
            root.unlink(NAME)
        finally:
            root.close(fd)
