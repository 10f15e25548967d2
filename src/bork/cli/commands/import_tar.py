"""``bork import-tar``: make an archive of a tar file or stream."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

from bork.cli import created, values
from bork.cli.create_options import ARCHIVE, OUTCOME
from bork.cli.options import Command, Group, Option, Positional
from bork.cli.tar_files import FILTERS_HELP, TAR_FILTER, TarInput, filter_for
from bork.errors import TarInvalid

if TYPE_CHECKING:
    from datetime import datetime

    from bork.cli.invocation import Invocation
    from bork.operations.import_tar import ImportTarOptions

COMMAND = Command(
    "import-tar",
    "Create a backup archive from a tarball",
    (
        Positional("location", "ARCHIVE", "archive", "name of archive to create (must be also a valid directory name)"),
        Positional("tarfile", "TARFILE", "path", 'input tar file. "-" to read from stdin instead.'),
    ),
    (
        TAR_FILTER,
        *OUTCOME,
        Option(("--ignore-zeros",), "ignore_zeros", "ignore zero-filled blocks in the input tarball"),
    ),
    (Group("Archive options", ARCHIVE),),
    epilog=f"""\
When giving '-' as a path, Bork will read a tar stream from standard input.

By default (--tar-filter=auto) Bork will detect whether the file is compressed based on its file extension and pipe the
file through an appropriate filter:

{FILTERS_HELP.replace("@", " -d")}

Alternatively, a --tar-filter program may be explicitly specified. It should read compressed data from stdin and output
an uncompressed tar stream on stdout.

import-tar reads POSIX.1-1988 (ustar), POSIX.1-2001 (pax), GNU tar and UNIX V7 tar, and everything that export-tar
writes. A tar file without the blocks that have to end it is refused.

To import multiple tarballs into a single archive, they can be simply concatenated (e.g. using "cat") into a single
file, and imported with an --ignore-zeros option to skip through the stop markers between them.

Status letters of --list: A file, d directory, s symlink, h hard link, f fifo, b and c devices, E error.""",
)


def run(invocation: Invocation) -> None:
    given = invocation.values
    if given.flag("stats") and given.flag("quick_stats"):
        invocation.fail("--stats and --quick-stats are mutually exclusive")
    now = cast("datetime | None", given.get("timestamp"))
    location = invocation.location(now=now)
    assert location.archive is not None
    path = given.text("tarfile")
    access = invocation.access(location)
    with TarInput(path, filter_for(given.text("tar_filter"), path, decompress=True)) as tar:
        options = _options(invocation, location.archive, now, tar)
        from bork.operations import import_tar  # late: a bad command line is answered without the engine

        try:
            outcome = import_tar.run(access, options, invocation.sink())
        except TarInvalid:
            tar.blame_filter()
            raise
    created.show(invocation, access, outcome)


def _options(invocation: Invocation, name: str, now: datetime | None, tar: TarInput) -> ImportTarOptions:
    # Late: with the engine, see run.
    from bork.operations.create import Compression
    from bork.operations.import_tar import ImportTarOptions
    from bork.operations.selection import ArchiveName

    given = invocation.values
    path = given.text("tarfile")
    return ImportTarOptions(
        archive=ArchiveName(name),
        fd=tar.descriptor,
        name=os.fsencode("standard input" if path == "-" else path),
        hostname=invocation.environment.hostname(),
        username=invocation.environment.username(),
        cwd=created.working_directory(),
        command_line=invocation.argv,
        comment=invocation.expanded("comment") or "",
        timestamp_ns=None if now is None else int(now.timestamp()) * 1_000_000_000,
        before_commit=tar.finish,
        lines=invocation.item_lines(),
        ignore_zeros=given.flag("ignore_zeros"),
        compression=Compression(*cast("tuple[Any, ...]", given["compression"])),
        **created.chunker(cast("values.Gear | values.Fixed | None", given.get("chunker_params"))),
    )
