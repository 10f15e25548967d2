"""``bork key export-related-secrets``: for a second repository whose chunks have the same ids."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bork.cli.options import Command, Positional
from bork.errors import CommandError

if TYPE_CHECKING:
    from bork.cli.invocation import Invocation

COMMAND = Command(
    "key export-related-secrets",
    "Export the secrets that a related repository needs",
    (
        Positional("location", "REPOSITORY", "repository", "repository whose secrets are exported", "?"),
        Positional("path", "PATH", "path", "where to store them (default: stdout)", "?"),
    ),
    epilog="""\
"bork init --import-related-secrets PATH" makes a repository in which equal content has equal ids. They are not sealed:
who has them can find out whether a repository holds content that he knows, and can open nothing.""",
)


def run(invocation: Invocation) -> None:
    location = invocation.location()
    path = invocation.values.optional("path")
    if path == "":
        invocation.fail("argument PATH: Empty strings are not accepted as paths.")
    access = invocation.access(location)
    from bork.operations import key  # late: a bad command line is answered without the engine

    if path is not None and os.path.isdir(path):
        raise CommandError(f"'{path}' must be a file, not a directory")
    to_stdout = path is None or path == "-"
    text = key.export_related(access, None if to_stdout else path)
    if to_stdout:
        invocation.console.result(text)
