"""Standard input and output as a connection to another Bork."""

from __future__ import annotations

import os
import sys


def take_streams() -> tuple[int, int]:
    """The descriptors to read and to write. They are nobody else's: what is printed by mistake goes to stderr, and
    who asks a question gets no answer.
    """
    sys.stdout.flush()
    read_fd, write_fd = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return read_fd, write_fd
