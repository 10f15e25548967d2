"""Find out whether everything that was stored is still what it was.

The repository part needs no key: names are hashes. With ``verify_data`` it also opens every object of every pack, in
the same pass. The archives part follows every reference from every head. Only ``repair`` changes anything.
"""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from bork.core import CheckEngine, ChunkIndex, digest
from bork.errors import IntegrityError, ObjectMissing, RepositoryError
from bork.operations import generations
from bork.operations.drive import drive
from bork.operations.heads import ArchiveEntry, find_archive, load_heads, name_bytes, select
from bork.operations.index import WHAT_IT_NEEDS, LoadedIndex, cache_directory, load_index
from bork.operations.opening import OpenRepository, open_repository
from bork.operations.problems import CountedProblems
from bork.operations.reading import percent
from bork.operations.repair import Repair, Repaired
from bork.operations.selection import ArchiveFilter
from bork.repository import layout
from bork.storage.private import write_private

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bork.operations.access import Access
    from bork.operations.events import EventSink
    from bork.operations.selection import ArchiveName
    from bork.repository.layout import PackId
    from bork.repository.session import Role

BATCH_BYTES = 256 << 20  # of packs between two looks at the clock, for max_duration_s


class CheckOptions(NamedTuple):
    """Options of ``bork check`` under their own names; see docs/usage/check.md."""

    repository: bool = True
    archives: bool = True
    verify_data: bool = False
    name: ArchiveName | None = None  # only this archive
    filter: ArchiveFilter = ArchiveFilter()
    repair: bool = False  # mend what can be mended; the repository has to be there for this process alone
    max_duration_s: int = 0  # of the repository part; 0: no limit. The next check goes on where this one stopped


class CheckOutcome(NamedTuple):
    problems: int  # each was an event; 0: nothing is wrong
    packs: int  # checked
    archives: int  # checked
    complete: bool  # False: max_duration_s ended the repository part early
    repaired: Repaired | None = None  # with ``repair``: what was done; ``problems`` are those that are left


def run(access: Access, options: CheckOptions, events: EventSink) -> CheckOutcome:
    """Check, and repair if that is asked for. Damage is an event for each thing that is damaged, and the check goes on.

    Raises: what keeps a repository from being opened at all (as ``open_repository``); ArchiveDoesNotExist; AppendOnly,
    LockTimeout, if a repair is asked for; CancelledByUser; StorageError.
    """
    needs_key = options.archives or options.repair
    role: Role = "exclusive" if options.repair else "reader"
    # Archives before the index: what it knows then is all that they refer to, whatever is committed during the check.
    sees = (layout.ARCHIVES, *WHAT_IT_NEEDS) if options.archives else ()
    with open_repository(access, needs_key=needs_key, role=role, sees=sees) as opened:
        if options.repair:
            return _repair(access, options, opened, events)
        return _check(access, options, opened, CountedProblems(events))


def _check(
    access: Access,
    options: CheckOptions,
    opened: OpenRepository,
    counted: CountedProblems,
    repaired: Repaired | None = None,
) -> CheckOutcome:
    packs, complete, archives, of_repository = 0, True, 0, 0
    entries = _wanted(options, opened, counted) if options.archives else []
    of_heads = counted.total
    loaded = _load(access, opened, counted) if options.archives else None
    if options.repository:
        if repaired is None:
            counted.log("info", "Starting repository check")
        if loaded is None:
            _check_blindly(opened, counted)
        _check_generations(opened, counted)
        _check_keys(opened, counted)
        packs, complete = _check_packs(access, options, opened, loaded, counted)
        of_repository = counted.total - of_heads
        mode = "partial" if options.max_duration_s else "full"
        has_repaired = repaired is not None and repaired.total > 0
        _conclude(counted, f"Finished {mode} repository check", of_repository, "errors", has_repaired=has_repaired)
    elif options.verify_data:
        packs, complete = _check_packs(access, options, opened, loaded, counted)
    if loaded is not None:
        counted.log("info", "Starting archive consistency check...")
        archives = _check_archives(access, entries, opened, loaded, counted)
        _conclude(counted, "Archive consistency check complete", counted.total - of_repository, "problems")
    return CheckOutcome(counted.total, packs, archives, complete)


def _conclude(counted: CountedProblems, part: str, found: int, what: str, *, has_repaired: bool = False) -> None:
    """The last line of a part, as Borg words it: monitoring looks for it."""
    if found:
        counted.log("error", f"{part}, {what} found.")
    elif has_repaired:
        counted.log("info", f"{part}, {what} found and repaired.")
    else:
        counted.log("info", f"{part}, no problems found.")


def _repair(access: Access, options: CheckOptions, opened: OpenRepository, events: EventSink) -> CheckOutcome:
    """What is wrong with the packs is found and mended first, then everything else; a check of what is left follows."""
    opened.repository.require_deletable()
    events.log("info", "Starting repository check")
    repair = Repair(access, opened, events)
    repair.generation()
    repair.heads()
    repair.key_slots()
    first = CountedProblems(events)
    if options.repository:
        loaded = load_index(access, opened.repository, opened.keys, first, trust_cache=False)
        _run_packs(access, opened, loaded, _present(loaded), first, options.verify_data)
    repair.packs(sorted(first.packs))
    repair.indexes()
    everything = options._replace(repository=True, archives=True)
    left = _check(access, everything, opened, CountedProblems(events), repair.repaired)
    return left._replace(repaired=repair.repaired)


def _load(access: Access, opened: OpenRepository, counted: CountedProblems) -> LoadedIndex:
    loaded = load_index(access, opened.repository, opened.keys, counted, trust_cache=False, sight=opened.sight)
    for fault in loaded.damaged:
        counted.problem("damaged", layout.INDEXES.encode(), str(fault))
    for pack in loaded.missing:
        counted.problem("damaged", layout.pack_name(pack).encode(), "An index names this pack, and it is not there.")
    return loaded


def _check_blindly(opened: OpenRepository, counted: CountedProblems) -> None:
    for index in opened.repository.indexes():
        _report(counted, layout.index_name(index), partial(opened.repository.get_index, index))
    for head in opened.repository.heads():
        _report(counted, layout.head_name(head), partial(opened.repository.verify, layout.head_name(head)))


def _check_generations(opened: OpenRepository, counted: CountedProblems) -> None:
    for name, fault in generations.damaged(opened.repository, opened.unlocked):
        counted.problem("damaged", name.encode(), str(fault))


def _check_keys(opened: OpenRepository, counted: CountedProblems) -> None:
    keys = opened.repository.look(layout.KEYS).verified_keys()
    for key in (key for key, data in keys.items() if data is None):
        _report(counted, layout.key_name(key), partial(opened.repository.get_key, key))
    if not keys and opened.mode.key == "repository":
        counted.problem("damaged", layout.KEYS.encode(), "There is no key in the repository.")


def _report(counted: CountedProblems, name: str, get: Callable[[], object]) -> None:
    try:
        get()
    except (IntegrityError, ObjectMissing) as fault:
        counted.problem("damaged", name.encode(), str(fault))


def _check_packs(
    access: Access,
    options: CheckOptions,
    opened: OpenRepository,
    loaded: LoadedIndex | None,
    counted: CountedProblems,
) -> tuple[int, bool]:
    """The number of packs checked, and whether these were all that are left."""
    packs = sorted(opened.repository.packs().items()) if loaded is None else _present(loaded)
    if not options.max_duration_s:
        before = counted.total
        if options.verify_data:
            counted.log("info", "Starting cryptographic data integrity verification...")
        _run_packs(access, opened, loaded, packs, counted, options.verify_data)
        if options.verify_data and loaded is not None:
            _tell_verified(loaded.chunks.totals()[0], counted.total - before, counted)
        return len(packs), True
    deadline = time.monotonic() + options.max_duration_s
    cursor = _Cursor(cache_directory(access, opened.repository))
    packs = cursor.rest(packs) or packs  # what came behind the last one may be gone: then from the beginning
    done = 0
    while done < len(packs):
        batch = _batch(packs[done:])
        _run_packs(access, opened, loaded, batch, counted, options.verify_data)
        done += len(batch)
        cursor.move(packs[done - 1][0] if done < len(packs) else None)
        if time.monotonic() >= deadline:
            break
    return done, done == len(packs)


def _tell_verified(chunks: int, errors: int, counted: CountedProblems) -> None:
    """As Borg words it: who reads the log of a check sees that the data was looked at."""
    text = f"verified {chunks} chunks with {errors} integrity errors."
    counted.log("error" if errors else "info", f"Finished cryptographic data integrity verification, {text}")


def _present(loaded: LoadedIndex) -> list[tuple[PackId, int]]:
    """The packs to look at: those that are condemned may be deleted this very moment."""
    return sorted((pack, length) for pack, length in loaded.packs.items() if pack not in loaded.generation.condemned)


def _batch(packs: list[tuple[PackId, int]]) -> list[tuple[PackId, int]]:
    size, count = 0, 0
    while count < len(packs) and size < BATCH_BYTES:
        size += packs[count][1]
        count += 1
    return packs[:count]


def _run_packs(
    access: Access,
    opened: OpenRepository,
    loaded: LoadedIndex | None,
    packs: list[tuple[PackId, int]],
    counted: CountedProblems,
    verify_data: bool,
) -> None:
    plan: dict[str, object] = {"threads": access.threads, "packs": packs, "archives": [], "verify_data": verify_data}
    engine = CheckEngine(plan, opened.unlocked, ChunkIndex() if loaded is None else loaded.chunks)
    drive(engine, opened.repository, counted, progress=percent("check.packs"))


def _check_archives(
    access: Access,
    entries: Sequence[ArchiveEntry],
    opened: OpenRepository,
    loaded: LoadedIndex,
    counted: CountedProblems,
) -> int:
    plan: dict[str, object] = {
        "threads": access.threads,
        "packs": [],
        "archives": [(_printable(entry.name), entry.head.root) for entry in entries],
        "verify_data": False,  # the packs are done: damage found there is named for each file here
    }
    engine = CheckEngine(plan, opened.keys, loaded.chunks)
    told = _OfArchivesThatAreThere(counted, opened, entries)
    drive(engine, opened.repository, told, progress=percent("check.archives"))
    return len(entries)


class _OfArchivesThatAreThere:
    """An EventSink that keeps silent on archives that were deleted since they were listed.

    What such an archive alone needed may be gone by now, and that is no damage.
    """

    def __init__(self, counted: CountedProblems, opened: OpenRepository, entries: Sequence[ArchiveEntry]) -> None:
        self._counted, self._opened = counted, opened
        # The longest name first: one may begin like another.
        self._entries = sorted(entries, key=lambda entry: len(entry.name), reverse=True)
        self.lines, self.data, self.progress = counted.lines, counted.data, counted.progress
        self.log, self.cancelled = counted.log, counted.cancelled

    def problem(self, kind: str, path: bytes, message: str) -> None:
        """Pass on, unless its archive is gone."""
        for entry in self._entries:
            name = _printable(entry.name).encode()
            if path == name or path.startswith(name + b": "):
                if self._is_there(entry):
                    break
                return
        self._counted.problem(kind, path, message)

    def _is_there(self, entry: ArchiveEntry) -> bool:
        try:
            return digest(self._opened.repository.get_head(entry.object)) == entry.id
        except ObjectMissing:
            return False


def _printable(name: ArchiveName) -> str:
    return name_bytes(name).decode("utf-8", "replace")


def _wanted(options: CheckOptions, opened: OpenRepository, counted: CountedProblems) -> list[ArchiveEntry]:
    """The archives to check. A head that cannot be opened has no name: it is a problem of every selection."""
    if options.name is not None:
        try:
            return [find_archive(opened.repository, opened.keys, options.name, sight=opened.sight)]
        except RepositoryError as fault:
            counted.problem("damaged", name_bytes(options.name), str(fault))
            return []
    heads = load_heads(opened.repository, opened.keys, sight=opened.sight)
    for damage in heads.damaged:
        counted.problem("damaged", layout.ARCHIVES.encode(), str(damage))
    chosen = select(heads.entries, options.filter)
    _warn_of_too_few(len(chosen), options.filter, counted)
    return chosen


def _warn_of_too_few(found: int, wanted: ArchiveFilter, counted: CountedProblems) -> None:
    """A check of nothing finds nothing wrong: who has mistyped a name is told, as by Borg."""
    glob = wanted.glob if wanted.prefix is None else f"{wanted.prefix}*"
    if glob is not None and not found:
        counted.log("warning", f"--glob-archives {glob} does not match any archives")
    for option, count in (("first", wanted.first), ("last", wanted.last)):
        if found < count:
            counted.log("warning", f"--{option} {count} archives: only found {found} archives")


class _Cursor:
    """Remembers between commands how far checks with a time limit have come."""

    def __init__(self, directory: str | None) -> None:
        self._path = None if directory is None else os.path.join(directory, "check-cursor")

    def rest(self, packs: list[tuple[PackId, int]]) -> list[tuple[PackId, int]]:
        """The packs that come after the last one checked."""
        try:
            with open(self._path or os.devnull, encoding="ascii", errors="replace") as file:
                last = bytes.fromhex(file.read().strip())
        except (FileNotFoundError, ValueError):
            last = b""
        return [pack for pack in packs if pack[0] > last]

    def move(self, last: PackId | None) -> None:
        """Everything up to ``last`` is checked; None: everything is."""
        if self._path is not None:
            write_private(self._path, b"" if last is None else last.hex().encode("ascii"))
