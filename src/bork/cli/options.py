"""The options as tables. A command's own options are in its module; those that several commands share are here."""

from __future__ import annotations

from typing import NamedTuple

from bork.cli import values


class Option(NamedTuple):
    """One option. Without ``metavar`` it is a flag."""

    flags: tuple[str, ...]
    dest: str
    help: str
    metavar: str | None = None
    convert: values.Convert | None = None
    default: object = None
    choices: tuple[str, ...] = ()
    constant: object = True  # the value of a flag
    repeats: bool = False  # every occurrence counts: the value is a list
    once: bool = False  # a second occurrence is an error, not an override
    excludes: str = ""  # dest of the option that contradicts this one
    deprecated: str = ""  # the warning for who still uses it by a long name
    rule: str = ""  # the method of patterns.Rules that takes the value
    expands: bool = False  # the value may hold placeholders
    implied: str = ""  # the value if none is given: a next word that looks like a location is none

    @property
    def takes_value(self) -> bool:
        return self.metavar is not None


class Positional(NamedTuple):
    """A positional argument. ``arity``: ``1``, ``?`` or ``*``."""

    dest: str
    metavar: str
    kind: str  # "repository", "archive", "either" (of those two), "path", "text"
    help: str
    arity: str = "1"


class Group(NamedTuple):
    title: str
    options: tuple[Option, ...]


class Command(NamedTuple):
    """What the parser and the help have to know about a command."""

    name: str
    description: str
    positionals: tuple[Positional, ...] = ()
    options: tuple[Option, ...] = ()
    groups: tuple[Group, ...] = ()
    epilog: str = ""
    required: tuple[str, ...] = ()  # dests of options that must be given
    may_bypass_lock: bool = False
    verbatim_behind: str = ""  # dest of a positional: all words behind it are arguments, whatever they look like

    def all_options(self) -> tuple[Option, ...]:
        return self.options + tuple(option for group in self.groups for option in group.options)


def _level(flags: tuple[str, ...], level: str, text: str) -> Option:
    return Option(flags, "log_level", text, constant=level, default="warning")


COMMON: tuple[Option, ...] = (
    Option(("-h", "--help"), "help", "show this help message and exit"),
    _level(("--critical",), "critical", "work on log level CRITICAL"),
    _level(("--error",), "error", "work on log level ERROR"),
    _level(("--warning",), "warning", "work on log level WARNING (default)"),
    _level(("--info", "-v", "--verbose"), "info", "work on log level INFO"),
    _level(("--debug",), "debug", "enable debug output, work on log level DEBUG"),
    Option(
        ("--debug-topic",),
        "debug_topics",
        "enable TOPIC debugging (can be specified multiple times)",
        "TOPIC",
        repeats=True,
    ),
    Option(("-p", "--progress"), "progress", "show progress information"),
    Option(("--iec",), "iec", "format using IEC units (1KiB = 1024B)"),
    Option(("--log-json",), "log_json", "output one JSON object per log line instead of formatted text"),
    Option(("--lock-wait",), "lock_wait", "wait at most SECONDS for a lock (default: 1)", "SECONDS", values.integer, 1),
    Option(("--bypass-lock",), "bypass_lock", "bypass locking mechanism"),
    Option(("--show-version",), "show_version", "show/log the version"),
    Option(("--show-rc",), "show_rc", "show/log the return code (rc)"),
    Option(("--umask",), "umask", "set umask to M (local only, default: 0077)", "M", values.octal, 0o077),
    Option(("--threads",), "threads", "use N threads (default: 0, as many as fit the machine)", "N", values.natural),
    Option(
        ("--remote-path",),
        "remote_path",
        'use PATH as the program on the remote (default: "bork")',
        "PATH",
        expands=True,
    ),
    Option(
        ("--remote-ratelimit",),
        "upload_ratelimit",
        "deprecated, use --upload-ratelimit instead",
        "RATE",
        values.integer,
        deprecated="Use --upload-ratelimit instead.",
    ),
    Option(
        ("--upload-ratelimit",),
        "upload_ratelimit",
        "set network upload rate limit in kiByte/s (default: 0=unlimited)",
        "RATE",
        values.integer,
    ),
    Option(
        ("--remote-buffer",),
        "upload_buffer",
        "deprecated, use --upload-buffer instead",
        "UPLOAD_BUFFER",
        values.integer,
        deprecated="Use --upload-buffer instead.",
    ),
    Option(
        ("--upload-buffer",),
        "upload_buffer",
        "set network upload buffer size in MiB (default: 0=no buffer)",
        "UPLOAD_BUFFER",
        values.integer,
    ),
    Option(("--consider-part-files",), "consider_part_files", "accepted for compatibility: Bork makes no part files"),
    Option(("--debug-profile",), "debug_profile", "write a Python execution profile into FILE", "FILE"),
    Option(("--rsh",), "rsh", "use this command to connect to a remote repository (default: 'ssh')", "RSH"),
)

EXCLUSION: tuple[Option, ...] = (
    Option(("-e", "--exclude"), "rules", "exclude paths matching PATTERN", "PATTERN", rule="exclude"),
    Option(
        ("--exclude-from",),
        "rules",
        "read exclude patterns from EXCLUDEFILE, one per line",
        "EXCLUDEFILE",
        rule="exclude_from",
    ),
    Option(("--pattern",), "rules", "include/exclude paths matching PATTERN", "PATTERN", rule="add"),
    Option(
        ("--patterns-from",),
        "rules",
        "read include/exclude patterns from PATTERNFILE, one per line",
        "PATTERNFILE",
        rule="add_from",
    ),
)

TAGS: tuple[Option, ...] = (
    Option(
        ("--exclude-caches",),
        "exclude_caches",
        "exclude directories that contain a CACHEDIR.TAG file (https://bford.info/cachedir/)",
    ),
    Option(
        ("--exclude-if-present",),
        "exclude_if_present",
        "exclude directories that are tagged by containing a file system object with the given NAME",
        "NAME",
        values.tag_name,
        repeats=True,
    ),
    Option(
        ("--keep-exclude-tags",),
        "keep_exclude_tags",
        "keep the tag objects of --exclude-if-present and --exclude-caches, and the directory, in the archive",
    ),
)

STRIP_COMPONENTS = Option(
    ("--strip-components",),
    "strip_components",
    "remove the specified number of leading path elements; paths with fewer elements are skipped",
    "NUMBER",
    values.natural,
    0,
)

PREFIX = Option(
    ("-P", "--prefix"),
    "prefix",
    "only consider archive names starting with this prefix (deprecated)",
    "PREFIX",
    once=True,
    expands=True,
    deprecated="Use \"--glob-archives 'yourprefix*'\" (-a) instead.",
)
GLOB_ARCHIVES = Option(
    ("-a", "--glob-archives"),
    "glob_archives",
    'only consider archive names matching the glob; sh: rules apply, see "bork help patterns"',
    "GLOB",
    once=True,
    excludes="prefix",
    expands=True,
)

ARCHIVE_FILTERS: tuple[Option, ...] = (
    PREFIX,
    GLOB_ARCHIVES,
    Option(
        ("--sort-by",),
        "sort_by",
        f"comma-separated list of sorting keys; valid keys are: {', '.join(values.SORT_KEYS)}; default is: timestamp",
        "KEYS",
        values.sort_keys,
        ("timestamp",),
    ),
    Option(
        ("--first",), "first", "consider first N archives after other filters were applied", "N", values.positive, 0
    ),
    Option(
        ("--last",),
        "last",
        "consider last N archives after other filters were applied",
        "N",
        values.positive,
        0,
        excludes="first",
    ),
)

# Of commands that delete archives. ``quick_stats`` and ``stats`` exclude each other.
STATS: tuple[Option, ...] = (
    Option(("-s", "--stats"), "stats", "print statistics for the deleted archives"),
    Option(("--quick-stats",), "quick_stats", "print only statistics of what was deleted, not of the repository"),
)
SAVE_SPACE = Option(("--save-space",), "save_space", "accepted for compatibility: no more space is needed anyway")
CHECKPOINT_INTERVAL = Option(
    ("-c", "--checkpoint-interval"),
    "checkpoint_interval",
    "accepted for compatibility: each deletion is final by itself",
    "SECONDS",
    values.checkpoint_interval,
    1800,
)

NUMERIC_OWNER_DEPRECATED = "Use --numeric-ids instead."
NOBSDFLAGS_DEPRECATED = "Use --noflags instead."


def exclusion_group(*more: Option) -> Group:
    return Group("Include/Exclude options", EXCLUSION + more)


def archive_filters_group() -> Group:
    return Group("Archive filters", ARCHIVE_FILTERS)
