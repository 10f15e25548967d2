"""A connection that somebody else has made: two descriptors, with ``bork serve`` at their other end.

So it is at the client of a pull: the server has started us by ssh, and our standard streams lead back to it. There is
no process to end and nothing to hear; what the other end has to say it says on its own side.
"""

from __future__ import annotations

import os


class Inherited:
    """In the place of a ``Child``. ``end`` closes the descriptors."""

    stderr: int | None = None

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self.stdin, self.stdout = write_fd, read_fd  # as the other end sees them
        self._has_input = True

    def listen(self) -> None:
        """There is nothing to hear."""

    def linger(self) -> None:
        """Nor anything to wait for."""

    def ended_because(self) -> str:
        return "the server that pulls has closed it"

    def close_input(self) -> None:
        """As ``Child.close_input``."""
        if self._has_input:
            self._has_input = False
            os.close(self.stdin)

    def end(self) -> None:
        self.close_input()
        os.close(self.stdout)
