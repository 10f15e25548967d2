"""Takes the samples: sets up repositories and trees, runs one program at a time, checks what it did."""

import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from subprocess import CalledProcessError

import workloads
from measure import Command, CommandError, Sample, measure, settle, size_of, warm
from programs import ARCHIVE, Program
from rows import Action, Row
from trees import Manifest, WrongResultError, compare, compare_one, manifest

SECOND = "second"
HISTORY = 4  # archives
HISTORY_SHARE = 10  # each has one in so many files changed


@dataclass
class Series:
    """The samples of one program on one row."""

    samples: list[Sample] = field(default_factory=list)
    error: str = ""
    note: str = ""


Rows = dict[str, Series]  # by program
Results = dict[tuple[str, str], Rows]  # by row key and compression


class Bench:
    """The scratch directory and the trees in it."""

    def __init__(self, work: Path, scale: float, say: Callable[[str], None]) -> None:
        self.work, self.scale, self.say = work, scale, say
        self.sources = work / "sources"
        self.target = work / "target"
        self.output = work / "output"
        self.manifests: dict[Path, Manifest] = {}
        self.clear()

    def clear(self) -> None:
        """Remove all but the sources, which another run can use again."""
        for name in ("state", "saved", "target", "aside", "output"):
            shutil.rmtree(self.work / name, ignore_errors=True)

    def run(
        self, row: Row, kinds: Sequence[type[Program]], binaries: Mapping[str, Path], level: str, runs: int
    ) -> Rows:
        """All runs of a row in turn (A B C A B C ...), the source warm."""
        programs = [
            kind(binaries[kind.name], self.work / "state" / kind.name / self.place(row, level), level)
            for kind in kinds
            if level in kind.compressions
        ]
        series = {program.name: Series() for program in programs}
        tree = self.prepare(row, programs, series)
        for number in range(runs):
            for program in programs:
                mine = series[program.name]
                with self.failures(mine, f"{row.key} {level} run {number + 1}: {program.name}") as said:
                    if not mine.error:
                        mine.samples.append(self.sample(row, program, tree, mine, last=number == runs - 1))
                        said.append(f"{mine.samples[-1].wall:.3f} s")
        return series

    def place(self, row: Row, level: str) -> str:
        """Rows with the same preparation share it."""
        return f"{'history-' if row.action is Action.FREE else ''}{row.workload}-{level}"

    def prepare(self, row: Row, programs: Sequence[Program], series: Mapping[str, Series]) -> Path:
        """The row's source tree, warm. Bases are made here: before timing starts, and before the tree is changed."""
        tree = workloads.ensure(row.workload, self.sources, self.scale)
        self.manifests.clear()
        warm(tree)
        if row.action is Action.FREE:
            return self.histories(row, programs, series, tree)
        if row.action is not Action.FIRST:
            for program in programs:
                with self.failures(series[program.name], f"{row.key}: base of {program.name}"):
                    self.ensure_base(program, tree)
        if row.action is Action.CHANGED:
            workloads.change(self.sources, self.scale)
            warm(tree)
        return tree

    def histories(self, row: Row, programs: Sequence[Program], series: Mapping[str, Series], tree: Path) -> Path:
        """Repositories of four archives, of which each has a tenth of the files changed since the one before."""
        changing = self.sources / f"history-{row.workload}"
        shutil.rmtree(changing, ignore_errors=True)
        subprocess.run(["cp", "-a", "--", str(tree), str(changing)], check=True)
        for program in programs:
            with self.failures(series[program.name], f"{row.key}: base of {program.name}"):
                self.fresh(program)
        for number in range(HISTORY):
            if number:
                workloads.change_share(changing, number, HISTORY_SHARE)
            for program in programs:
                with self.failures(series[program.name], f"{row.key}: archive {number} of {program.name}"):
                    measure(program.create(changing, f"history-{number}"), self.output)
        for program in programs:
            self.copy(program.home, self.saved(program))
        self.manifests.clear()
        return changing

    @contextmanager
    def failures(self, series: Series, what: str) -> Iterator[list[str]]:
        """A program that fails, or does wrong, is out of the row; the others go on."""
        said: list[str] = []
        try:
            yield said
        except (CommandError, WrongResultError, CalledProcessError) as error:
            series.error, series.samples = str(error), []
            said = [f"FAILED: {error}"]
        if said:
            self.say(f"{what} {said[0]}")

    def sample(self, row: Row, program: Program, tree: Path, series: Series, last: bool) -> Sample:
        """One run of one program, checked."""
        self.set_aside()
        self.target.mkdir()
        if row.action is Action.FIRST:
            self.fresh(program)
            sample = self.timed(program, program.create(tree, ARCHIVE))
            self.copy(program.home, self.saved(program))
            if last and row.workload == "usr":  # it has no row that restores it
                series.note = self.verify(program, tree, ARCHIVE)
            return sample
        self.copy(self.saved(program), program.home)
        match row.action:
            case Action.RESTORE:
                sample = self.timed(program, program.restore(tree, self.target))
                series.note = compare(self.manifest(tree), self.target)
            case Action.ONE:
                files = sorted(path for path, entry in self.manifest(tree).items() if entry.kind == "file")
                inside = Path(files[len(files) // 2])
                sample = self.timed(program, program.restore_one(tree, inside, self.target))
                compare_one(self.manifest(tree)[str(inside)], inside.name, self.target)
            case Action.LIST:
                sample = self.timed(program, program.list(tree))
                self.verify_list(tree)
            case Action.CHECK:
                sample = self.timed(program, program.check())
            case Action.FREE:
                before = size_of(program.repository)
                sample = self.timed(program, program.free(tree))
                series.note = f"{(before - sample.repository) / 2**20:.0f} MiB freed"
                if last:
                    self.verify(program, tree, f"history-{HISTORY - 1}")
            case _:
                sample = self.timed(program, program.create(tree, SECOND, reread=row.action is Action.REREAD))
                if last:
                    series.note = self.verify(program, tree, SECOND)
        return sample

    def set_aside(self) -> None:
        """Keep what was restored until the end. ext4 avoids inodes freed in the last minutes and looks at each of them
        for every new file: after a tree of 100,000 files is removed, the next restore takes three times as long.
        """
        if self.target.exists():
            aside = self.work / "aside"
            aside.mkdir(exist_ok=True)
            self.target.rename(aside / str(len(list(aside.iterdir()))))

    def timed(self, program: Program, command: Command) -> Sample:
        settle()
        return replace(measure(command, self.output), repository=size_of(program.repository))

    def verify(self, program: Program, tree: Path, archive: str) -> str:
        """Restore, not for time but to see that the archive is whole."""
        measure(program.restore(tree, self.target, archive), self.output)
        return compare(self.manifest(tree), self.target)

    def verify_list(self, tree: Path) -> None:
        files = sum(entry.kind == "file" for entry in self.manifest(tree).values())
        with (self.output / "stdout").open("rb") as listing:
            lines = sum(1 for _ in listing)
        if lines < files:
            raise WrongResultError(f"{lines} lines for {files} files")

    def manifest(self, tree: Path) -> Manifest:
        if tree not in self.manifests:
            self.manifests[tree] = manifest(tree)
        return self.manifests[tree]

    def fresh(self, program: Program) -> None:
        shutil.rmtree(program.home, ignore_errors=True)
        program.home.mkdir(parents=True)
        for command in program.init():
            measure(command, self.output)

    def ensure_base(self, program: Program, tree: Path) -> None:
        """A saved repository that has the tree as its only archive."""
        if not self.saved(program).exists():
            self.fresh(program)
            measure(program.create(tree, ARCHIVE), self.output)
            self.copy(program.home, self.saved(program))

    def saved(self, program: Program) -> Path:
        return self.work / "saved" / program.home.relative_to(self.work / "state")

    def copy(self, source: Path, target: Path) -> None:
        """With the times, which some caches compare. A repository is used at one path only: caches know it by that."""
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-a", "--", str(source), str(target)], check=True, capture_output=True)
