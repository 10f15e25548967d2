"""``bork break-lock``: end the sessions of others in a repository."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bork.cli.options import Command, Positional

if TYPE_CHECKING:
    from bork.cli.invocation import Invocation

COMMAND = Command(
    "break-lock",
    "Break the repository lock (e.g. in case it was left by a dead Bork)",
    (Positional("location", "REPOSITORY", "repository", "repository for which to break the locks", "?"),),
    epilog="""\
On a local disk this is never needed: a lock ends with its process. Use it with care, and only when no Bork is at work:
what a command that is broken like this was about to commit is refused.""",
)


def run(invocation: Invocation) -> None:
    access = invocation.access(invocation.location())
    from bork.operations import break_lock  # late: a bad command line is answered without the engine

    for seen in break_lock.run(access):
        state = "" if seen.is_certain else ", if it still lives"
        invocation.console.log("info", f"Broke the lock of: {seen.record}{state}.")
