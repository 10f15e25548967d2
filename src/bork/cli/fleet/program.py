"""How this process starts others of its kind."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from typing import TYPE_CHECKING

from bork.errors import CommandError

if TYPE_CHECKING:
    from bork.cli.invocation import Invocation


def words(invocation: Invocation) -> list[str]:
    """The words in front of a command: the program as it was started itself, and its level of talk."""
    levels = [f"--{level}" for level in ("info", "debug") if invocation.console.shows(level)][-1:]
    return [*_program(invocation.argv[0]), *levels]


def _program(argv0: str) -> list[str]:
    if os.path.basename(argv0) == "__main__.py":
        return [sys.executable, "-P", "-m", "bork"]
    found = shutil.which(argv0)
    return [os.path.abspath(found)] if found else [sys.executable, "-P", "-m", "bork"]


def rsh(invocation: Invocation) -> str:
    """The command that connects to hosts. Raises: CommandError, if it cannot be taken apart."""
    text = invocation.rsh()
    try:
        words = shlex.split(text)
    except ValueError:
        words = []
    if not words:
        raise CommandError(f"the command of --rsh or BORK_RSH cannot be understood: {text}")
    return text
