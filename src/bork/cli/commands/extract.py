"""``bork extract``: write the items of an archive into the current directory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bork.cli.options import (
    NOBSDFLAGS_DEPRECATED,
    NUMERIC_OWNER_DEPRECATED,
    STRIP_COMPONENTS,
    Command,
    Option,
    Positional,
    exclusion_group,
)

if TYPE_CHECKING:
    from bork.cli.invocation import Invocation

COMMAND = Command(
    "extract",
    "Extract archive contents",
    (
        Positional("location", "ARCHIVE", "archive", "archive to extract"),
        Positional("paths", "PATH", "path", "paths to extract; patterns are supported", "*"),
    ),
    (
        Option(
            ("--root",),
            "root",
            "extract into DIR, a foreign root, whose etc/passwd and etc/group name the owners",
            "DIR",
            once=True,
        ),
        Option(("--list",), "output_list", "output verbose list of items (files, dirs, ...)"),
        Option(("-n", "--dry-run"), "dry_run", "do not actually change any files"),
        Option(
            ("--numeric-owner",),
            "numeric_ids",
            "deprecated, use --numeric-ids instead",
            deprecated=NUMERIC_OWNER_DEPRECATED,
        ),
        Option(("--numeric-ids",), "numeric_ids", "only obey numeric user and group identifiers"),
        Option(("--nobsdflags",), "noflags", "deprecated, use --noflags instead", deprecated=NOBSDFLAGS_DEPRECATED),
        Option(("--noflags",), "noflags", "do not extract/set flags (e.g. NODUMP, IMMUTABLE)"),
        Option(("--noacls",), "noacls", "do not extract/set ACLs"),
        Option(("--noxattrs",), "noxattrs", "do not extract/set xattrs"),
        Option(("--stdout",), "stdout", "write all extracted data to stdout"),
        Option(("--sparse",), "sparse", "create holes in output sparse file from all-zero chunks"),
    ),
    (exclusion_group(STRIP_COMPONENTS),),
    may_bypass_lock=True,
    epilog="""\
Everything is written below the current directory, or that of --root; no archive can write outside of it. PATH is a
path prefix (pp:) unless it names another style, see "bork help patterns". A PATH that matches nothing is reported: exit
code 1.""",
)


def run(invocation: Invocation) -> None:
    given = invocation.values
    root = given.optional("root")
    if root is not None and given.flag("stdout"):
        invocation.fail("--root and --stdout exclude each other")
    location = invocation.location()
    assert location.archive is not None
    patterns, paths = tuple(invocation.rules.patterns), invocation.rules.path_arguments(invocation.paths())
    access = invocation.access(location)
    from bork.operations import extract  # late: a bad command line is answered without the engine
    from bork.operations.selection import ArchiveName, ItemLines

    options = extract.ExtractOptions(
        patterns=patterns,
        paths=paths,
        target=os.curdir if root is None else root,
        foreign=root is not None,
        to="nowhere" if given.flag("dry_run") else "stdout" if given.flag("stdout") else "files",
        strip_components=given.number("strip_components"),
        sparse=given.flag("sparse"),
        numeric_ids=given.flag("numeric_ids"),
        noflags=given.flag("noflags"),
        noacls=given.flag("noacls"),
        noxattrs=given.flag("noxattrs"),
        lines=ItemLines() if given.flag("output_list") else None,
        progress=given.flag("progress"),
    )
    extract.run(access, ArchiveName(location.archive), options, invocation.sink(lines_to=invocation.console.log_paths))
