"""``bork key export``: a copy of the key, for a safe place."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bork.cli.options import Command, Option, Positional
from bork.errors import CommandError

if TYPE_CHECKING:
    from bork.cli.invocation import Invocation

COMMAND = Command(
    "key export",
    "Export the repository key for backup",
    (
        Positional("location", "REPOSITORY", "repository", "repository whose key is exported", "?"),
        Positional("path", "PATH", "path", "where to store the backup (default: stdout)", "?"),
    ),
    (
        Option(("--paper",), "paper", "create an export suitable for printing and later type-in"),
        Option(("--qr-html",), "qr_html", "create an html file suitable for printing and later type-in or qr scan"),
    ),
    epilog="The passphrase is not part of it: it takes both, the key and the passphrase, to open the repository.",
)


def run(invocation: Invocation) -> None:
    given = invocation.values
    if given.flag("paper") and given.flag("qr_html"):
        invocation.fail("--paper and --qr-html exclude each other")
    location = invocation.location()
    path = given.optional("path")
    if path == "":
        invocation.fail("argument PATH: Empty strings are not accepted as paths.")
    access = invocation.access(location)
    from bork.operations import key  # late: a bad command line is answered without the engine

    if path is not None and os.path.isdir(path):
        raise CommandError(f"'{path}' must be a file, not a directory")
    to_stdout = path is None or path == "-"
    style: key.KeyStyle = "paper" if given.flag("paper") else "qr-html" if given.flag("qr_html") else "file"
    text = key.export(access, None if to_stdout else path, style)
    if to_stdout:
        invocation.console.result(text)
