"""End with the connection. A process behind ssh is told nothing when the other end goes away: it has to look.

An engine that reads for long and finds nothing new says nothing to the server either, and would notice only then.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bork.cli.signals import Signals

GRACE_S = 2.0  # that the command gets to notice by itself and say what it has to
END_S = 10.0  # that it gets to end after the signal; it may hang in a file system that does not answer


@contextlib.contextmanager
def watch(read_fd: int, write_fd: int, signals: Signals) -> Iterator[None]:
    """While it is open, the process ends soon after the other end of the two descriptors is gone."""
    wake_read, wake_write = os.pipe2(os.O_CLOEXEC)
    streams = os.dup(read_fd), os.dup(write_fd)  # the command closes its own
    thread = threading.Thread(target=_watch, args=(*streams, wake_read, signals), daemon=True)
    thread.start()
    try:
        yield
    finally:
        os.close(wake_write)
        thread.join()
        for fd in (*streams, wake_read):
            os.close(fd)


def _watch(read_fd: int, write_fd: int, wake_fd: int, signals: Signals) -> None:
    poll = select.poll()
    for fd in (read_fd, write_fd, wake_fd):
        poll.register(fd, 0)  # only that it has been closed
    if any(fd == wake_fd for fd, _ in poll.poll()):
        return
    if _waited(wake_fd, GRACE_S):
        return
    if not signals.received:
        os.kill(os.getpid(), signal.SIGHUP)
    if not _waited(wake_fd, END_S):
        os._exit(128 + signal.SIGHUP)


def _waited(wake_fd: int, seconds: float) -> bool:
    """Whether the command has ended meanwhile."""
    poll = select.poll()
    poll.register(wake_fd, 0)
    return bool(poll.poll(round(1000 * seconds)))
