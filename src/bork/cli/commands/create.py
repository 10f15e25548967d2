"""``bork create``: make an archive."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, cast

from bork.cli import created, paths, values
from bork.cli.create_options import CREATE

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Literal

    from bork.cli.feeder import Feeder
    from bork.cli.invocation import Invocation
    from bork.cli.location import Location
    from bork.cli.parser import Values
    from bork.operations.create import CreateOptions

COMMAND = CREATE
NAME_LENGTH_MAX = 1024  # bytes of a user or group in an item: docs/format/item.md


def run(invocation: Invocation) -> None:
    with ExitStack() as stack:
        location, options = prepare(invocation, stack)
        invocation.console.log("info", f'Creating archive at "{location.canonical()}::{location.archive}"')
        access = invocation.access(location)
        from bork.operations import create  # late: a bad command line is answered without the engine

        outcome = create.run(access, options, invocation.sink())
    if outcome.head is not None:
        created.show(invocation, access, outcome)


def prepare(invocation: Invocation, stack: ExitStack | None = None) -> tuple[Location, CreateOptions]:
    """Where the archive is to be, and the options of the operation. ``stack``: of a command that feeds us."""
    _check_combinations(invocation)
    now = cast("datetime | None", invocation.values.get("timestamp"))
    location = invocation.location(now=now)
    assert location.archive is not None
    _ignore_statistics_of_dry_run(invocation)
    feeder = None if stack is None else _feeder(invocation, stack)
    return location, _options(invocation, location.archive, now, feeder)


def _check_combinations(invocation: Invocation) -> None:
    given = invocation.values
    arguments = invocation.paths()
    sources = [
        f"--{dest.replace('_', '-')}"
        for dest in ("content_from_command", "paths_from_stdin", "paths_from_command")
        if given.flag(dest)
    ]
    if len(sources) > 1:
        invocation.fail(f"{' and '.join(sources)} exclude each other")
    if given.flag("stats") and given.flag("quick_stats"):
        invocation.fail("--stats and --quick-stats are mutually exclusive")
    if given.flag("paths_from_stdin") and arguments:
        invocation.fail("Must not pass PATH with --paths-from-stdin")
    if (given.flag("content_from_command") or given.flag("paths_from_command")) and not arguments:
        invocation.fail("No command given")
    if not sources and not arguments and not invocation.rules.roots:
        invocation.fail("Need at least one PATH argument")
    if arguments.count("-") > 1 and not sources:
        invocation.fail("stdin (-) can be read only once")
    reads_stdin = not sources and "-" in invocation.rules.roots + arguments
    if (reads_stdin or given.flag("paths_from_stdin")) and _is_closed(0):
        invocation.fail("stdin is closed")
    if given.flag("content_from_command") or reads_stdin:
        _stdin_name(invocation)


def _is_closed(descriptor: int) -> bool:
    """Whether it was closed when the program began (``<&-``), and is occupied since then."""
    import fcntl  # late: one kind of source

    return fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY


def _ignore_statistics_of_dry_run(invocation: Invocation) -> None:
    """They are not an error with ``--dry-run``, for ease of scripting."""
    for dest, option in (("stats", "--stats"), ("quick_stats", "--quick-stats")):
        if invocation.values.flag("dry_run") and invocation.values.flag(dest):
            invocation.console.log("warning", f"Ignoring {option}. It is not supported when using --dry-run.")


def _feeder(invocation: Invocation, stack: ExitStack) -> Feeder | None:
    """The running command whose output is backed up, or names what is backed up."""
    given = invocation.values
    if not given.flag("paths_from_command") and not given.flag("content_from_command"):
        return None
    if given.flag("dry_run") and given.flag("content_from_command"):
        return None  # it may have effects, and nobody would read what it says
    from bork.cli.feeder import Feeder  # late: subprocess takes 10 ms

    return stack.enter_context(Feeder(invocation.paths()))


def _options(invocation: Invocation, name: str, now: datetime | None, feeder: Feeder | None) -> CreateOptions:
    # Late: with the engine, see run.
    from bork.operations.create import (
        Compression,
        CreateOptions,
        PathList,
        Root,
        StdinSource,
    )
    from bork.operations.selection import ArchiveName

    given = invocation.values
    from_command = given.flag("content_from_command")
    lists_paths = given.flag("paths_from_stdin") or given.flag("paths_from_command")
    arguments = [] if from_command or lists_paths else invocation.rules.roots + invocation.paths()
    root = given.optional("root")
    read = paths.root if root is None else paths.root_inside
    descriptor = feeder.descriptor if feeder is not None else 0
    stdin = None
    if from_command or "-" in arguments:
        user, group = (os.fsencode(given.text(f"stdin_{part}")) for part in ("user", "group"))
        if max(len(user), len(group)) > NAME_LENGTH_MAX:
            invocation.fail(f"--stdin-user and --stdin-group have at most {NAME_LENGTH_MAX} bytes")
        stdin = StdinSource(descriptor, os.fsencode(_stdin_name(invocation)), user, group, given.number("stdin_mode"))
    delimiter = cast("bytes | None", given.get("paths_delimiter"))
    return CreateOptions(
        archive=ArchiveName(name),
        roots=tuple(Root(*read(path)) for path in arguments if path != "-"),
        root=root,
        hostname=invocation.environment.hostname(),
        username=invocation.environment.username(),
        cwd=created.working_directory(),
        command_line=invocation.argv,
        comment=invocation.expanded("comment") or "",
        timestamp_ns=None if now is None else int(now.timestamp()) * 1_000_000_000,
        patterns=tuple(invocation.rules.patterns),
        stdin=stdin,
        path_list=PathList(descriptor, delimiter or b"\n") if lists_paths else None,
        before_commit=None if feeder is None else feeder.finish,
        lines=invocation.item_lines(),
        exclude_if_present=tuple(os.fsencode(tag) for tag in given.texts("exclude_if_present")),
        files_cache=given.optional("files_cache"),
        files_changed=cast("Literal['ctime', 'mtime', 'disabled']", given.text("files_changed")),
        compression=Compression(*cast("tuple[Any, ...]", given["compression"])),
        **created.chunker(cast("values.Gear | values.Fixed | None", given.get("chunker_params"))),
        **_flags(given),
    )


def _stdin_name(invocation: Invocation) -> str:
    name = invocation.values.text("stdin_name")
    try:
        return paths.stdin_name(name)
    except ValueError:
        invocation.fail(f"--stdin-name {name!r}: no file of an archive can be called so")


# Options that an operation has under the same name.
_FLAGS = (
    *("dry_run", "one_file_system", "numeric_ids", "atime", "noctime", "nobirthtime", "noflags", "noacls", "noxattrs"),
    *("sparse", "read_special", "exclude_nodump", "exclude_caches", "keep_exclude_tags"),
)


def _flags(given: Values) -> dict[str, Any]:
    return {flag: given.flag(flag) for flag in _FLAGS}
