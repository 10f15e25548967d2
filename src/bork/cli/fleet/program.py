"""How this process starts others of its kind."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bork.cli.invocation import Invocation


def words(invocation: Invocation) -> list[str]:
    """The words in front of a command: the program as it was started itself, and its level of talk."""
    levels = [f"--{level}" for level in ("info", "debug") if invocation.console.shows(level)][-1:]
    return [*_program(invocation.argv[0]), *levels]


def _program(argv0: str) -> list[str]:
    if os.path.basename(argv0) == "__main__.py":
        return [sys.executable, "-m", "bork"]
    found = shutil.which(argv0)
    return [os.path.abspath(found)] if found else [sys.executable, "-m", "bork"]


def rsh(invocation: Invocation) -> str:
    """The command that connects to hosts."""
    return invocation.values.optional("rsh") or invocation.environment.get("RSH") or "ssh"
