"""``bork version``: the version of the client and of the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import bork
from bork.cli.options import Command, Positional
from bork.errors import NotAvailable

if TYPE_CHECKING:
    from bork.cli.invocation import Invocation

COMMAND = Command(
    "version",
    "Display the version of the client and of the server",
    (Positional("location", "REPOSITORY", "repository", "repository; a local one is served by this program", "?"),),
    epilog='The versions are those of Borg that are spoken; "bork --version" shows the one of Bork, too.',
)


def run(invocation: Invocation) -> None:
    has_repository = invocation.values.optional("location") or invocation.environment.get("REPO")
    location = invocation.location() if has_repository else None
    if location is not None and not location.is_local:
        raise NotAvailable(f"The version of a server ({location.canonical()})")
    invocation.console.result(f"{bork.BORG_VERSION} / {bork.BORG_VERSION}\n")
