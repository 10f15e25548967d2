"""Make an archive of what a walk finds. See ``committing`` for the order in which things are stored."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, cast

from bork.archive.head import ArchiveHead
from bork.core import ChunkIndex, CreateEngine, Keys
from bork.errors import ArchiveAlreadyExists, CancelledByUser
from bork.operations.committing import PACK_SIZE_MIN, archive_progress, archive_stats, choose_pack_size, commit, tidy_up
from bork.operations.drive import Engine, drive
from bork.operations.file_systems import DEFAULT_FILES_CACHE, comparison, describe, for_create
from bork.operations.foreign import names_of, recorded, root_of
from bork.operations.heads import ArchiveEntry, Heads, head_id, load_heads
from bork.operations.index import WHAT_IT_NEEDS, cache_directory, load_index
from bork.operations.opening import open_repository
from bork.operations.sources import Sources
from bork.operations.totals import RepositoryTotals
from bork.repository import layout

if TYPE_CHECKING:
    from bork.archive.head import ArchiveStats, Chunker
    from bork.core import FileSystem
    from bork.operations.access import Access
    from bork.operations.drive import Outcome
    from bork.operations.events import EventSink
    from bork.operations.selection import ArchiveId, ArchiveName, ItemLines, Pattern

# File times come from a clock that ticks every 1 to 10 ms: one that is stamped after the start of a backup may look
# this much older than it.
CLOCK_TICK_NS = 10_000_000
DEFAULT_CHUNKER: Chunker = ("gear", 18, 22, 20)


class Compression(NamedTuple):
    """How new chunks are compressed. ``obfuscate``: Borg's SPEC, 0 for none."""

    codec: Literal["none", "lz4", "zstd", "zlib", "lzma"] = "lz4"
    level: int = 0  # 0 for codecs without levels
    auto: bool = False
    obfuscate: int = 0


class StdinSource(NamedTuple):
    """Content that comes through a descriptor and becomes one file."""

    fd: int
    name: bytes
    user: bytes
    group: bytes
    mode: int


class PathList(NamedTuple):
    """Paths that come through a descriptor; each is backed up alone, without what is below it."""

    fd: int
    delimiter: bytes


class Root(NamedTuple):
    """A PATH of the command line: where to read it, and the path that its items get."""

    source: bytes
    stored: bytes


class CreateOptions(NamedTuple):
    """Options of ``bork create`` under their own names; see docs/usage/create.md."""

    archive: ArchiveName
    roots: tuple[Root, ...]  # sources are relative to ``root``, if there is one
    hostname: str
    username: str
    cwd: str
    command_line: tuple[str, ...]
    of_user: bool = False  # the archive to compare files with must be one of ``username`` too
    root: str | None = None  # a foreign root, whose own etc/passwd and etc/group say what owners are called
    comment: str = ""
    timestamp_ns: int | None = None  # the time that the archive is given, instead of the clock's
    patterns: tuple[Pattern, ...] = ()
    stdin: StdinSource | None = None
    path_list: PathList | None = None
    # Called when everything is read and stored, before the commit: raise to have no archive. For the exit status of
    # the command behind ``stdin`` or ``path_list``.
    before_commit: Callable[[], None] | None = None
    lines: ItemLines | None = None
    dry_run: bool = False
    one_file_system: bool = False
    numeric_ids: bool = False
    atime: bool = False
    noctime: bool = False
    nobirthtime: bool = False
    noflags: bool = False
    noacls: bool = False
    noxattrs: bool = False
    sparse: bool = False
    read_special: bool = False
    exclude_nodump: bool = False
    exclude_caches: bool = False
    exclude_if_present: tuple[bytes, ...] = ()
    keep_exclude_tags: bool = False
    files_cache: str | None = None  # None: what suits the file system
    files_changed: Literal["ctime", "mtime", "disabled"] = "ctime"
    compression: Compression = Compression()
    chunker: Chunker = DEFAULT_CHUNKER
    pack_size: int | None = None  # bytes; None: by the size of the repository


# Options that the plan of the engine has under the same name.
_PLANNED = (
    *("dry_run", "one_file_system", "numeric_ids", "atime", "noctime", "nobirthtime", "noflags", "noacls", "noxattrs"),
    *("sparse", "read_special", "exclude_nodump", "exclude_caches", "keep_exclude_tags"),
    *("files_changed", "chunker"),
)


class CreateOutcome(NamedTuple):
    head: ArchiveHead | None  # None: dry run
    archive_id: ArchiveId | None
    repository_id: bytes | None
    stats: ArchiveStats
    totals: RepositoryTotals | None  # of the repository, with the new archive
    start_ns: int
    end_ns: int
    encryption: str | None = None  # its mode
    key_location: str | None = None


class WritingEngine(Engine, Protocol):
    """An engine that makes an archive."""

    def stored(self, token: int) -> None:
        """The answer to ``StorePack`` and ``StoreIndex``."""


class Started(NamedTuple):
    """A running engine, and how far the clock that stamps its files is behind that of this machine, if it is."""

    engine: WritingEngine
    clock_behind_ns: int = 0
    verify: Callable[[], None] = lambda: None  # raises, when what was read is not all that was there


Start = Callable[[dict[str, object], Keys, ChunkIndex], Started]


def start_here(plan: dict[str, object], keys: Keys, index: ChunkIndex) -> Started:
    """The engine that reads this machine."""
    base, roots = cast("bytes | None", plan["base"]), cast("list[Root]", plan["roots"])
    sources = Sources(os.path.join(base or b"", source) for source, _ in roots)
    return Started(CreateEngine(plan, keys, index), verify=sources.verify)


def run(access: Access, options: CreateOptions, events: EventSink, start: Start = start_here) -> CreateOutcome:
    """Back up. Problems with single files are events; everything that concerns the repository raises.

    ``start`` starts the engine: another one reads what is on another host.

    Raises: ArchiveAlreadyExists, SourceFault (of the foreign root), SourceGone, CancelledByUser, and as
    ``open_repository``, ``load_index`` and ``drive``. Then there is no archive, and what was stored is found again by
    the next ``create``.
    """
    start_ns = access.clock.now_ns()
    if options.dry_run:
        return _dry_run(access, options, events, start_ns, start)
    with open_repository(access, role="writer", sees=(layout.ARCHIVES, *WHAT_IT_NEEDS)) as opened:
        repository, keys = opened.repository, opened.keys
        heads = load_heads(repository, keys, sight=opened.sight)
        if head_id(keys, options.archive) in heads.names:
            raise ArchiveAlreadyExists(options.archive)
        for fault in heads.damaged:
            events.log("warning", f"The head of an archive is damaged: {fault}")
        repository.sweep()
        loaded = load_index(access, repository, keys, events, sight=opened.sight)
        repository.settle_packs(loaded.adopted)
        plan = _plan(access, options, start_ns, events)
        plan["previous"] = _previous(heads, options)
        plan["pack_size"] = options.pack_size or choose_pack_size(sum(loaded.packs.values()))
        plan["scratch_dir"] = cache_directory(access, repository)
        plan["skip"] = _skipped(access)
        started = start(plan, keys, loaded.chunks)
        outcome = drive(
            started.engine,
            repository,
            events,
            progress=archive_progress,
            stored=started.engine.stored,
            met=lambda file_system: _tell(file_system, options, events),
        )
        started.verify()
        if options.before_commit is not None:
            options.before_commit()
        if events.cancelled():
            raise CancelledByUser
        head = _head(options, outcome, (start_ns, access.clock.now_ns()), started.clock_behind_ns)
        entry, heads = commit(opened, head, heads)
        tidy_up(opened, loaded, events)
        return CreateOutcome(
            head=entry.head,
            archive_id=entry.id,
            repository_id=repository.id,
            stats=entry.head.stats,
            totals=RepositoryTotals.of_index(heads, loaded.chunks),  # it knows the new chunks by now
            start_ns=start_ns,
            end_ns=entry.head.end_ns,
            encryption=opened.mode.name,
            key_location=opened.key_location,
        )


def choose_previous(
    heads: Heads, hostname: str, roots: tuple[bytes, ...], username: str | None = None
) -> ArchiveEntry | None:
    """The archive to compare files with: the newest of this host with these roots, or with most of them, or at all.

    One of the roots can have another name each time, as a temporary directory has. An archive without roots is of a
    pipe or of a list of paths. With a foreign root only archives of that root count, and without one only those
    without. ``username``: only archives of that user count.
    """
    of_host = [
        entry for entry in heads.entries if entry.head.hostname == hostname and username in (None, entry.head.username)
    ]
    candidates = [entry for entry in of_host if root_of(entry.head.roots) == root_of(roots)]

    def likeness(entry: ArchiveEntry) -> tuple[bool, int, bool]:
        theirs = entry.head.roots
        return theirs == roots, len({*theirs} & {*roots}), bool(theirs)

    return max(reversed(candidates), key=likeness, default=None)  # the first of equal ones


def _previous(heads: Heads, options: CreateOptions) -> dict[str, object] | None:
    username = options.username if options.of_user else None
    entry = choose_previous(heads, options.hostname, _recorded_roots(options), username)
    if entry is None:
        return None
    return {"root": entry.head.root, "start_ns": max(entry.head.start_ns - CLOCK_TICK_NS, -(1 << 63))}


def _recorded_roots(options: CreateOptions) -> tuple[bytes, ...]:
    sources = tuple(root.source for root in options.roots)
    return sources if options.root is None else recorded(_root(options.root), sources)


def _root(root: str) -> bytes:
    return os.fsencode(os.path.abspath(root))


def _plan(access: Access, options: CreateOptions, start_ns: int, events: EventSink) -> dict[str, object]:
    root = None if options.root is None else _root(options.root)
    plan: dict[str, object] = {name: getattr(options, name) for name in _PLANNED}
    plan.update(
        threads=access.threads,
        base=root,
        names=None if root is None or options.numeric_ids else names_of(root, events),
        files_cache=options.files_cache or DEFAULT_FILES_CACHE,
        file_systems=for_create(options.files_cache),
        patterns=[tuple(pattern) for pattern in options.patterns],
        paths=[],
        lines=None if options.lines is None else options.lines.plan(),
        roots=[tuple(root) for root in options.roots],
        stdin=None if options.stdin is None else options.stdin._asdict(),
        path_list=None if options.path_list is None else options.path_list._asdict(),
        exclude_if_present=list(options.exclude_if_present),
        compression=options.compression._asdict(),
        pack_size=options.pack_size or PACK_SIZE_MIN,
        previous=None,
        start_ns=start_ns - CLOCK_TICK_NS,
        scratch_dir=None,
        skip=[],
    )
    return plan


def _tell(met: FileSystem, options: CreateOptions, events: EventSink) -> None:
    path = os.fsdecode(os.path.join(_root(options.root), met.path) if options.root else met.path)
    path = os.path.normpath(path)
    unwanted = {"xattrs": options.noxattrs, "acls": options.noacls, "flags": options.noflags}
    text = describe(met, path, "create", frozenset(name for name, is_off in unwanted.items() if is_off))
    if text is not None:
        events.log("warning", text)
    if options.files_cache is None and (text := comparison(met, path)) is not None:
        events.log("warning", text)


def _skipped(access: Access) -> list[tuple[int, int]]:
    """The repository and the cache, which are no part of what the user has."""
    found = []
    for path in (access.path if access.is_local else None, access.cache_dir):
        with contextlib.suppress(OSError):
            if path is not None:
                stat = os.stat(path)
                found.append((stat.st_dev, stat.st_ino))
    return found


def _dry_run(access: Access, options: CreateOptions, events: EventSink, start_ns: int, start: Start) -> CreateOutcome:
    """Walk and show, without the repository: it need not even be there."""
    nobody = bytes(32)
    started = start(_plan(access, options, start_ns, events), Keys.public(nobody), ChunkIndex())
    outcome = drive(
        started.engine,
        None,
        events,
        progress=archive_progress,
        met=lambda file_system: _tell(file_system, options, events),
    )
    return CreateOutcome(None, None, None, archive_stats(outcome), None, start_ns, access.clock.now_ns())


def _head(options: CreateOptions, outcome: Outcome, span_ns: tuple[int, int], behind_ns: int) -> ArchiveHead:
    start_ns, end_ns = span_ns
    return ArchiveHead(
        name=options.archive,
        root=outcome.digest("root"),
        chunker=options.chunker,
        hostname=options.hostname,
        username=options.username,
        cwd=options.cwd,
        comment=options.comment,
        command_line=options.command_line,
        time_ns=start_ns if options.timestamp_ns is None else options.timestamp_ns,
        start_ns=start_ns - behind_ns,  # by the clock of the files: the next archive is compared with it
        end_ns=end_ns,
        roots=_recorded_roots(options),
        stats=archive_stats(outcome),
        sequence=0,  # both are set by the commit
        ledger=bytes(32),
    )
