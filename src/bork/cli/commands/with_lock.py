"""``bork with-lock``: run another program while nobody changes the repository."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from bork.cli.environment import for_others
from bork.cli.exit_codes import of_signal
from bork.cli.options import Command, Positional
from bork.errors import CommandError

if TYPE_CHECKING:
    from bork.cli.invocation import Invocation

COMMAND = Command(
    "with-lock",
    "Run a user specified command with the repository lock held",
    (
        Positional("location", "REPOSITORY", "repository", "repository to lock"),
        Positional("command", "COMMAND", "text", "command to run"),
        Positional("args", "ARGS", "text", "command arguments", "*"),
    ),
    epilog="""\
What follows COMMAND belongs to it, options included. The exit code is that of COMMAND. A command of Bork that changes
the same repository would wait for this one, and fail.""",
    verbatim_behind="command",
)

GRACE_S = 5  # for the program to end after SIGTERM


def run(invocation: Invocation) -> None:
    given = invocation.values
    words = [given.text("command"), *given.texts("args")]
    if not words[0]:
        invocation.fail("argument COMMAND: it is empty")
    access = invocation.access(invocation.location())
    from bork.operations import with_lock  # late: a bad command line is answered without the engine

    with with_lock.run(access):
        code = _call(words)
    invocation.exit_code = of_signal(-code) if code < 0 else code


def _call(words: list[str]) -> int:
    """The exit code of a program, which does not outlive us; negative: the signal that has ended it."""
    try:
        process = subprocess.Popen(words, env=for_others())
    except (OSError, ValueError) as error:
        raise CommandError(f"Error while trying to run '{words[0]}': {error}") from None
    try:
        return process.wait()
    except BaseException:
        process.terminate()
        try:
            process.wait(timeout=GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise
