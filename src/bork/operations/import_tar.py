"""Make an archive of a tar stream. See ``committing`` for the order in which things are stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bork.archive.head import ArchiveHead
from bork.core import ImportEngine
from bork.errors import ArchiveAlreadyExists, CancelledByUser
from bork.operations.committing import archive_progress, archive_stats, choose_pack_size, commit, tidy_up
from bork.operations.create import Compression, CreateOutcome
from bork.operations.drive import drive
from bork.operations.heads import head_id, load_heads
from bork.operations.index import WHAT_IT_NEEDS, cache_directory, load_index
from bork.operations.opening import open_repository
from bork.operations.totals import RepositoryTotals
from bork.repository import layout

if TYPE_CHECKING:
    from collections.abc import Callable

    from bork.archive.head import Chunker
    from bork.operations.access import Access
    from bork.operations.drive import Outcome
    from bork.operations.events import EventSink
    from bork.operations.selection import ArchiveName, ItemLines


class ImportTarOptions(NamedTuple):
    """Options of ``bork import-tar`` under their own names; see docs/usage/import-tar.md."""

    archive: ArchiveName
    fd: int  # the stream, unpacked
    name: bytes  # what messages call it
    hostname: str
    username: str
    cwd: str
    command_line: tuple[str, ...]
    comment: str = ""
    timestamp_ns: int | None = None  # the time that the archive is given, instead of the clock's
    # Called when everything is read and stored, before the commit: raise to have no archive. For the exit status of
    # the filter.
    before_commit: Callable[[], None] | None = None
    lines: ItemLines | None = None
    ignore_zeros: bool = False
    compression: Compression = Compression()
    chunker: Chunker = ("gear", 18, 22, 20)
    pack_size: int | None = None  # bytes; None: by the size of the repository


def run(access: Access, options: ImportTarOptions, events: EventSink) -> CreateOutcome:
    """Import. Members that cannot be kept as they are, are events; everything else that goes wrong raises.

    Memory: 32 MiB of items, the rest waits in a scratch file in the cache. Raises: TarInvalid, ArchiveAlreadyExists,
    CancelledByUser, CacheFault, and as ``open_repository``, ``load_index`` and ``drive``. Then there is no archive.
    """
    start_ns = access.clock.now_ns()
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
        plan: dict[str, object] = {
            "threads": access.threads,
            "fd": options.fd,
            "name": options.name,
            "ignore_zeros": options.ignore_zeros,
            "lines": None if options.lines is None else options.lines.plan(),
            "chunker": options.chunker,
            "compression": options.compression._asdict(),
            "pack_size": options.pack_size or choose_pack_size(sum(loaded.packs.values())),
            "scratch_dir": cache_directory(access, repository),
        }
        engine = ImportEngine(plan, keys, loaded.chunks)
        outcome = drive(engine, repository, events, progress=archive_progress, stored=engine.stored)
        if options.before_commit is not None:
            options.before_commit()
        if events.cancelled():
            raise CancelledByUser
        head = _head(options, outcome, start_ns, access.clock.now_ns())
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


def _head(options: ImportTarOptions, outcome: Outcome, start_ns: int, end_ns: int) -> ArchiveHead:
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
        start_ns=start_ns,
        end_ns=end_ns,
        roots=(),  # nothing of this machine was backed up
        stats=archive_stats(outcome),
        sequence=0,  # both are set by the commit
        ledger=bytes(32),
    )
