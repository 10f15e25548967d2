"""``bork list``: the archives of a repository, or the items of an archive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bork.cli import formats
from bork.cli.archive_values import ArchiveValues
from bork.cli.options import Command, Option, Positional, archive_filters_group, exclusion_group
from bork.errors import CommandError

if TYPE_CHECKING:
    from bork.cli.invocation import Invocation
    from bork.cli.location import Location

COMMAND = Command(
    "list",
    "List archive or repository contents",
    (
        Positional("location", "REPOSITORY_OR_ARCHIVE", "either", "repository or archive to list contents of", "?"),
        Positional("paths", "PATH", "path", "paths to list; patterns are supported", "*"),
    ),
    (
        Option(
            ("--consider-checkpoints",),
            "consider_checkpoints",
            "show checkpoint archives in the repository contents list (default: hidden)",
        ),
        Option(("--short",), "short", "only print file/directory names, nothing else"),
        Option(
            ("--format",),
            "format",
            f'specify format for file or archive listing (default for files: "{formats.ITEMS_DEFAULT}"; '
            f'for archives: "{formats.ARCHIVES_DEFAULT}")',
            "FORMAT",
        ),
        Option(
            ("--json",),
            "json",
            "only valid for listing repository contents: format output as JSON; the form of --format is ignored, "
            "but keys used in it are added to the JSON output",
        ),
        Option(
            ("--json-lines",),
            "json_lines",
            "only valid for listing archive contents: format output as JSON Lines; the form of --format is ignored, "
            "but keys used in it are added to the JSON output",
        ),
    ),
    (archive_filters_group(), exclusion_group()),
    may_bypass_lock=True,
    epilog="""\
FORMAT is a Python format string:

  {KEY:NUMBER}   pad to NUMBER columns; text is left-aligned, numbers are right-aligned
  {KEY:<NUMBER}  pad, left-aligned
  {KEY:>NUMBER}  pad, right-aligned
  {time:%Y-%m}   times take the format of strftime

"""
    + formats.keys_help(),
)


def run(invocation: Invocation) -> None:
    given = invocation.values
    location = invocation.location()
    if location.archive:
        if given.flag("json"):
            raise CommandError("The --json option is only valid for listing archives, not archive contents.")
        _list_items(invocation, location, location.archive)
    else:
        if given.flag("json_lines"):
            raise CommandError("The --json-lines option is only valid for listing archive contents, not archives.")
        _list_archives(invocation, location)


def _list_items(invocation: Invocation, location: Location, name: str) -> None:
    given = invocation.values
    json_lines = given.flag("json_lines")
    text = formats.for_items(_format(invocation, formats.ITEMS_SHORT, formats.ITEMS_DEFAULT), json_lines=json_lines)
    patterns, paths = tuple(invocation.rules.patterns), invocation.rules.path_arguments(invocation.paths())
    access = invocation.access(location)
    from bork.operations import list as operation  # late: a bad command line is answered without the engine
    from bork.operations.selection import ArchiveName

    # A PATH that matches nothing makes an empty list: who searches many archives expects that, and so does Borg.
    sink = invocation.sink(lines_to=invocation.console.out.write, ignored_problems=frozenset(("never_matched",)))
    options = operation.ListOptions(format=text, json_lines=json_lines, patterns=patterns, paths=paths)
    operation.items(access, ArchiveName(name), options, sink)


def _list_archives(invocation: Invocation, location: Location) -> None:
    text = _format(invocation, formats.ARCHIVES_SHORT, formats.ARCHIVES_DEFAULT)
    as_json = invocation.values.flag("json")
    if not as_json:
        formats.require_known(text, formats.ARCHIVE_KEYS)
    access = invocation.access(location)
    from bork.operations import list as operation  # late: a bad command line is answered without the engine

    listing = operation.archives(access, invocation.archive_filter())
    console = invocation.console
    if as_json:
        from bork.cli import report

        keys = formats.keys_of(text)
        document = report.repository_json(
            listing.repository_id.hex(),
            listing.location,
            listing.last_modified_ns,
            listing.encryption,
            listing.key_location,
        )
        document["archives"] = [ArchiveValues(entry).as_json(keys) for entry in listing.archives]
        console.result_json(document, invocation.environment.json_indent())
    else:
        for entry in listing.archives:
            console.result_verbatim(formats.render(text, ArchiveValues(entry)))
    invocation.report_damage(listing.damaged)


def _format(invocation: Invocation, short: str, default: str) -> str:
    given = invocation.values.optional("format")
    if given is not None:
        return given
    return short if invocation.values.flag("short") else default
