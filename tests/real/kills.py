"""Kill commands at random instants, one after another, in one repository; and know what must be there after each kill.

A killed command has done what it was to do, or has not, or in part. What that leaves open is written down before (an
archive that ``may_be`` there, two pictures that it may have) and decided by the next look at the repository.
"""

import os
import random
import statistics
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.real.forking import Forker, Result
from tests.real.pictures import Picture, Tree, picture, without

TYPICAL_S = 0.1  # before a command has ended once
WHOLE_CYCLES = 12  # between two checks of everything
ARCHIVES_MAX = 12


@dataclass
class Known:
    """One archive, as far as it is known."""

    pictures: list[Picture]  # it is one of them
    second: int  # its time
    may_be: bool = False  # it need not be there
    instead: str | None = None  # then this one must be there


@dataclass
class Kills:
    """A repository, a tree, and all that was done with them. Everything but the instants follows from ``seed``."""

    directory: Path
    seed: int
    counts: Counter[str] = field(default_factory=Counter)
    archives: dict[str, Known] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.repository = self.directory / "repository"
        self.tree = Tree(self.directory / "source", self.chance)
        self.tree.change()
        self._number = 0
        self._seconds: dict[tuple[str, bool], deque[float]] = {}
        self._commands: list[str] = []  # with their exit codes
        env = os.environ | {"BORK_CHECK_I_KNOW_WHAT_I_AM_DOING": "YES"}
        self.forker = Forker(self.directory / "said", self.directory / "source", env)
        self.must("init", "--encryption", "none", self.repository)

    def run(self, kills: int) -> None:
        """Go on until so many commands were killed while they ran, then look at everything."""
        cycles = 0
        with self.forker:
            while self.counts["kills"] < kills:
                self._kill_one()
                while self.chance.random() < 0.2:
                    self._kill_one()
                self._next_command()
                self._look()
                self._restore(self.chance.choice(sorted(self.archives))) if self.archives else None
                cycles += 1
                if cycles % WHOLE_CYCLES == 0:
                    self.must("check", "--verify-data", self.repository)
            self._settle()

    # ---- commands ------------------------------------------------------------------------------------------------

    def _run(self, *words: str | Path, kill_after_s: float | None = None, anew: bool = False) -> Result:
        result = self.forker.run(*words, kill_after_s=kill_after_s, anew=anew)
        self._commands.append(f"  {result.code} {' '.join(result.words)}")
        return result

    def must(self, *words: str | Path) -> Result:
        """A command that nothing disturbs: it works, and waits for nobody."""
        result = self._run(*words)
        assert result.code == 0, f"seed {self.seed}: {result.words}: {result.code}\n{result.out}{result.err}"
        self._measure(result, anew=False)
        self.counts["commands"] += 1
        return result

    def _measure(self, result: Result, *, anew: bool) -> None:
        self._seconds.setdefault((result.words[0], anew), deque(maxlen=5)).append(result.seconds)

    def _kill_one(self) -> None:
        words, effect = self._choose()
        anew = self.chance.random() < 0.2
        seconds = self._seconds.get((str(words[0]), anew), [TYPICAL_S * (2 if anew else 1)])
        result = self._run(*words, kill_after_s=self.chance.random() * 1.1 * statistics.median(seconds), anew=anew)
        if result.was_killed:
            self.counts["kills"] += 1
            self.counts[f"of {words[0]}"] += 1
            effect(killed=True)
            return
        # It may have met what an earlier killed one has left, but never fails for it.
        assert result.code == 0, f"seed {self.seed}: {result.words}: {result.code}\n{result.out}{result.err}"
        self._measure(result, anew=anew)
        effect(killed=False)

    def _next_command(self) -> None:
        """The first one after a kill that is not killed."""
        if self.chance.random() < 0.3:
            self._look()
        words, effect = self._choose()
        self.must("--lock-wait", "0", *words)
        effect(killed=False)
        assert os.listdir(self.repository / "sessions") == [], f"seed {self.seed}: {words} leaves a dead session"
        if words[0] in ("create", "compact", "recreate"):
            assert os.listdir(self.repository / "tmp") == ["reserve"], f"seed {self.seed}: {words} does not tidy up"

    def _choose(self) -> tuple[list[str | Path], Callable[..., None]]:
        """Words of a command that fits, and what it does to what is known."""
        certain = sorted(name for name, known in self.archives.items() if not known.may_be and len(known.pictures) == 1)
        # Nobody prunes while it is open what there is: the answer would be open, too.
        is_open = len(certain) < len(self.archives)
        verbs = ["create"] * 5 + ["compact"] * 3 + ["check"]
        if certain:
            verbs += ["delete"] * 2 + ["rename"] * 2
        whole = [name for name in certain if not name.endswith(".recreate")]  # Borg refuses those, too
        verbs += ["recreate"] * (3 if whole else 0)
        if not is_open and len(certain) > 3:
            verbs += ["prune"] * (3 if len(certain) < ARCHIVES_MAX else 20)
        verb = self.chance.choice(verbs)
        name = self.chance.choice((whole if verb == "recreate" else certain) or [""])
        return {
            "create": self._create,
            "compact": self._compact,
            "check": self._repair,
            "delete": lambda: self._delete(name),
            "rename": lambda: self._rename(name),
            "recreate": lambda: self._recreate(name),
            "prune": self._prune,
        }[verb]()

    def _create(self) -> tuple[list[str | Path], Callable[..., None]]:
        name, second = self._new_name(), self._number
        now = self.tree.change()

        def effect(*, killed: bool) -> None:
            self.archives[name] = Known([now], second, may_be=killed)

        minutes, seconds = divmod(second, 60)
        time = f"2020-01-{1 + minutes // 1440:02}T{minutes // 60 % 24:02}:{minutes % 60:02}:{seconds:02}"
        return ["create", "--timestamp", time, f"{self.repository}::{name}", "."], effect

    def _new_name(self) -> str:
        self._number += 1
        return f"archive{self._number}"

    def _compact(self) -> tuple[list[str | Path], Callable[..., None]]:
        threshold = self.chance.choice((0, 0, 10, 60))
        return ["compact", "--threshold", str(threshold), self.repository], _nothing

    def _repair(self) -> tuple[list[str | Path], Callable[..., None]]:
        return ["check", "--repair", self.repository], _nothing

    def _delete(self, name: str) -> tuple[list[str | Path], Callable[..., None]]:
        def effect(*, killed: bool) -> None:
            if killed:
                self.archives[name].may_be = True
            else:
                del self.archives[name]

        return ["delete", f"{self.repository}::{name}"], effect

    def _rename(self, name: str) -> tuple[list[str | Path], Callable[..., None]]:
        new = self._new_name()

        def effect(*, killed: bool) -> None:
            old = self.archives[name]
            self.archives[new] = Known(old.pictures, old.second, may_be=killed, instead=name if killed else None)
            if killed:
                old.may_be, old.instead = True, new
            else:
                del self.archives[name]

        return ["rename", f"{self.repository}::{name}", new], effect

    def _recreate(self, name: str) -> tuple[list[str | Path], Callable[..., None]]:
        known = self.archives[name]
        files = [path for path, entry in known.pictures[0].items() if "file" in path]
        gone = self.chance.choice(files) if files and self.chance.random() < 0.7 else ""
        new = without(known.pictures[0], gone)
        words: list[str | Path] = ["recreate"]
        words += ["--exclude", f"pf:{gone}"] if gone else ["--compression", "zlib", "--recompress", "always"]

        def effect(*, killed: bool) -> None:
            known.pictures = [new, *known.pictures] if killed else [new]
            left = self.archives.pop(f"{name}.recreate", None)  # by an earlier killed one
            if left is not None and left.instead in self.archives:  # it may go now under either name
                self.archives[left.instead].instead = None
            if killed:
                older = [] if left is None else left.pictures
                self.archives[f"{name}.recreate"] = Known([new, *older], known.second, may_be=True)

        return [*words, f"{self.repository}::{name}"], effect

    def _prune(self) -> tuple[list[str | Path], Callable[..., None]]:
        count = self.chance.randint(2, 5)
        # What a killed recreate has left beside the archive itself is no concern of the rules.
        twins = {f"{name}.recreate" for name in self.archives} & set(self.archives)
        judged = {name: known.second for name, known in self.archives.items() if name not in twins}
        kept = kept_last(judged, count) | twins

        def effect(*, killed: bool) -> None:
            for name in set(self.archives) - kept:
                if killed:
                    self.archives[name].may_be = True
                else:
                    del self.archives[name]

        return ["prune", "--keep-last", str(count), self.repository], effect

    # ---- looks ---------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Compare the list with what is known, and decide what was open."""
        listed = set(self.must("list", "--short", self.repository).out.split())
        said = f"seed {self.seed}: listed {sorted(listed)}"
        assert listed <= set(self.archives), f"{said}, but not known: {sorted(listed - set(self.archives))}"
        for name, known in list(self.archives.items()):
            if name not in listed:
                assert known.may_be, f"{said}, but {name} is lost"
                assert known.instead is None or known.instead in listed, f"{said}: neither {name} nor {known.instead}"
                del self.archives[name]
        for name, known in self.archives.items():
            known.may_be, known.instead = False, None
            if len(known.pictures) > 1:
                self._restore(name)

    def _restore(self, name: str) -> None:
        self._number += 1
        target = self.directory / f"restored{self._number}"
        target.mkdir()
        result = self.forker.run("extract", f"{self.repository}::{name}", cwd=target)
        assert (result.code, result.err) == (0, ""), f"seed {self.seed}: {name}: {result.err}"
        restored = picture(target)
        known = self.archives[name]
        assert restored in known.pictures, (
            f"seed {self.seed}: {name} is not what it was\n{self._history(name, restored)}"
        )
        known.pictures = [restored]
        self.counts["restored"] += 1
        remove(target)

    def _history(self, name: str, restored: Picture) -> str:
        """What a reader needs who was not there: the differences, and every command so far."""
        lines = [f"  {path}: {entry}" for path, entry in restored.items()]
        for known in self.archives[name].pictures:
            lines += ["instead of:", *(f"  {path}: {entry}" for path, entry in known.items())]
        return "\n".join([*lines, "commands:", *self._commands])

    def _settle(self) -> None:
        """Everything is there, sound, and as small as it can be."""
        self._look()
        for name in self.archives:
            self._restore(name)
        self.must("check", "--verify-data", self.repository)
        self.must("compact", "--threshold", "0", self.repository)
        self.must("check", "--verify-data", self.repository)
        for name in self.archives:
            self._restore(name)


def kept_last(times: Mapping[str, int], count: int) -> set[str]:
    """What ``--keep-last`` keeps: the newest of each second, and the oldest of all where that makes fewer."""
    newest_first = sorted(times, key=lambda name: (times[name], name), reverse=True)
    seconds: dict[int, str] = {}
    for name in newest_first:
        seconds.setdefault(times[name], name)
    kept = list(seconds.values())[:count]
    return {*kept, newest_first[-1]} if len(kept) < count else set(kept)


def _nothing(*, killed: bool) -> None:
    """What is known stays as it is."""


def remove(tree: Path) -> None:
    """Like ``rm -r``."""
    for path in sorted(tree.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    tree.rmdir()
