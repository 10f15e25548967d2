"""``bork diff``: what differs between two archives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bork.cli import values
from bork.cli.location import is_archive_name
from bork.cli.options import NUMERIC_OWNER_DEPRECATED, Command, Option, Positional, exclusion_group

if TYPE_CHECKING:
    from bork.cli.invocation import Invocation
    from bork.operations.diff import SortKey

COMMAND = Command(
    "diff",
    "Find differences between two archives",
    (
        Positional("location", "REPO::ARCHIVE1", "archive", "repository location and ARCHIVE1 name"),
        Positional("archive2", "ARCHIVE2", "text", "ARCHIVE2 name (no repository location allowed)"),
        Positional(
            "paths", "PATH", "path", "paths of items inside the archives to compare; patterns are supported", "*"
        ),
    ),
    (
        Option(
            ("--numeric-owner",),
            "numeric_ids",
            "deprecated, use --numeric-ids instead",
            deprecated=NUMERIC_OWNER_DEPRECATED,
        ),
        Option(("--numeric-ids",), "numeric_ids", "only consider numeric user and group identifiers"),
        Option(("--same-chunker-params",), "same_chunker_params", "override the check of chunker parameters"),
        Option(
            ("--sort",),
            "sort",
            "sort the output by path (deprecated, use --sort-by=path)",
            deprecated='Use "--sort-by=path" instead.',
        ),
        Option(
            ("--sort-by",),
            "sort_by",
            "sort by one or more fields, separated by commas; > in front of a field for descending, "
            "< for ascending (default)",
            "FIELDS",
            values.diff_sort_fields,
            once=True,
        ),
        Option(
            ("--content-only",), "content_only", "only compare differences in content (exclude metadata differences)"
        ),
        Option(("--json-lines",), "json_lines", "format output as JSON Lines"),
    ),
    (exclusion_group(),),
    may_bypass_lock=True,
    epilog="""\
One line for each path that differs: what has changed, and the path. Both archives are in the same repository. Content
is compared by chunks if both archives were made with the same --chunker-params, and else read and compared.

FIELDS of --sort-by:

  path                      the path
  size_added, size_removed  bytes of content that came and went
  size_diff                 the difference of those two
  size                      size in ARCHIVE2, 0 for what was removed
  user, group, uid, gid     owner in ARCHIVE2
  ctime, mtime              times in ARCHIVE2
  ctime_diff, mtime_diff    time in ARCHIVE2 less that in ARCHIVE1

Sorting needs memory for all lines. Without it they come in the order of the archives: depth first.""",
)


def run(invocation: Invocation) -> None:
    given = invocation.values
    location = invocation.location()
    assert location.archive is not None
    second = invocation.expanded("archive2") or ""
    if not is_archive_name(second):
        invocation.fail(f'argument ARCHIVE2: Invalid archive name: "{second}"')
    patterns, paths = tuple(invocation.rules.patterns), invocation.rules.path_arguments(invocation.paths())
    access = invocation.access(location)
    from bork.operations import diff  # late: a bad command line is answered without the engine
    from bork.operations.selection import ArchiveName

    options = diff.DiffOptions(
        patterns=patterns,
        paths=paths,
        numeric_ids=given.flag("numeric_ids"),
        content_only=given.flag("content_only"),
        same_chunker_params=given.flag("same_chunker_params"),
        json_lines=given.flag("json_lines"),
        sort_by=_sort_keys(invocation),
    )
    sink = invocation.sink(lines_to=invocation.console.out.write)
    diff.run(access, ArchiveName(location.archive), ArchiveName(second), options, sink)


def _sort_keys(invocation: Invocation) -> tuple[SortKey, ...]:
    from bork.operations.diff import SortKey  # late: with the operation

    fields = invocation.values["sort_by"] or ((("path", False),) if invocation.values.flag("sort") else ())
    assert isinstance(fields, tuple)
    return tuple(SortKey(field, descending) for field, descending in fields)
