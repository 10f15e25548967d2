"""After damage, or on a disk that is too small: what can be restored is, and nothing else is taken for it."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Bork
from tests.real.disks import mount_tmpfs, unmount
from tests.real.program import assert_clear

pytestmark = pytest.mark.usefixtures("plain")
DIRECTORIES, FILES = 60, 100
NODES = 2  # byte 9 of a pack: its kind


class Scene:
    """A repository, and where its archives are restored."""

    def __init__(self, directory: Path, bork: Bork) -> None:
        self.directory, self.bork = directory, bork
        self.source, self.repository = directory / "source", directory / "repository"
        self.source.mkdir()
        bork("init", "--encryption", "none", self.repository)

    def create(self, name: str) -> None:
        self.bork("create", f"{self.repository}::{name}", ".", cwd=self.source)

    def extract(self, name: str, target: Path, code: int, *options: str) -> str:
        target.mkdir(exist_ok=True)
        said = self.bork("extract", *options, f"{self.repository}::{name}", cwd=target, exit_code=code)
        assert_clear(said.returncode, said.stderr)
        return os.fsdecode(said.stderr)

    def pack(self, *, of_nodes: bool) -> Path:
        """The largest of its kind."""
        packs = [path for path in self.repository.glob("packs/*/*") if (path.read_bytes()[9] == NODES) == of_nodes]
        return max(packs, key=lambda path: path.stat().st_size)


@pytest.fixture
def scene(tmp_path: Path, bork: Bork, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setenv("BORK_CHECK_I_KNOW_WHAT_I_AM_DOING", "YES")
    return Scene(tmp_path, bork)


def damage(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"XXXX")


def files(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


def test_all_but_the_items_of_a_damaged_node_is_restored_and_the_gap_is_named(scene: Scene) -> None:
    for directory in range(DIRECTORIES):
        (scene.source / f"{directory:02}").mkdir()
        for number in range(FILES):
            (scene.source / f"{directory:02}" / f"a rather long name {number:02}").write_text(f"{directory} {number}")
    scene.create("one")
    everything = files(scene.source)
    pack = scene.pack(of_nodes=True)
    damage(pack, pack.stat().st_size // 2)
    for number in range(2):
        said = scene.extract("one", scene.directory / f"restored {number}", 2)
        assert said.count("a part of the list of files is lost, from here to before") == 1
        first, after = said.splitlines()[0].partition(": ")[0], said.partition('before "')[2].partition('"')[0]
        expected = {path: text for path, text in everything.items() if not first <= path < after}
        assert 0 < len(expected) < len(everything)
        assert files(scene.directory / f"restored {number}") == expected
        listed = scene.bork("list", "--format", "{type} {path}{NL}", f"{scene.repository}::one", exit_code=None)
        assert listed.returncode in (1, 2)
        assert {line[2:] for line in os.fsdecode(listed.stdout).splitlines() if line[0] == "-"} == set(expected)
        assert b"a part of the list of files is lost" in listed.stderr
        tar = scene.bork("export-tar", f"{scene.repository}::one", "-", exit_code=2)  # must not look complete
        assert not tar.stdout.endswith(bytes(1024))
        scene.bork("check", "--repair", scene.repository, exit_code=1)
    scene.create("two")
    assert scene.extract("one", scene.directory / "healed", 0) == ""
    assert files(scene.directory / "healed") == everything


def test_further_names_of_a_file_that_is_lost_are_named_and_what_is_there_stays(scene: Scene) -> None:
    (scene.source / "a").write_bytes(os.urandom(1000))
    os.link(scene.source / "a", scene.source / "b")
    scene.create("one")
    damage(scene.pack(of_nodes=False), 100)
    target = scene.directory / "target"
    target.mkdir()
    for name in ("a", "b"):
        (target / name).write_text(f"my own {name}")
    said = scene.extract("one", target, 2)
    assert "a: " in said
    assert "b: the file that it is a name of was not restored" in said
    assert files(target) == {"a": "my own a", "b": "my own b"}


def test_a_name_is_not_linked_to_what_another_item_has_put_in_the_place_of_its_file(scene: Scene) -> None:
    for name in ("p", "q"):
        (scene.source / name).mkdir()
    (scene.source / "p" / "a").write_text("content")
    os.link(scene.source / "p" / "a", scene.source / "p" / "z")
    (scene.source / "q" / "a").write_text("")
    scene.create("one")
    said = scene.extract("one", scene.directory / "target", 1, "--strip-components", "1")
    assert "p/a: " in said
    left = files(scene.directory / "target")
    assert left.get("z", "content") == "content"
    assert ("z" in left) != ("z: the file that it is a name of was not restored" in said)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    point = tmp_path / "small"
    point.mkdir()
    mount_tmpfs(point, "size=5m")
    yield point
    unmount(point)


@pytest.mark.needs("root", "mount")
def test_a_file_that_could_not_be_written_whole_does_not_have_the_time_of_a_whole_one(
    scene: Scene, small_disk: Path
) -> None:
    (scene.source / "large").write_bytes(os.urandom(9_000_000))
    (scene.source / "small").write_bytes(os.urandom(9_000))
    past = time.time_ns() - 10**12
    for name in ("large", "small"):
        os.utime(scene.source / name, ns=(past, past))
    scene.create("one")
    assert "large: write: No space left" in scene.extract("one", small_disk, 1)
    assert (small_disk / "large").stat().st_mtime_ns > past
