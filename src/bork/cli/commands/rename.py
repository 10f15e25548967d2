"""``bork rename``: give an archive another name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bork.cli.location import is_archive_name
from bork.cli.options import Command, Positional

if TYPE_CHECKING:
    from bork.cli.invocation import Invocation

COMMAND = Command(
    "rename",
    "Rename an existing archive",
    (
        Positional("location", "ARCHIVE", "archive", "archive to rename"),
        Positional("name", "NEWNAME", "text", "the new archive name to use"),
    ),
    epilog="The fingerprint of the archive changes with its name; nothing else does.",
)


def run(invocation: Invocation) -> None:
    location = invocation.location()
    new = invocation.expanded("name") or ""
    if not is_archive_name(new):
        invocation.fail(f'argument NEWNAME: Invalid archive name: "{new}"')
    access = invocation.access(location)
    from bork.operations import rename  # late: a bad command line is answered without the engine
    from bork.operations.selection import ArchiveName

    rename.run(access, ArchiveName(location.archive or ""), ArchiveName(new))
