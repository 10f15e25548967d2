"""Lines that are cut, between any two frames: no archive, nothing left on the client, and the next pull goes on."""

import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import Bork
from tests.pull.agent import program
from tests.pull.speaker import DONE, OBJECT, QUERY, UNIT
from tests.real.program import assert_clear

ROOT = Path(__file__).resolve().parent.parent.parent
pytestmark = pytest.mark.timeout(400)


class Frame(NamedTuple):
    way: str  # "up": from the agent
    kind: int
    length: int


class Pulls:
    """Pulls of one tree through a line that can be cut."""

    def __init__(self, bork: Bork, directory: Path, tree: Path) -> None:
        self.bork, self._tree = bork, tree
        self.repository = directory / "repository"
        self.temporary = directory / "client tmp"
        self.temporary.mkdir()
        self._log = directory / "log"
        bork("init", "-e", "none", self.repository)

    def __call__(self, archive: str, cut: str = "none", *options: str, exit_code: int | None = 0) -> list[Frame]:
        """The frames that went over the line."""
        self._log.write_text("")
        words = [sys.executable, "-m", "tests.pull.proxy", cut, str(self._log)]
        rsh = shlex.join(["env", f"TMPDIR={self.temporary}", "XDG_RUNTIME_DIR=", f"PATH={os.defpath}", *words])
        location = f"client:{self._tree}"
        ended = self.bork(
            "pull", *options, "--rsh", rsh, location, f"{self.repository}::{archive}", cwd=ROOT, exit_code=exit_code
        )
        assert_clear(ended.returncode, ended.stderr, cut)
        if exit_code:
            assert ended.stderr.strip(), "it says why"
        lines = [line.split() for line in self._log.read_text().splitlines()]
        return [Frame(way, int(kind), int(length)) for way, kind, length in lines]

    def archives(self) -> list[str]:
        return self.bork("list", "--short", self.repository).stdout.decode().split()

    def leftovers(self) -> list[str]:
        return os.listdir(self.temporary)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    root.mkdir()
    for number in range(30):
        (root / f"file {number}").write_bytes(os.urandom(1000 + 40_000 * (number % 3)))
    return root


@pytest.fixture
def pulls(bork: Bork, tmp_path: Path, tree: Path) -> Iterator[Pulls]:
    """Every pull sends the agent: there is none in the PATH."""
    assert program().stat().st_size > 1 << 20
    pulls = Pulls(bork, tmp_path, tree)
    yield pulls
    assert pulls.leftovers() == []


def changed(tree: Path) -> None:
    for number in (3, 11, 17):
        (tree / f"file {number}").write_bytes(os.urandom(50_000))


def test_a_line_that_is_cut_between_any_two_frames_commits_nothing_and_leaves_nothing(pulls: Pulls, tree: Path) -> None:
    """The second pull of a tree has all frames: leaves, credit, queries, answers."""
    pulls("first")
    changed(tree)
    ways = {"up": 0, "down": 0}
    for frame in pulls("second"):
        ways[frame.way] += 1
    assert min(ways.values()) >= 3
    changed(tree)
    for way, count in ways.items():
        for number in range(count):
            frames = pulls("cut", f"{way}:{number}", exit_code=None)
            if "cut" in pulls.archives():  # the line was cut behind the last frame that anybody needed
                assert any(frame.kind == DONE for frame in frames), (way, number)
                pulls.bork("delete", f"{pulls.repository}::cut")
            assert pulls.leftovers() == []
    assert pulls.archives() == ["first", "second"]
    pulls.bork("check", "--verify-data", pulls.repository)
    pulls("third")
    assert pulls.archives() == ["first", "second", "third"]


@pytest.mark.parametrize("count", [0, 1, 100_000, 1_500_000])
def test_a_line_that_is_cut_while_the_agent_is_sent_leaves_nothing(pulls: Pulls, count: int) -> None:
    assert pulls("cut", f"sent:{count}", exit_code=2) == []
    assert pulls.leftovers() == []
    assert pulls.archives() == []
    pulls("whole")


def bytes_of(frames: list[Frame], kind: int = OBJECT) -> int:
    return sum(frame.length for frame in frames if frame.kind == kind)


def test_the_next_pull_sends_less_of_what_has_changed(pulls: Pulls, tree: Path) -> None:
    whole = pulls("first")
    changed(tree)
    again = pulls("second")
    assert bytes_of(again) < bytes_of(whole) / 4
    assert any(frame.kind == QUERY for frame in again)
    assert [frame for frame in pulls("third") if frame.kind in (OBJECT, QUERY)] == []
    assert any(frame.kind == UNIT for frame in again)


def test_what_had_arrived_is_neither_stored_nor_sent_again(pulls: Pulls, tree: Path) -> None:
    """A pack that is complete is stored, whatever becomes of the archive, and the server knows from whom it came."""
    (tree / "large").write_bytes(os.urandom(120 << 20))
    total = 120 << 20
    pulls("cut", "up:90", exit_code=2)
    kept = sum(path.stat().st_size for path in (pulls.repository / "packs").rglob("*") if path.is_file())
    assert kept > total // 8
    frames = pulls("whole")
    assert bytes_of(frames) < total - kept // 2
    assert [frame for frame in pulls("again") if frame.kind in (OBJECT, QUERY)] == [], "and then the archive says it"
    stored = sum(path.stat().st_size for path in (pulls.repository / "packs").rglob("*") if path.is_file())
    assert stored < total * 1.1
