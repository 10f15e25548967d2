"""The options of ``bork create``: more than all others have together."""

from __future__ import annotations

from bork.cli import values
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

# What every command that makes an archive can say of it.
OUTCOME = (
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
)
_OUTPUT = (
    Option(("-n", "--dry-run"), "dry_run", "do not create a backup archive"),
    *OUTCOME,
    Option(("--no-cache-sync",), "no_cache_sync", "accepted for compatibility: Bork has no cache to synchronize"),
)
_INPUT = (
    Option(
        ("--root",),
        "root",
        "PATHs are inside DIR, a foreign root; its etc/passwd and etc/group name the owners",
        "DIR",
        once=True,
    ),
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
        "how to see that a file is unchanged (default: what suits the file system, mostly ctime,size,inode)",
        "MODE",
        values.files_cache_mode,
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
ARCHIVE = (
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
        values.checkpoint_interval,
        1800,
    ),
    Option(
        ("--chunker-params",),
        "chunker_params",
        "gear,MIN_EXP,MAX_EXP,AVG_EXP or fixed,BLOCK_SIZE[,HEADER_SIZE] or default",
        "PARAMS",
        values.chunker_params,
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

CREATE = Command(
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
        Group("Archive options", ARCHIVE),
    ),
    epilog="""\
Status letters of --list: A added, M modified, U unchanged, C changed while it was read, E error; d directory,
s symlink, h hard link, f fifo, b and c devices, i stdin; x excluded, - would be backed up (--dry-run).

/a/b/./c/d is read as /a/b/c/d and stored as c/d. Patterns see the unstripped path a/b/c/d.""",
)
