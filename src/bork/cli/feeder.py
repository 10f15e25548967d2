"""The command of ``--content-from-command`` and ``--paths-from-command``: its stdout feeds a backup.

The archive exists only if the command ends with status 0: ``finish`` is to be called before the commit.
"""

from __future__ import annotations

import os
import signal
import subprocess
from types import TracebackType
from typing import Self

from bork.cli.environment import for_others
from bork.errors import CommandError


def _ignore_interrupt() -> None:
    """Ctrl-C goes to the whole foreground group; it is for us to end the command."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class Feeder:
    """A running command, as a context manager: it never outlives the backup."""

    def __init__(self, words: list[str]) -> None:
        self._words = words
        try:
            self._process = subprocess.Popen(
                words,
                stdout=subprocess.PIPE,
                env=for_others(),
                preexec_fn=_ignore_interrupt,  # noqa: PLW1509 (no engine, and so no thread, has been started yet)
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise CommandError(f"Failed to execute command {words[0]!r}: {reason}") from None

    @property
    def descriptor(self) -> int:
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def finish(self) -> None:
        """Wait for the end. Raises CommandError unless it is a good one."""
        code = self._process.wait()
        if code < 0:
            raise CommandError(f"Command {self._words[0]!r} was killed by signal {-code}")
        if code:
            raise CommandError(f"Command {self._words[0]!r} exited with status {code}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdout is not None
        self._process.stdout.close()
        if self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
