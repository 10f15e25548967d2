"""Several processes at work in one repository at a time, without a pause, and a judge over what they were told.

Two write (one of them is killed now and then), one prunes and compacts, one deletes, one restores and checks. An
archive counts as complete when its command has ended with success, and as gone from the instant at which somebody sets
out to delete it. Everything else has to be there at the end, bit for bit.
"""

import os
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.real.forking import Forker, Result
from tests.real.kills import remove
from tests.real.pictures import Picture, Tree, picture

KEPT = 5  # archives of each writer
UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}


class Together:
    """One repository. Several threads use this object, each for one process at a time."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.directory, self.repository, self.seed = directory, directory / "repository", seed
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._complete: dict[str, Picture] = {}
        self._perhaps: dict[str, Picture] = {}  # their commands were killed
        self._begun: dict[str, int] = {}  # by writer: the number of its newest archive, complete or not
        self._deleting: set[str] = set()  # somebody has set out to delete them
        self._pruned: set[str] = set()
        self._not_found: set[str] = set()  # somebody was told that they do not exist

    def run(self, seconds: float) -> None:
        """Let all work, then look at everything."""
        with self._forker("judge") as judge:
            self._must(judge, "init", "--encryption", "none", self.repository)
            actors: list[Callable[[], None]] = [
                lambda: self._write("one", kills=False),
                lambda: self._write("two", kills=True),
                self._prune_and_compact,
                self._delete,
                self._restore_some,
            ]
            with ThreadPoolExecutor(len(actors)) as threads:
                futures = [threads.submit(self._act, actor) for actor in actors]
                self._stop.wait(seconds)
                self._stop.set()
            for future in futures:
                future.result()
            self._settle(judge)

    def _act(self, actor: Callable[[], None]) -> None:
        try:
            actor()
        finally:
            self._stop.set()

    @contextmanager
    def _forker(self, name: str) -> Iterator[Forker]:
        """Processes with a home and so a cache of their own, as if on a machine of their own."""
        home = self.directory / name
        home.mkdir()
        with Forker(home / "said", home, os.environ | {"HOME": str(home)}) as forker:
            yield forker

    def _must(self, forker: Forker, *words: str | Path, cwd: Path | None = None, anew: bool = False) -> Result:
        result = forker.run(*words, cwd=cwd, anew=anew)
        assert result.code == 0, f"{result.words}: {result.code}\n{result.out}{result.err}"
        return result

    # ---- who is at work ------------------------------------------------------------------------------------------

    def _write(self, writer: str, *, kills: bool) -> None:
        chance = random.Random(f"{self.seed} {writer}")
        with self._forker(writer) as forker:
            tree = Tree(self.directory / writer / "source", chance)
            last_s, number = 0.2, 0
            while not self._stop.is_set():
                number += 1
                name, now = f"{writer}-{number}", tree.change()
                self._begun[writer] = number
                is_victim = kills and chance.random() < 0.25
                time_ = f"2020-01-{1 + number // 86400:02}T" + time.strftime("%H:%M:%S", time.gmtime(number % 86400))
                words = ("create", "--timestamp", time_, f"{self.repository}::{name}", ".")
                result = forker.run(
                    *words,
                    cwd=tree.root,
                    anew=chance.random() < 0.2,
                    kill_after_s=chance.random() * last_s if is_victim else None,
                )
                if result.was_killed:
                    self._count("killed creates")
                    self._perhaps[name] = now
                    continue
                assert result.code == 0, f"{words}: {result.code}\n{result.out}{result.err}"
                last_s = result.seconds
                self._count("archives made")
                with self._lock:
                    self._complete[name] = now

    def _prune_and_compact(self) -> None:
        chance = random.Random(f"{self.seed} compact")
        with self._forker("compactor") as forker:
            while not self._stop.is_set():
                for writer in ("one", "two"):
                    result = self._must(
                        forker, "prune", "--list", "--keep-last", str(KEPT), "--prefix", f"{writer}-", self.repository
                    )
                    self._note_pruned(re.findall(r"^Pruning archive.*?: +(\S+)", result.err, re.MULTILINE))
                for _ in range(chance.randint(1, 3)):
                    threshold = chance.choice(("0", "10", "50"))
                    result = self._must(forker, "compact", "--verbose", "--threshold", threshold, self.repository)
                    self._count("compactions")
                    found = re.search(r"freed about (-?[\d.]+) (\w+) ", result.err)
                    assert found, result.err
                    self._count("kB freed", int(float(found[1]) * UNITS[found[2]]) // 1000)

    def _note_pruned(self, names: list[str]) -> None:
        for name in names:
            writer, _, number = name.partition("-")
            assert self._begun[writer] - int(number) >= KEPT, f"{name} was pruned and is one of the newest"
            self._count("pruned")
            self._pruned.add(name)

    def _delete(self) -> None:
        chance = random.Random(f"{self.seed} delete")
        with self._forker("deleter") as forker:
            while not self._stop.is_set():
                name = self._any(chance)
                if name is None or chance.random() < 0.6:
                    self._stop.wait(0.3)
                    continue
                with self._lock:
                    self._deleting.add(name)
                result = forker.run("delete", f"{self.repository}::{name}")
                assert result.code in (0, 1), f"{result.words}: {result.code}\n{result.out}{result.err}"
                if result.code == 0:
                    self._count("deleted")
                else:
                    assert "not found" in result.err, result.err
                    self._not_found.add(name)

    def _restore_some(self) -> None:
        chance = random.Random(f"{self.seed} restore")
        with self._forker("reader") as forker:
            self._must(forker, "list", self.repository)  # it says once that the repository is not encrypted
            while not self._stop.is_set():
                name = self._any(chance)
                if chance.random() < 0.15:
                    self._check_beside(forker)
                elif name is None:
                    self._stop.wait(0.1)
                elif self._restore(forker, name, self._complete[name]):
                    self._count("restored beside")
                else:
                    self._not_found.add(name)

    def _check_beside(self, forker: Forker) -> None:
        """It may take for damaged what is deleted and compacted away under it (SHORTCOMINGS.md), nothing else."""
        result = forker.run("check", self.repository)
        self._count("checks beside")
        problems = [line for line in result.err.splitlines() if " found in /" not in line]
        if result.code == 1:
            self._count("checks that met deleted archives")
            self._not_found.update(re.split("[:/]", line)[0] for line in problems)
        else:
            assert (result.code, problems) == (0, []), f"{result.code}\n{result.err}"

    def _any(self, chance: random.Random) -> str | None:
        """A complete archive that nobody has deleted yet."""
        with self._lock:
            names = sorted(set(self._complete) - self._deleting - self._pruned)
        return chance.choice(names) if names else None

    def _count(self, what: str, number: int = 1) -> None:
        with self._lock:
            self.counts[what] += number

    # ---- judgement -----------------------------------------------------------------------------------------------

    def _restore(self, forker: Forker, name: str, expected: Picture) -> bool:
        """False: it does not exist."""
        target = self.directory / f"restored-{time.monotonic_ns()}"
        target.mkdir()
        result = forker.run("extract", f"{self.repository}::{name}", cwd=target)
        if result.code == 2 and "does not exist" in result.err:
            target.rmdir()
            return False
        if result.code and name in self._deleting | self._pruned:
            self._count("deleted while they were restored")
            remove(target)
            return False
        assert (result.code, result.err) == (0, ""), f"{name}: {result.code} {result.err}"
        assert picture(target) == expected, f"{name} is not what it was"
        remove(target)
        return True

    def _settle(self, judge: Forker) -> None:
        self._look(judge)
        self._must(judge, "compact", "--threshold", "0", self.repository)
        self._look(judge)
        assert os.listdir(self.repository / "sessions") == []
        assert os.listdir(self.repository / "tmp") == ["reserve"]

    def _look(self, judge: Forker) -> None:
        listed = set(self._must(judge, "list", "--short", self.repository).out.split())
        gone = self._deleting | self._pruned
        assert self._not_found <= gone, f"not found, though nobody deleted them: {self._not_found - gone}"
        assert set(self._complete) - gone <= listed, f"lost: {set(self._complete) - gone - listed}"
        assert listed <= (set(self._complete) - gone) | set(self._perhaps)
        for name in sorted(listed):
            assert self._restore(judge, name, (self._complete | self._perhaps)[name])
            self._count("restored at the end")
        self._must(judge, "check", "--verify-data", self.repository)
