"""Where scenarios play: trees to back up, repositories made by real operations, processes, and the judge at the end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bork.operations import check, compact, create, delete, extract, init, opening, rename, sessions, with_lock
from bork.operations import list as listing
from bork.operations.access import Access
from bork.operations.check import CheckOptions
from bork.operations.compact import CompactOptions
from bork.operations.create import CreateOptions, Root
from bork.operations.delete import DeleteOptions
from bork.operations.events import Silence
from bork.operations.extract import ExtractOptions
from bork.operations.heads import head_id
from bork.operations.init import InitOptions
from bork.operations.opening import open_repository
from bork.operations.selection import ArchiveFilter, ArchiveName
from bork.repository import layout
from bork.repository.layout import SessionId
from bork.repository.session import SessionRecord
from bork.storage.memory import MemoryStore, Objects
from bork.storage.names import CONFIG
from tests.model.explore import Can, Search, can
from tests.model.process import START_NS, Process, RepeatableKeys, Tokens
from tests.model.world import LOCAL, Semantics, World, Worlds
from tests.operations.scene import User

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from random import Random

    import pytest

    from bork.operations.access import Clock, Stores
    from bork.storage.base import Hold, Store
    from tests.model.explore import Counts
    from tests.model.process import Outcome

# What each archive holds: files and their contents. Those of a tree become one object of one pack.
TREES: dict[str, dict[str, bytes]] = {
    "old": {"one": b"1" * 3000, "two": b"2" * 3000},
    "keep": {"one": b"1" * 3000},
    "other": {"two": b"2" * 3000, "three": b"3" * 3000},
}
TREE_OF = {"old": "old", "keep": "keep", "other": "other", "new": "old", "moved": "old", "renamed": "keep"}
RENAMED = {"keep": "renamed", "new": "moved"}


class Events(Silence):
    """Keeps what is said and what is restored."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.said: list[str] = []

    def data(self, data: bytes) -> None:
        self.content += data

    def problem(self, kind: str, path: bytes, message: str) -> None:
        self.said.append(f"{kind} {path!r}: {message}")


class LoneClock:
    def now_ns(self) -> int:
        return START_NS

    def wait(self, seconds: float) -> None:
        """Nobody is there to do anything meanwhile."""


class LoneStores:
    """One storage for one process after the other, which can tell what ``semantics`` says."""

    def __init__(self, objects: Objects, semantics: Semantics) -> None:
        self.objects, self._semantics = objects, semantics

    def open(self, location: str) -> Store:
        store = MemoryStore(self.objects, location) if self._semantics.sees_life else BlindStore(self.objects, location)
        store.lease_s = self._semantics.lease_s
        return store

    def create(self, location: str, *, make_parent_dirs: bool) -> Store:
        return self.open(location)


class BlindStore(MemoryStore):
    """Cannot tell whether the holder of an object lives."""

    def is_held(self, name: str) -> bool | None:
        return None if name in self.objects else False


@dataclass
class Stage:
    """Trees on disk, and one repository in memory."""

    directory: Path
    objects: Objects = field(default_factory=Objects)
    semantics: Semantics = LOCAL
    _judged: dict[int, list[str] | dict[str, bytes]] = field(default_factory=dict)
    judged: int = 0

    def prepare(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(opening, "Keys", RepeatableKeys)
        for name, files in TREES.items():
            (self.directory / name).mkdir()
            for file, content in files.items():
                (self.directory / name / file).write_bytes(content)
        init.run(self.lone("init"), InitOptions("none"))

    # ---- accesses ------------------------------------------------------------------------------------------

    def access(self, stores: Stores, clock: Clock, tokens: Tokens) -> Access:
        user = User(agrees=True)
        return Access(
            path="/repository",
            passphrases=user,
            cache_dir=None,
            keys_dir=str(self.directory / "keys"),
            security_dir=str(self.directory / "security"),
            key_file=None,
            questions=user,
            lock_wait_s=0.1,
            clock=clock,
            randomness=tokens,
            stores=stores,
            threads=1,
        )

    def lone(self, name: str, objects: Objects | None = None, semantics: Semantics = LOCAL) -> Access:
        """For an operation that nobody disturbs."""
        objects = self.objects if objects is None else objects
        return self.access(LoneStores(objects, semantics), LoneClock(), Tokens(name))

    # ---- scripts ------------------------------------------------------------------------------------------

    def create(self, name: str, host: str = "host") -> Callable[[Access], object]:
        options = CreateOptions(
            archive=ArchiveName(name),
            roots=(Root(str(self.directory / TREE_OF[name]).encode(), b"tree"),),
            hostname=host,
            username="user",
            cwd="/",
            command_line=("bork", "create"),
            pack_size=20_000,
        )

        def script(access: Access) -> object:
            create.run(access, options, Events())
            return None

        return script

    def delete(self, name: str) -> Callable[[Access], object]:
        def script(access: Access) -> object:
            return delete.archives(access, DeleteOptions((ArchiveName(name),)), Events(), lambda _: None).deleted

        return script

    # ---- processes ------------------------------------------------------------------------------------------

    def head(self, name: str) -> str:
        """The object that is the archive of this name."""
        with open_repository(self.lone("head", Objects(self.objects))) as opened:
            return layout.head_name(head_id(opened.keys, ArchiveName(name)))

    def process(self, name: str, script: Callable[[Access], object], can: Can) -> Process:
        """``can``: besides sessions and generations, which everybody looks at."""
        lists, puts, deletes = can.lists | {"sessions", "gc", "keys"}, can.puts | {"sessions"}, can.deletes
        return Process(name, Can(lists, puts, deletes), script, self.access)

    def writer(self, name: str, host: str = "host") -> Process:
        """Its tables are too few to be merged."""
        able = can("archives indexes packs", "archives indexes packs", self.head(name))
        return self.process(f"writer of {name} from {host}", self.create(name, host), able)

    def deleter(self, name: str = "old") -> Process:
        return self.process(f"deleter of {name}", self.delete(name), can("", "", self.head(name)))

    def renamer(self, old: str) -> Process:
        new = RENAMED[old]

        def script(access: Access) -> object:
            rename.run(access, ArchiveName(old), ArchiveName(new))
            return None

        able = can("archives", "archives", f"{self.head(old)} {self.head(new)}")
        return self.process(f"renamer of {old}", script, able)

    def compactor(self, name: str = "compactor") -> Process:
        def script(access: Access) -> object:
            compact.run(access, CompactOptions(), Events())
            return None

        everything = "archives indexes packs gc"
        return self.process(name, script, can(everything, "indexes packs gc", "indexes/ packs/ gc/"))

    def reader(self, name: str = "keep") -> Process:
        def script(access: Access) -> object:
            return restored(access, name)

        return self.process(f"reader of {name}", script, can("archives indexes packs", ""))

    def checker(self) -> Process:
        def script(access: Access) -> object:
            events = Events()
            check.run(access, CheckOptions(), events)
            return tuple(events.said)

        return self.process("checker", script, can("archives indexes packs keys", ""))

    def exclusive(self) -> Process:
        def script(access: Access) -> object:
            with with_lock.run(access):
                return None

        return self.process("exclusive", script, can("", ""))

    # ---- searches ------------------------------------------------------------------------------------------

    def search(
        self, semantics: Semantics, *processes: Process, accepts: set[str] | None = None, crashes: int = 0
    ) -> tuple[Search, World]:
        worlds = Worlds(semantics)
        for process in processes:
            compacts = "gc" in process.can.puts
            if crashes or (compacts and not semantics.sees_life):  # dead sessions are buried, or silent ones fenced
                process.can = process.can._replace(deletes=process.can.deletes | {"sessions/"})
        objects = self.objects
        worlds.content(CONFIG, objects[CONFIG])
        start = worlds.world({name: worlds.content(name, data) for name, data in objects.items()})
        self._judged.clear()
        self.semantics = semantics
        self._accepted = accepts or set()
        return Search(worlds, processes, self.judge), start

    def explore(
        self,
        semantics: Semantics,
        *processes: Process,
        crashes: int = 0,
        switches: int = -1,
        accepts: set[str] | None = None,
    ) -> Counts:
        """Every interleaving; with ``switches`` those in which a process that could go on is made to wait at most so
        often. ``accepts``: errors that processes may end with.
        """
        search, start = self.search(semantics, *processes, accepts=accepts, crashes=crashes)
        return search.run(start, crashes, switches)

    def sample(
        self,
        semantics: Semantics,
        *processes: Process,
        crashes: int = 0,
        random: Random,
        orders: int,
        accepts: set[str] | None = None,
    ) -> Counts:
        search, start = self.search(semantics, *processes, accepts=accepts, crashes=crashes)
        return search.sample(start, crashes, random, orders)

    # ---- the judge ------------------------------------------------------------------------------------------

    def judge(self, worlds: Worlds, world: World, outcomes: dict[str, Outcome | None]) -> list[str]:
        found = []
        for name, outcome in outcomes.items():
            kind = name.partition(" ")[0]
            accepted = self._accepted & {outcome.error, f"{kind}: {outcome.error}"} if outcome is not None else None
            if outcome is not None and outcome.error and not accepted:
                found.append(f"{name} failed: {outcome.error}: {outcome.message}")
            if name == "checker" and outcome is not None and outcome.value:
                found.append(f"the checker found {outcome.value}")
            if name.startswith("reader of ") and outcome is not None and not outcome.error:
                tree = TREE_OF[name.removeprefix("reader of ")]
                if outcome.value != content_of(tree):
                    found.append(f"{name} has read something wrong")
        if found:
            return found
        number = world.number
        if number not in self._judged:
            self.judged += 1
            crashed = None in outcomes.values()
            self._judged[number] = self._look(worlds, world, crashed=crashed)
        judged = self._judged[number]
        if isinstance(judged, list):
            return judged
        return self._compare(judged, outcomes)

    def _compare(self, archives: dict[str, bytes], outcomes: dict[str, Outcome | None]) -> list[str]:
        """Compare the archives at the end with what the processes were told."""
        must, may = self._expected(outcomes)
        found = [f"the archive {name} is gone" for name in must - archives.keys()]
        return found + [f"the archive {name} should not be there" for name in archives.keys() - must - may]

    def _expected(self, outcomes: dict[str, Outcome | None]) -> tuple[set[str], set[str]]:
        """Archives that must be there, and those that may be: because of who crashed, nobody knows."""
        chances: Counter[str] = Counter()
        must = set(self.archives)
        may: set[str] = set()
        for name, outcome in outcomes.items():
            what, archive = _deed(name)
            is_done = outcome is not None and not outcome.error
            if what == "writer":
                (must if is_done else may).add(archive)
            elif what in ("deleter", "renamer"):
                chances[archive] += 1
                new = {RENAMED[archive]} if what == "renamer" else set()
                if outcome is None:
                    may |= {archive} | new
                    must.discard(archive)
        for name, outcome in outcomes.items():
            what, archive = _deed(name)
            if outcome is None or outcome.error or what not in ("deleter", "renamer"):
                continue
            if what == "deleter" and outcome.value == 0:
                continue  # it did not find it
            must.discard(archive)
            may.discard(archive)
            if what == "renamer":
                must.add(RENAMED[archive])
        return must, may - must

    def _look(self, worlds: Worlds, world: World, *, crashed: bool) -> list[str] | dict[str, bytes]:
        """Restore everything, check, compact alone, restore and check again."""
        objects = Objects(worlds.bytes_of(world))
        left = [name for name in objects if name.startswith("sessions/")]
        if left and not crashed:
            return [f"sessions are left: {left}"]
        access = self.lone("judge", objects, self.semantics)
        before = self._restore(access)
        if isinstance(before, list):
            return before
        found = self._tidy(access, objects)
        after = self._restore(access)
        if isinstance(after, list):
            return [f"after a lone compaction: {problem}" for problem in after]
        if before != after:
            found.append("a lone compaction has changed the archives")
        return found or before

    def _restore(self, access: Access) -> list[str] | dict[str, bytes]:
        problems, archives = [], {}
        for entry in listing.archives(access, ArchiveFilter()).archives:
            try:
                archives[str(entry.name)] = restored(access, str(entry.name))
            except Exception as fault:  # noqa: BLE001  # whatever it is, it is a finding
                problems.append(f"the archive {entry.name} cannot be restored: {fault!r}")
                continue
            if archives[str(entry.name)] != content_of(TREE_OF[str(entry.name)]):
                problems.append(f"the archive {entry.name} is wrong")
        events = Events()
        if check.run(access, CheckOptions(verify_data=True), events).problems:
            problems.append(f"check finds {events.said}")
        return problems or archives

    def _tidy(self, access: Access, objects: Objects) -> list[str]:
        found = []
        if not self.semantics.sees_life:
            with open_repository(access, needs_key=False) as opened:
                sessions.break_all(opened.repository)
        # The first takes back what was condemned and is needed; so a chunk may be there twice until the second.
        for _ in range(2):
            outcome = compact.run(access, CompactOptions(threshold=0), Events())
            if outcome.waiting_bytes or outcome.missing_chunks:
                found.append(f"a lone compaction did not go through: {outcome}")
        left = [name for name in objects if name.startswith("sessions/")]
        if left:
            found.append(f"sessions are left after a lone compaction: {left}")
        dry = compact.run(access, CompactOptions(threshold=0)._replace(dry_run=True), Events())
        if dry.unused_bytes or dry.waiting_bytes or dry.deleted_packs or dry.missing_chunks:
            found.append(f"a lone compaction has left something: {dry}")
        return found

    @property
    def archives(self) -> set[str]:
        """What the scenario begins with."""
        return self._archives

    _archives: set[str] = field(default_factory=set)

    def begin_with(self, what: str) -> None:
        """Make the repository that a scenario begins with: two archives that share a chunk, and what ``what`` says."""
        for name in ("old", "keep"):
            self.create(name, "another")(self.lone(f"setup {name}"))
            self._archives.add(name)
        if what in ("deleted", "condemned", "doubled"):
            self.delete("old")(self.lone("setup delete"))
            self._archives.remove("old")
        after = Objects(self.objects)
        if what == "condemned":  # a compaction has met a reader, and its packs wait
            hold = self._meet_reader()
            self.compactor().script(self.lone("setup compact"))
            hold.release()
        elif what == "doubled":  # a compaction has stopped when it had moved everything
            self.compactor().script(self.lone("setup compact", after))
        elif what == "interrupted":  # a backup has stopped before it had an index
            self.create("other", "another")(self.lone("setup other", after))
        self.objects.update({name: data for name, data in after.items() if name.startswith("packs/")})

    def _meet_reader(self) -> Hold:
        record = SessionRecord("reader", 0)
        return MemoryStore(self.objects).hold(layout.session_name(SessionId(bytes(32))), record.encode())


BEGINNINGS = ("two archives", "deleted", "condemned", "doubled", "interrupted")


def _deed(process: str) -> tuple[str, str]:
    """What a process does, and to which archive."""
    what, _, rest = process.partition(" of ")
    return what, rest.partition(" from ")[0]


def content_of(tree: str) -> bytes:
    return b"".join(content for _, content in sorted(TREES[tree].items()))


def restored(access: Access, name: str) -> bytes:
    events = Events()
    extract.run(access, ArchiveName(name), ExtractOptions(to="stdout"), events)
    if events.said:
        raise AssertionError(events.said)
    return bytes(events.content)
