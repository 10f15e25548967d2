"""``bork key change-passphrase``: protect the key of a repository by another passphrase."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bork.cli.options import Command, Positional

if TYPE_CHECKING:
    from bork.cli.invocation import Invocation

COMMAND = Command(
    "key change-passphrase",
    "Change the passphrase of the repository key",
    (Positional("location", "REPOSITORY", "repository", "repository whose passphrase is changed", "?"),),
    epilog="""\
BORK_PASSPHRASE and its relatives give the present passphrase, BORK_NEW_PASSPHRASE the new one; otherwise you are asked.
The data is not encrypted anew: who knows an old passphrase and has an old copy of the key still has access.""",
)


def run(invocation: Invocation) -> None:
    access = invocation.access(invocation.location())
    from bork.operations import key  # late: a bad command line is answered without the engine

    where = key.change_passphrase(access)
    invocation.console.log("info", "Key updated")
    invocation.console.log("info", f"Key location: {where}")
