"""Ctrl-C, SIGTERM and SIGHUP: one line, exit code 128+N, and never a traceback.

A signal raises ``Interrupted`` wherever the command is. Nothing that is on disk at that moment is harmed, for an
archive exists only when its head does. A second signal ends the process at once.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import FrameType, TracebackType

MESSAGES = {
    signal.SIGINT: ("Keyboard interrupt", None),
    signal.SIGTERM: ("Received SIGTERM", "Signal.SIGTERM"),
    signal.SIGHUP: ("Received SIGHUP.", "Signal.SIGHUP"),
}
RAISE_AGAIN_S = 0.001
ECHO_S = 0.5  # within which a signal that comes once more is the same one; far longer than a busy machine needs


class Interrupted(KeyboardInterrupt):
    """A signal has arrived. Not an ``Exception``, so that nobody swallows it on its way up."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Signals:
    """Handlers of one command, as a context manager. ``received``: the number of the signal that came, or 0.

    ``has_echo``: the stand-alone executable of one file. What a terminal sends comes to us and to the boot loader, our
    parent, which passes it on: that is one signal, and not the second one that means "at once".
    """

    def __init__(self, *, is_process: bool, has_echo: bool = False) -> None:
        self._is_process = is_process
        self._echo_s = ECHO_S if has_echo else 0.0
        self._received_at = 0.0
        self._previous: dict[int, object] = {}
        self._previous_hook = sys.unraisablehook
        self.received = 0

    def __enter__(self) -> Self:
        sys.unraisablehook = self._unraisable
        for number in MESSAGES:
            try:
                # A shell that starts us in the background has SIGINT ignored, nohup has SIGHUP ignored: leave it so.
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, self._handle)
            except ValueError:
                break  # not the main thread: somebody who embeds us has own handlers
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, previous in self._previous.items():
            # The exit code is decided: a signal while Python shuts down must not spoil it with a traceback.
            restored = signal.SIG_IGN if self._is_process else previous
            signal.signal(number, restored)  # type: ignore[arg-type]  # what getsignal() gave is what signal() takes
        sys.unraisablehook = self._previous_hook

    def is_cancelled(self) -> bool:
        return self.received != 0

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            if number == self.received and time.monotonic() - self._received_at < self._echo_s:
                return
            os.write(2, b"Terminated at once by a second signal.\n")
            os._exit(128 + number)
        self.received, self._received_at = number, time.monotonic()
        raise Interrupted(number)

    def _unraisable(self, unraisable: sys.UnraisableHookArgs) -> None:
        """Python runs some code where nothing can be raised (weak references, ``__del__``): raise it a little later."""
        if not isinstance(unraisable.exc_value, Interrupted):
            self._previous_hook(unraisable)
            return
        signal.signal(signal.SIGALRM, self._raise_again)
        signal.setitimer(signal.ITIMER_REAL, RAISE_AGAIN_S)

    def _raise_again(self, number: int, frame: FrameType | None) -> None:
        raise Interrupted(self.received)
