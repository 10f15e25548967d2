"""Write a whole buffer into a new file, past the page cache where the file system allows it.

A pack is written once and not read soon: through the page cache it would cost an extra copy and push out what the user
has there. Direct I/O wants page-aligned memory and whole pages, so the part that is not a whole page, and everything
that the file system refuses to take directly, goes the ordinary way. See docs/performance.md.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from bork.storage.filesystem import Directory

PAGE_LENGTH = 4096  # bytes; no file system asks for more
DIRECT_LENGTH_MIN = 1 << 20  # bytes; below that the page cache is as fast, and a small object may be read again soon


def write_whole(root: Directory, fd: int, data: Buffer) -> None:
    """Write ``data`` at the start of the empty file ``fd``. It is not durable yet.

    Raises: OSError; then the file holds an unknown part of ``data``.
    """
    view = memoryview(data).cast("B")
    pages_end = len(view) & ~(PAGE_LENGTH - 1)
    direct = len(view) >= DIRECT_LENGTH_MIN and _set_direct(root, fd, on=True)
    written = 0
    while written < len(view):
        if direct and (written == pages_end or written % PAGE_LENGTH):
            direct = _set_direct(root, fd, on=False)
        try:
            count = root.write(fd, view[written:pages_end] if direct else view[written:])
        except OSError as fault:
            if not direct or fault.errno != errno.EINVAL:
                raise
            direct = _set_direct(root, fd, on=False)  # memory or length is not aligned as this file system wants it
            continue
        if count == 0:  # no kernel should do that; waiting for it to change its mind would take forever
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        written += count


def _set_direct(root: Directory, fd: int, *, on: bool) -> bool:
    """Switch direct I/O; the result says if it is on now. Refusing to switch it on is no error."""
    flags = root.get_flags(fd)
    wanted = flags | os.O_DIRECT if on else flags & ~os.O_DIRECT
    try:
        root.set_flags(fd, wanted)
    except OSError:
        if not on:
            raise
        return False
    return on
