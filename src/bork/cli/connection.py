"""Standard input and output as a connection to another Bork."""

from __future__ import annotations

import os
import stat
import sys


def take_streams() -> tuple[int, int]:
    """The descriptors to read and to write. They are nobody else's: what is printed by mistake goes to stderr, and
    who asks a question gets no answer.

    Where stderr is the connection, too (an inetd, a unit without ``StandardError=``), what would go there is dropped:
    a line of the log amidst messages would end the session. The client is told of errors in messages of its own.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    read_fd, write_fd = os.dup(0), os.dup(1)
    if stat.S_ISSOCK(os.fstat(2).st_mode) and os.path.sameopenfile(1, 2):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        os.close(null)
    nothing, unused = os.pipe()  # and not /dev/null: a chroot may have none
    os.close(unused)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return read_fd, write_fd
