"""``bork key import``: bring a key back."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from bork.cli.options import Command, Option, Positional
from bork.errors import CancelledByUser, CommandError, SourceFault

if TYPE_CHECKING:
    from bork.cli.invocation import Invocation
    from bork.operations.access import Access

KEY_BYTES_MAX = 65536  # a key file has about 350; what is longer is none

COMMAND = Command(
    "key import",
    "Import the repository key from backup",
    (
        Positional("location", "REPOSITORY", "repository", "repository that the key belongs to", "?"),
        Positional("path", "PATH", "path", "path to the backup (- is stdin)", "?"),
    ),
    (Option(("--paper",), "paper", "type in (or pipe in) a backup that was made with --paper"),),
)


def run(invocation: Invocation) -> None:
    given = invocation.values
    path = given.optional("path")
    location = invocation.location()
    if given.flag("paper"):
        if path:
            raise CommandError("with --paper import from file is not supported")
        access = invocation.access(location)
        where = _from_paper(invocation, access)
    else:
        if not path:
            raise CommandError("expected input file to import key from")
        text = _read(path)
        access = invocation.access(location)
        from bork.operations import key  # late: a bad command line is answered without the engine

        where = key.import_(access, text, False, path)
    invocation.console.log("info", f"Key location: {where}")


def _read(path: str) -> str:
    if path != "-" and not os.path.exists(path):
        raise CommandError(f"input file does not exist: {path}")
    try:
        with open(0 if path == "-" else path, "rb", closefd=path != "-") as file:
            return file.read(KEY_BYTES_MAX).decode("utf-8", "replace")
    except OSError as error:
        raise SourceFault(path, error.strerror) from None


def _from_paper(invocation: Invocation, access: Access) -> str:
    """Read a key from the hands of somebody who types it, and say of each line at once if it is right."""
    from bork.operations import key  # late: a bad command line is answered without the engine

    reader = key.paper_reader(access)
    while not reader.complete:
        invocation.console.prompt(reader.prompt)
        typed = sys.stdin.readline()
        if not typed:
            raise CancelledByUser
        if not typed.strip():
            if invocation.questions().ask_again("", "Abort import? [yN]: "):
                raise CancelledByUser
            continue
        try:
            reader.line(typed)
        except ValueError as error:
            invocation.console.talk(f"{error}, try again")
    return key.import_(access, reader.text, True)
