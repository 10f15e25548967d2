"""The way in: ``main()`` is the program ``bork``.

It does nothing but answer ``--version``, for which it imports nothing, and hand everything else to ``execute.py``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import bork


def main(argv: Sequence[str] | None = None, *, has_echo: bool = False) -> int:
    """Run one command line, without the name of the program; by default that of the process. The exit code.

    ``has_echo``: a signal may come twice, for a parent process passes on what a terminal sends to both.
    """
    try:
        return _main(argv, has_echo=has_echo)
    except KeyboardInterrupt as interrupt:
        # Only while modules are still being imported.
        number = int(getattr(interrupt, "number", 2))
        os.write(2, {1: b"Received SIGHUP.\n", 15: b"Received SIGTERM\n"}.get(number, b"Keyboard interrupt\n"))
        return 128 + number


def _main(argv: Sequence[str] | None, *, has_echo: bool) -> int:
    _occupy_closed_descriptors()
    argv0 = sys.argv[0] if argv is None else "bork"
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] in (["-V"], ["--version"]):
        return print_version(os.path.basename(argv0))
    from bork.cli.signals import Signals  # late: --version needs none of it

    with Signals(is_process=argv is None, has_echo=has_echo) as signals:
        from bork.cli.execute import execute

        return execute(argv0, words, signals)


def _occupy_closed_descriptors() -> None:
    """What is opened next must not become somebody's stdin or stdout. Reading and writing them fails as before."""
    for descriptor, way in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_RDONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, way)  # the lowest that is free


def print_version(program: str) -> int:
    """One line, whose second word is the version of Borg that programs around Borg look for."""
    name = "borg" if program == "borg" else "bork"
    try:
        os.write(1, f"{name} {bork.BORG_VERSION} (Bork {bork.__version__})\n".encode())
    except OSError:
        return 2
    return 0
