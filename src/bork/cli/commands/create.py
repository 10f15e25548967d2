"""``bork create``: make an archive."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, cast

from bork.cli import paths, report, values
from bork.cli.options import (
    NOBSDFLAGS_DEPRECATED,
    NUMERIC_OWNER_DEPRECATED,
    TAGS,
    Command,
    Group,
    Option,
    Positional,
    exclusion_group,
)
from bork.cli.output.console import STATS

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Literal

    from bork.cli.feeder import Feeder
    from bork.cli.invocation import Invocation
    from bork.cli.parser import Values
    from bork.operations.access import Access
    from bork.operations.create import CreateOptions, CreateOutcome

_OUTPUT = (
    Option(("-n", "--dry-run"), "dry_run", "do not create a backup archive"),
    Option(("-s", "--stats"), "stats", "print statistics for the created archive"),
    Option(("--quick-stats",), "quick_stats", "print only archive statistics, skipping repository-wide statistics"),
    Option(("--list",), "output_list", "output verbose list of items (files, dirs, ...)"),
    Option(
        ("--filter",),
        "output_filter",
        "only display items with the given status characters (see below)",
        "STATUSCHARS",
        once=True,
    ),
    Option(("--json",), "json", "output stats as JSON; implies --stats"),
    Option(("--no-cache-sync",), "no_cache_sync", "accepted for compatibility: Bork has no cache to synchronize"),
)
_INPUT = (
    Option(
        ("--stdin-name",), "stdin_name", "use NAME in archive for stdin data (default: stdin)", "NAME", None, "stdin"
    ),
    Option(
        ("--stdin-user",), "stdin_user", "set user USER in archive for stdin data (default: root)", "USER", None, "root"
    ),
    Option(
        ("--stdin-group",),
        "stdin_group",
        "set group GROUP in archive for stdin data (default: root)",
        "GROUP",
        None,
        "root",
    ),
    Option(
        ("--stdin-mode",),
        "stdin_mode",
        "set mode to M in archive for stdin data (default: 0660)",
        "M",
        values.octal,
        0o660,
    ),
    Option(
        ("--content-from-command",),
        "content_from_command",
        "interpret PATH as command and store its stdout; no archive is made if it fails",
    ),
    Option(
        ("--paths-from-stdin",),
        "paths_from_stdin",
        "read DELIM-separated list of paths to back up from stdin: these, no more, no less",
    ),
    Option(
        ("--paths-from-command",),
        "paths_from_command",
        "interpret PATH as command and treat its output as --paths-from-stdin",
    ),
    Option(
        ("--paths-delimiter",),
        "paths_delimiter",
        "set path delimiter for --paths-from-stdin and --paths-from-command (default: \\n)",
        "DELIM",
        values.delimiter,
    ),
)
_EXCLUSION = (
    Option(("--exclude-nodump",), "exclude_nodump", "exclude files flagged NODUMP"),
    Option(("--exclude-dataless",), "exclude_dataless", "exclude files flagged DATALESS (only macOS has them)"),
)
_FILE_SYSTEM = (
    Option(("-x", "--one-file-system"), "one_file_system", "stay in the same file system"),
    Option(
        ("--numeric-owner",),
        "numeric_ids",
        "deprecated, use --numeric-ids instead",
        deprecated=NUMERIC_OWNER_DEPRECATED,
    ),
    Option(("--numeric-ids",), "numeric_ids", "only store numeric user and group identifiers"),
    Option(("--noatime",), "noatime", "deprecated, this is the default", deprecated="It is the default now."),
    Option(("--atime",), "atime", "do store atime into archive"),
    Option(("--noctime",), "noctime", "do not store ctime into archive"),
    Option(("--nobirthtime",), "nobirthtime", "do not store birthtime (creation date) into archive"),
    Option(("--nobsdflags",), "noflags", "deprecated, use --noflags instead", deprecated=NOBSDFLAGS_DEPRECATED),
    Option(("--noflags",), "noflags", "do not read and store flags (e.g. NODUMP, IMMUTABLE) into archive"),
    Option(("--noacls",), "noacls", "do not read and store ACLs into archive"),
    Option(("--noxattrs",), "noxattrs", "do not read and store xattrs into archive"),
    Option(("--sparse",), "sparse", "detect sparse holes in input"),
    Option(
        ("--files-cache",),
        "files_cache",
        "how to see that a file is unchanged (default: ctime,size,inode)",
        "MODE",
        values.files_cache_mode,
        "ctime,size,inode",
        once=True,
    ),
    Option(
        ("--files-changed",),
        "files_changed",
        "how to see that a file changes while it is read: ctime (default), mtime or disabled",
        "MODE",
        None,
        "ctime",
        ("ctime", "mtime", "disabled"),
        once=True,
    ),
    Option(("--read-special",), "read_special", "open and read block and char device files as well as FIFOs"),
)
_ARCHIVE = (
    Option(("--comment",), "comment", "add a comment text to the archive", "COMMENT", None, "", expands=True),
    Option(
        ("--timestamp",),
        "timestamp",
        "set the archive's date/time (UTC, yyyy-mm-ddThh:mm:ss), or give a reference file/directory",
        "TIMESTAMP",
        values.timestamp,
    ),
    Option(
        ("-c", "--checkpoint-interval"),
        "checkpoint_interval",
        "accepted for compatibility: what is stored of an interrupted backup is always found again",
        "SECONDS",
        values.integer,
        1800,
    ),
    Option(
        ("--chunker-params",),
        "chunker_params",
        "gear,MIN_EXP,MAX_EXP,AVG_EXP or fixed,BLOCK_SIZE[,HEADER_SIZE] or default",
        "PARAMS",
        values.chunker_params,
        once=True,
    ),
    Option(
        ("-C", "--compression"),
        "compression",
        'select compression algorithm, see "bork help compression" (default: lz4)',
        "COMPRESSION",
        values.compression,
        values.Compression("lz4"),
    ),
)

COMMAND = Command(
    "create",
    "Create a new archive",
    (
        Positional("location", "ARCHIVE", "archive", "name of archive to create (must be also a valid directory name)"),
        Positional("paths", "PATH", "path", "paths to archive; - is stdin", "*"),
    ),
    _OUTPUT + _INPUT,
    (
        exclusion_group(*TAGS, *_EXCLUSION),
        Group("Filesystem options", _FILE_SYSTEM),
        Group("Archive options", _ARCHIVE),
    ),
    epilog="""\
Status letters of --list: A added, M modified, U unchanged, C changed while it was read, E error; d directory,
s symlink, h hard link, f fifo, b and c devices, i stdin; x excluded, - would be backed up (--dry-run).

/a/b/./c/d is read as /a/b/c/d and stored as c/d. Patterns see the unstripped path a/b/c/d.""",
)


def run(invocation: Invocation) -> None:
    given = invocation.values
    _check_combinations(invocation)
    now = cast("datetime | None", given.get("timestamp"))
    location = invocation.location(now=now)
    assert location.archive is not None
    _ignore_statistics_of_dry_run(invocation)
    invocation.console.log("info", f'Creating archive at "{location.canonical()}::{location.archive}"')
    access = invocation.access(location)
    with ExitStack() as stack:
        options = _options(invocation, location.archive, now, _feeder(invocation, stack))
        from bork.operations import create  # late: a bad command line is answered without the engine

        outcome = create.run(access, options, invocation.sink())
    if outcome.head is not None:
        _show_outcome(invocation, access, outcome)


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
    if given.get("paths_delimiter") is not None and not set(sources) & {"--paths-from-stdin", "--paths-from-command"}:
        invocation.fail("--paths-delimiter needs --paths-from-stdin or --paths-from-command")
    if arguments.count("-") > 1 and not sources:
        invocation.fail("stdin (-) can be read only once")


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
    descriptor = feeder.descriptor if feeder is not None else 0
    stdin = None
    if from_command or "-" in arguments:
        name_in_archive, user, group = (os.fsencode(given.text(f"stdin_{part}")) for part in ("name", "user", "group"))
        stdin = StdinSource(descriptor, name_in_archive, user, group, given.number("stdin_mode"))
    delimiter = cast("bytes | None", given.get("paths_delimiter"))
    return CreateOptions(
        archive=ArchiveName(name),
        roots=tuple(Root(*paths.root(path)) for path in arguments if path != "-"),
        hostname=invocation.environment.hostname(),
        username=invocation.environment.username(),
        cwd=_working_directory(),
        command_line=invocation.argv,
        comment=invocation.expanded("comment") or "",
        timestamp_ns=None if now is None else int(now.timestamp()) * 1_000_000_000,
        patterns=tuple(invocation.rules.patterns),
        stdin=stdin,
        path_list=PathList(descriptor, delimiter or b"\n") if lists_paths else None,
        before_commit=None if feeder is None else feeder.finish,
        lines=invocation.item_lines(),
        exclude_if_present=tuple(os.fsencode(tag) for tag in given.texts("exclude_if_present")),
        files_cache=given.text("files_cache"),
        files_changed=cast("Literal['ctime', 'mtime', 'disabled']", given.text("files_changed")),
        compression=Compression(*cast("tuple[Any, ...]", given["compression"])),
        **_chunker(cast("values.Gear | values.Fixed | None", given.get("chunker_params"))),
        **_flags(given),
    )


# Options that an operation has under the same name.
_FLAGS = (
    *("dry_run", "one_file_system", "numeric_ids", "atime", "noctime", "nobirthtime", "noflags", "noacls", "noxattrs"),
    *("sparse", "read_special", "exclude_nodump", "exclude_caches", "keep_exclude_tags"),
)


def _flags(given: Values) -> dict[str, Any]:
    return {flag: given.flag(flag) for flag in _FLAGS}


def _chunker(params: values.Gear | values.Fixed | None) -> dict[str, Any]:
    """The option of the operation, or nothing: the default is its own."""
    match params:
        case values.Gear(min_exp, max_exp, avg_exp):
            return {"chunker": ("gear", min_exp, max_exp, avg_exp)}
        case values.Fixed(block_bytes, header_bytes):
            return {"chunker": ("fixed", block_bytes, header_bytes)}
        case None:
            return {}


def _working_directory() -> str:
    try:
        return os.getcwd()
    except OSError:
        return ""  # it was removed; absolute paths can still be backed up


def _show_outcome(invocation: Invocation, access: Access, outcome: CreateOutcome) -> None:
    """``--json``, ``--stats`` or ``--quick-stats``."""
    given, console = invocation.values, invocation.console
    assert outcome.head is not None
    assert outcome.archive_id is not None
    location = access.path
    archive = report.Archive.of(outcome.head, outcome.archive_id)
    totals = None
    if outcome.totals is not None and not given.flag("quick_stats"):
        totals = report.Totals.of(outcome.totals)
    if given.flag("json"):
        from bork.operations.opening import open_repository  # late: only --json needs it

        with open_repository(access, needs_key=False) as opened:
            repository_id = opened.repository.id.hex()
            document = report.repository_json(
                repository_id, location, outcome.end_ns, opened.mode.name, opened.key_location
            )
        document["archive"] = report.archive_json(archive, created_now=True)
        if totals is not None:
            cache_dir = os.path.join(invocation.environment.cache_dir(), repository_id)
            document["cache"] = report.cache_json(cache_dir, totals)
        console.result_json(document, invocation.environment.json_indent())
    elif given.flag("stats") or given.flag("quick_stats"):
        console.log_lines(report.created(location, archive, totals, iec=console.iec), name=STATS)
