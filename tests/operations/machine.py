"""A plain model of a repository, and rules that do the same to it and to a real one, in any order.

The model is a dictionary: the name of an archive, its time, what is in it. Clocks jump, time zones change, three
clients take turns (two with caches that know of different pasts, one without).
"""

import json
import os
import random
import shutil
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bork.errors import ArchiveAlreadyExists, ArchiveDoesNotExist
from bork.operations import check, compact, delete, diff, prune, recreate, rename
from bork.operations import list as listing
from bork.operations.access import Access
from bork.operations.check import CheckOptions, CheckOutcome
from bork.operations.compact import CompactOptions
from bork.operations.delete import DeleteOptions
from bork.operations.diff import DiffOptions
from bork.operations.prune import PruneOptions, Step
from bork.operations.recreate import RecreateOptions
from bork.operations.retention import Policy
from bork.operations.selection import ArchiveFilter, ArchiveName, Pattern
from bork.storage.memory import Objects
from tests.operations.scene import DAY_NS, MemoryStores, Recorder, Scene, StoppedClock, User, expected

NS = 10**9
ARCHIVES_MAX = 10
NUMBERS = st.integers(0, ARCHIVES_MAX)
SIZES = st.sampled_from([None, 0, 10, 3_000, 30_000])  # None: the file goes
FILES = ["one", "two", "folder/three", "folder/four", "folder/deep/five"]
# POSIX descriptions, which need no database: none, Berlin, New York, half an hour of summer time, the date line.
ZONES = [
    "UTC0",
    "CET-1CEST,M3.5.0,M10.5.0/3",
    "EST5EDT,M3.2.0,M11.1.0",
    "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
    "<+14>-14",
]
JUMPS_NS = [
    *(0, 1, NS // 2, NS, 60 * NS, 3600 * NS, DAY_NS, 7 * DAY_NS, 40 * DAY_NS, 1000 * DAY_NS),
    *(-1, -NS, -3600 * NS, -DAY_NS, -40 * DAY_NS, -5000 * DAY_NS),
]
# The last second before and the first one after: Berlin, New York; a year that ends within a week; a leap day.
INSTANTS = [1761440399, 1761440400, 1743296399, 1743296400, 1762063199, 1762063200, 1735603200, 1709164800]
EARLIEST_NS, LATEST_NS = 400 * DAY_NS, 80_000 * DAY_NS  # 1971 to 2189
PERIODS = {
    "secondly": "%Y-%m-%d %H:%M:%S", "minutely": "%Y-%m-%d %H:%M", "hourly": "%Y-%m-%d %H", "daily": "%Y-%m-%d",
    "weekly": "%G-%V", "monthly": "%Y-%m", "yearly": "%Y",
}  # fmt: skip

# What an archive needs beyond its content: nodes, a pack, an index.
OVERHEAD_BYTES = 4_000
FACTOR = 1.05


@dataclass
class Archive:
    """What the model knows of one."""

    time_ns: int
    contents: dict[str, bytes | None]


class Machine(RuleBasedStateMachine):
    """See the module. ``directory`` is shared by all examples, ``counts`` too."""

    def __init__(self, directory: Path, counts: Counter[str]) -> None:
        super().__init__()
        self.directory = directory / str(counts["examples"])
        self.directory.mkdir()
        self.counts = counts
        counts["examples"] += 1
        self.scene = Scene(self.directory, User(), MemoryStores(), StoppedClock())
        self.source = self.directory / "source"
        (self.source / "folder" / "deep").mkdir(parents=True)
        self.archives: dict[str, Archive] = {}
        self.client = 0
        self._chance = random.Random(0)
        self._newest_change_ns = 0  # of what the last backup has seen
        self._turn = self._number = 0
        self._zone = os.environ["TZ"]

    def teardown(self) -> None:
        """Every archive restores, in the end; and nothing is wrong with the repository."""
        try:
            if self.scene.stores.objects:
                for name in self.archives:
                    self._assert_restores(name)
                assert self._check(CheckOptions(verify_data=True)).problems == 0
        finally:
            set_zone(self._zone)
            shutil.rmtree(self.directory)

    def access(self) -> Access:
        """That of the client whose turn it is."""
        caches = self.directory / f"cache{self.client}"
        return self.scene.access()._replace(
            cache_dir=None if self.client == 2 else str(caches), randomness=self, threads=1
        )

    def token(self, length: int) -> bytes:
        """Randomness that is the same in each run."""
        return self._chance.randbytes(length)

    @initialize(mode=st.sampled_from(["none", "repokey", "authenticated"]))
    def init(self, mode: str) -> None:
        self.scene.user.agrees = True
        self.scene.init(mode, self.access())
        self.create([(FILES[0], 3_000, 0), (FILES[1], 30_000, 0)])

    # ---- what happens around a repository ------------------------------------------------------------------------

    @rule(client=st.integers(0, 2), zone=st.sampled_from(ZONES), second=st.sampled_from(INSTANTS))
    def somebody_else_elsewhere(self, client: int, zone: str, second: int) -> None:
        """Another client, in another time zone, with another idea of the time."""
        self.client = client
        set_zone(zone)
        self.scene.clock.ns = second * NS

    def _change(self, path: str, size: int | None) -> None:
        file = self.source / path
        if size is None:
            file.unlink(missing_ok=True)
            return
        pattern = self._chance.randbytes(self._chance.choice([2, max(size, 1)]))  # compresses well, or not at all
        file.write_bytes((pattern * size)[:size])
        while file.stat().st_ctime_ns <= self._newest_change_ns:  # the clock of a file system ticks slowly
            file.touch()

    def _let_time_go_by(self, jump_ns: int) -> None:
        self.scene.clock.ns = min(max(self.scene.clock.ns + jump_ns, EARLIEST_NS), LATEST_NS)

    # ---- commands ------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.archives) < ARCHIVES_MAX)
    @rule(backups=st.lists(st.tuples(st.sampled_from(FILES), SIZES, st.sampled_from(JUMPS_NS)), min_size=1, max_size=3))
    def create(self, backups: list[tuple[str, int | None, int]]) -> None:
        """As many backups; before each one file changes, and time goes by or back."""
        for path, size, jump_ns in backups:
            self._change(path, size)
            self._let_time_go_by(jump_ns)
            name, time_ns, events = self._unused_name(), self.scene.clock.ns, Recorder()
            self.scene.create(name, self.source, access=self.access(), events=events)
            assert events.problems == []
            self.archives[name] = Archive(time_ns, expected(self.source))
            self._newest_change_ns = max(file.stat().st_ctime_ns for file in [self.source, *self.source.rglob("*")])
            self.counts["creates"] += 1

    def _unused_name(self) -> str:
        self._number += 1
        return f"archive{self._number}"

    def _any(self, number: int) -> str:
        return sorted(self.archives)[number % len(self.archives)]

    @precondition(lambda self: self.archives)
    @rule(numbers=st.lists(NUMBERS, min_size=1, max_size=4))
    def delete(self, numbers: list[int]) -> None:
        names = {self._any(number) for number in numbers}
        options = DeleteOptions((*(ArchiveName(name) for name in sorted(names)), ArchiveName("nobody")))
        outcome = delete.archives(self.access(), options, Recorder(), lambda _: None)
        assert outcome.deleted == len(names)
        for name in names:
            del self.archives[name]
        self.counts["deletes"] += len(names)

    @precondition(lambda self: self.archives)
    @rule(number=NUMBERS)
    def rename(self, number: int) -> None:
        old, new = self._any(number), self._unused_name()
        rename.run(self.access(), ArchiveName(old), ArchiveName(new))
        self.archives[new] = self.archives.pop(old)
        self.counts["renames"] += 1

    @precondition(lambda self: self.archives)
    @rule(number=NUMBERS)
    def what_has_a_wrong_name_is_refused(self, number: int) -> None:
        there, access = self._any(number), self.access()
        before = dict(self.objects)
        with pytest.raises(ArchiveAlreadyExists):
            self.scene.create(there, self.source, access=access)
        with pytest.raises(ArchiveAlreadyExists):
            rename.run(access, ArchiveName(there), ArchiveName(there))
        for name in (there, "nobody else"):
            with pytest.raises(ArchiveDoesNotExist):
                diff.run(access, ArchiveName(name), ArchiveName("nobody"), DiffOptions(), Recorder())
        with pytest.raises(ArchiveDoesNotExist):
            recreate.run(access, ArchiveName("nobody"), RecreateOptions(), Recorder())
        assert self.objects == before

    @rule(
        counts=st.dictionaries(
            st.sampled_from(sorted(PERIODS)), st.sampled_from([1, 1, 2, -1]), min_size=1, max_size=2
        ),
        within_h=st.sampled_from([0, 0, 0, 1, 24, 24 * 365]),
        dry_run=st.booleans(),
    )
    def prune(self, counts: dict[str, int], within_h: int, dry_run: bool) -> None:
        policy = Policy(within_h, counts)
        times = {name: archive.time_ns for name, archive in self.archives.items()}
        kept = keep(times, counts, within_h, self.scene.clock.ns)
        options = PruneOptions(policy, dry_run=dry_run)
        told: list[Step] = []
        prune.run(self.access(), options, Recorder(), lambda _: None, told.append)
        assert {step.entry.name for step in told if step.reason is not None} == kept
        if not dry_run:
            self.counts["pruned"] += len(self.archives) - len(kept)
            self.archives = {name: archive for name, archive in self.archives.items() if name in kept}

    @precondition(lambda self: self.archives)
    @rule(number=NUMBERS, path=st.sampled_from(FILES), is_dated=st.booleans())
    def recreate(self, number: int, path: str, is_dated: bool) -> None:
        name = self._any(number)
        options = RecreateOptions(
            patterns=(Pattern("-", "pf", f"source/{path}".encode()),),
            timestamp_ns=self.scene.clock.ns if is_dated else None,
            pack_size=20_000,
        )
        recreate.run(self.access(), ArchiveName(name), options, Recorder())
        archive = self.archives[name]
        archive.contents = {item: data for item, data in archive.contents.items() if item != f"source/{path}"}
        if is_dated:
            archive.time_ns = self.scene.clock.ns
        self.counts["recreates"] += 1

    @rule(threshold=st.sampled_from([0, 0, 10, 50, 100]), dry_run=st.sampled_from([False, False, False, True]))
    def compact(self, threshold: int, dry_run: bool) -> None:
        before = dict(self.objects)
        outcome = compact.run(self.access(), CompactOptions(threshold, dry_run), Recorder())
        assert outcome.missing_chunks == 0
        if dry_run:
            assert self.objects == before
            return
        assert outcome.waiting_bytes == 0
        self.counts["compactions"] += 1
        self.counts["bytes freed"] += outcome.freed_bytes
        if threshold <= 10:
            assert stored_bytes(self.objects) <= FACTOR * self._fresh_bytes() + OVERHEAD_BYTES

    @rule(data=st.booleans(), repair=st.booleans())
    def check(self, data: bool, repair: bool) -> None:
        before = dict(self.objects)
        outcome = self._check(CheckOptions(verify_data=data, repair=repair))
        assert (outcome.problems, outcome.archives) == (0, len(self.archives))
        assert self.objects == before
        self.counts["checks"] += 1

    def _check(self, options: CheckOptions) -> CheckOutcome:
        events = Recorder()
        outcome = check.run(self.access(), options, events)
        assert events.problems == []
        return outcome

    @precondition(lambda self: self.archives)
    @rule(numbers=st.tuples(NUMBERS, NUMBERS))
    def diff(self, numbers: tuple[int, int]) -> None:
        old, new = (self._any(number) for number in numbers)
        events = Recorder()
        options = DiffOptions(content_only=True, json_lines=True)
        diff.run(self.access(), ArchiveName(old), ArchiveName(new), options, events)
        told = {json.loads(line)["path"] for line in events.shown.splitlines()}
        here, there = self.archives[old].contents, self.archives[new].contents
        assert told == {path for path in here | there if here.get(path, b"-") != there.get(path, b"-")}
        self.counts["diffs"] += 1

    # ---- what holds at every time --------------------------------------------------------------------------------

    @property
    def objects(self) -> Objects:
        """What is stored."""
        return self.scene.stores.objects["/repository"]

    @invariant()
    def what_is_listed_is_what_there_is(self) -> None:
        if not self.scene.stores.objects:
            return
        entries = listing.archives(self.access(), ArchiveFilter()).archives
        assert {str(entry.name): entry.head.time_ns for entry in entries} == {
            name: archive.time_ns for name, archive in self.archives.items()
        }
        times = [entry.head.time_ns for entry in entries]
        assert times == sorted(times)
        assert not any(name.startswith("sessions/") for name in self.objects)
        self.counts["steps"] += 1

    @invariant()
    def an_archive_restores(self) -> None:
        """One at a time, all in turn."""
        if self.archives:
            self._turn += 1
            self._assert_restores(sorted(self.archives)[self._turn % len(self.archives)])

    def _assert_restores(self, name: str) -> None:
        assert self.scene.restore(name, self.access()) == self.archives[name].contents, name
        shutil.rmtree(self.directory / "restored")
        self.counts["restored"] += 1

    def _fresh_bytes(self) -> int:
        """What a new repository needs for the same archives."""
        fresh = "/fresh"
        access = self.access()._replace(path=fresh, cache_dir=None)
        self.scene.stores.objects.pop(fresh, None)
        self.scene.init("none", access)
        for number, archive in enumerate(self.archives.values()):
            root = self.directory / "fresh" / str(number) / "source"
            for path, content in archive.contents.items():
                item = root.parent / path
                item.mkdir(parents=True) if content is None else item.write_bytes(content)
            self.scene.create(f"fresh{number}", root, access=access)
        shutil.rmtree(self.directory / "fresh", ignore_errors=True)
        return stored_bytes(self.scene.stores.objects.pop(fresh))


def stored_bytes(objects: Objects) -> int:
    """Of packs and indexes."""
    return sum(len(data) for name, data in objects.items() if name.startswith(("packs/", "indexes/")))


def set_zone(zone: str) -> None:
    """The time zone of this process."""
    os.environ["TZ"] = zone
    time.tzset()


def keep(times: dict[str, int], counts: dict[str, int], within_h: int, now_ns: int) -> set[str]:
    """What a policy keeps, as the manual of Borg words it."""
    newest_first = sorted(times, key=lambda name: (times[name], name), reverse=True)
    kept = {name for name in times if within_h and times[name] > now_ns - within_h * 3600 * NS}
    epoch = datetime(1970, 1, 1)  # noqa: DTZ001 (the local one is found by addition)
    for period, pattern in PERIODS.items():
        left = counts.get(period, 0)
        seen: list[str] = []
        for name in newest_first:
            seconds = times[name] // NS
            offset_s = time.localtime(seconds).tm_gmtoff
            label = (epoch + timedelta(seconds=seconds + offset_s)).strftime(pattern)
            if left and label not in seen[-1:]:
                seen.append(label)
                left -= name not in kept
                kept.add(name)
        if left > 0 and newest_first:
            kept.add(newest_first[-1])
    return kept
