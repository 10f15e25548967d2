"""``bork export-tar``: the items of an archive as a tar file or stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from bork.cli.options import STRIP_COMPONENTS, Command, Option, Positional, exclusion_group
from bork.cli.tar_files import FILTERS_HELP, TAR_FILTER, TarOutput, filter_for

if TYPE_CHECKING:
    from bork.cli.invocation import Invocation
    from bork.operations.export_tar import TarFormat

COMMAND = Command(
    "export-tar",
    "Export archive contents as a tarball",
    (
        Positional("location", "ARCHIVE", "archive", "archive to export"),
        Positional("tarfile", "FILE", "path", 'output tar file. "-" to write to stdout instead.'),
        Positional("paths", "PATH", "path", "paths to extract; patterns are supported", "*"),
    ),
    (
        TAR_FILTER,
        Option(("--list",), "output_list", "output verbose list of items (files, dirs, ...)"),
        Option(
            ("--tar-format",),
            "tar_format",
            "select tar format: GNU (default), PAX or BORG",
            "FMT",
            None,
            "GNU",
            ("GNU", "PAX", "BORG"),
        ),
    ),
    (exclusion_group(STRIP_COMPONENTS),),
    may_bypass_lock=True,
    epilog=f"""\
When giving '-' as the output FILE, Bork will write a tar stream to standard output.

By default (--tar-filter=auto) Bork will detect whether the FILE should be compressed based on its file extension and
pipe the tarball through an appropriate filter before writing it to FILE:

{FILTERS_HELP.replace("@", "")}

Alternatively, a --tar-filter program may be explicitly specified. It should read the uncompressed tar stream from
stdin and write a compressed/filtered tar stream to stdout.

GNU      permissions, owners, times in whole seconds, links, devices, holes: what every tar can read
PAX      also times in nanoseconds, extended attributes, ACLs and file flags
BORG     also everything else that import-tar needs to make the same archive again

A stream is complete only if it ends with two blocks of zeros; they are written after all else has succeeded.""",
)


def run(invocation: Invocation) -> None:
    given = invocation.values
    location = invocation.location()
    assert location.archive is not None
    path = given.text("tarfile")
    patterns, paths = tuple(invocation.rules.patterns), invocation.rules.path_arguments(invocation.paths())
    command = filter_for(given.text("tar_filter"), path, decompress=False)
    access = invocation.access(location)
    from bork.operations import export_tar  # late: a bad command line is answered without the engine
    from bork.operations.selection import ArchiveName, ItemLines

    options = export_tar.ExportTarOptions(
        tar_format=cast("TarFormat", given.text("tar_format")),
        patterns=patterns,
        paths=paths,
        strip_components=given.number("strip_components"),
        lines=ItemLines() if given.flag("output_list") else None,
        progress=given.flag("progress"),
    )
    with TarOutput(path, command, invocation.console.out) as output:
        sink = invocation.sink(lines_to=invocation.console.log_paths, data_to=output.write)
        export_tar.run(access, ArchiveName(location.archive), options, sink)
        output.finish()
