"""A small repository with one bit flipped, cut short, or one object lost: found, named, and never restored wrong.

``bork`` runs in this process, since there are thousands of runs: each byte of small objects, samples of larger ones.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bork.cli.main import main
from demo.comparison import read_tree
from tests.real.program import assert_clear

pytestmark = pytest.mark.usefixtures("plain")

FLIPS_MAX = 300
PREFIXES_MAX = 40
FLIPS_OF_KEY = 30  # each of them costs a key derivation
OBJECTS = ("config", "archives/*", "indexes/*", "packs/*/* metadata", "packs/*/* data")


@dataclass
class Scene:
    """A repository on a memory disk, and what its archive holds."""

    repository: Path
    source: Path
    target: Path
    capfd: pytest.CaptureFixture[str]
    listed: str = ""

    def run(self, *words: str) -> tuple[int, str, str]:
        self.capfd.readouterr()
        code = main(words)
        said = self.capfd.readouterr()
        assert_clear(code, os.fsencode(said.err), words)
        return code, said.out, said.err

    def check(self) -> int:
        return self.run("check", "--verify-data", str(self.repository))[0]

    def assert_never_wrong(self, what: str) -> None:
        """What list and extract give with exit code 0 is right."""
        code, out, _ = self.run("list", f"{self.repository}::one")
        assert code or out == self.listed, what
        shutil.rmtree(self.target)
        self.target.mkdir()
        os.chdir(self.target)
        code, _, _ = self.run("extract", f"{self.repository}::one")
        if code == 0:
            assert contents(self.target) == contents(self.source), what

    def object(self, what: str) -> Path:
        pattern, _, which = what.partition(" ")
        found = sorted(self.repository.glob(pattern), key=lambda path: path.read_bytes()[9])  # kind: data, metadata
        assert len(found) == (2 if which else 1)
        return found[{"": 0, "data": 0, "metadata": 1}[which]]


def contents(root: Path) -> dict[bytes, bytes | None]:
    """Paths, and what files hold."""
    tree = read_tree(os.fsencode(root))
    paths = {name: os.path.join(os.fsencode(root), name) for name in tree}
    return {
        name: Path(os.fsdecode(path)).read_bytes() if os.path.isfile(path) else None for name, path in paths.items()
    }


@pytest.fixture
def scene(memory_disk: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    here = Path.cwd()
    monkeypatch.setenv("BORK_PASSPHRASE", "x")
    scene = Scene(memory_disk / "repository", memory_disk / "source", memory_disk / "target", capfd)
    (scene.source / "directory").mkdir(parents=True)
    scene.target.mkdir()
    for number in range(3):
        (scene.source / "directory" / f"file-{number}").write_bytes(os.urandom(200))
    (scene.source / "text").write_bytes(b"text " * 100)
    assert scene.run("init", "--encryption", "none", str(scene.repository))[0] == 0
    os.chdir(scene.source)
    assert scene.run("create", f"{scene.repository}::one", ".")[0] == 0
    scene.listed = scene.run("list", f"{scene.repository}::one")[1]
    assert scene.check() == 0
    yield scene
    os.chdir(here)


def sample(length: int, count: int) -> list[int]:
    """All positions, or ``count`` that are spread evenly, the first 64 and the last 32 bytes among them."""
    if length <= count:
        return list(range(length))
    edges = {*range(64), *range(length - 32, length)} if count > 200 else set()
    step = max(1, (length - len(edges)) // (count - len(edges)))
    return sorted(edges | set(range(0, length, step)))


@pytest.mark.timeout(240)
@pytest.mark.parametrize("what", OBJECTS)
def test_every_flipped_bit_is_found_and_never_restored_wrong(what: str, scene: Scene) -> None:
    path = scene.object(what)
    data = path.read_bytes()
    for number, at in enumerate(sample(len(data), FLIPS_MAX)):
        damaged = bytearray(data)
        damaged[at] ^= 1 << number % 8
        path.write_bytes(damaged)
        assert scene.check() in (1, 2), f"byte {at} of {what}"
        if number % 3 == 0:
            scene.assert_never_wrong(f"byte {at} of {what}")
    path.write_bytes(data)
    assert scene.check() == 0


@pytest.mark.parametrize("what", OBJECTS)
def test_every_object_that_was_cut_short_or_grew_is_found_and_never_restored_wrong(what: str, scene: Scene) -> None:
    path = scene.object(what)
    data = path.read_bytes()
    for damaged in [*(data[:length] for length in sample(len(data), PREFIXES_MAX)), data + b"\0", data * 2]:
        path.write_bytes(damaged)
        assert scene.check() in (1, 2), f"{what} of {len(damaged)} bytes"
        scene.assert_never_wrong(f"{what} of {len(damaged)} bytes")


@pytest.mark.parametrize("what", OBJECTS)
def test_every_object_that_is_lost_is_missed_or_was_not_needed(what: str, scene: Scene) -> None:
    """An index is only a copy of what packs say. A head is the archive: without it there is none to miss."""
    path = scene.object(what)
    path.unlink()
    code = scene.check()
    assert code in (1, 2) or what in ("indexes/*", "archives/*")
    scene.assert_never_wrong(f"{what} is lost")


def test_every_object_in_the_place_of_another_one_is_found(scene: Scene) -> None:
    paths = [scene.object(what) for what in OBJECTS]
    for one in paths:
        for two in paths:
            if one is not two:
                kept = one.read_bytes()
                one.write_bytes(two.read_bytes())
                assert scene.check() in (1, 2), f"{two} as {one}"
                scene.assert_never_wrong(f"{two} as {one}")
                one.write_bytes(kept)


def test_objects_of_another_repository_are_found(scene: Scene) -> None:
    other = scene.repository.with_name("other")
    assert scene.run("init", "--encryption", "none", str(other))[0] == 0
    os.chdir(scene.source)
    assert scene.run("create", f"{other}::one", ".")[0] == 0
    mixed = scene.repository.with_name("mixed")
    for pattern in ("archives/*", "indexes/*", "packs/*/*"):
        shutil.copytree(scene.repository, mixed)
        for path in other.glob(pattern):
            place = mixed / path.relative_to(other)
            place.parent.mkdir(exist_ok=True)
            shutil.copy(path, place)
        assert scene.run("check", "--verify-data", str(mixed))[0] in (1, 2), pattern
        shutil.rmtree(mixed)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("encryption", ["repokey", "authenticated"])
def test_every_flipped_bit_of_a_key_and_of_what_it_seals_is_found(encryption: str, scene: Scene) -> None:
    repository = scene.repository.with_name("sealed")
    assert scene.run("init", "--encryption", encryption, str(repository))[0] == 0
    os.chdir(scene.source)
    assert scene.run("create", f"{repository}::one", ".")[0] == 0
    for pattern in ("keys/*", "archives/*"):
        (path,) = repository.glob(pattern)
        data = path.read_bytes()
        for number, at in enumerate(sample(len(data), FLIPS_OF_KEY)):
            damaged = bytearray(data)
            damaged[at] ^= 1 << number % 8
            path.write_bytes(damaged)
            assert scene.run("check", str(repository))[0] in (1, 2), f"byte {at} of {pattern}"
            assert scene.run("extract", "--dry-run", f"{repository}::one")[0] in (1, 2), f"byte {at} of {pattern}"
        path.write_bytes(data)
    assert scene.run("check", str(repository))[0] == 0


@pytest.mark.parametrize("options", [("--archives-only",), ("--repository-only",), ()], ids=str)
def test_data_that_was_changed_is_found_by_each_part_of_check_that_reads_data(
    options: tuple[str, ...], scene: Scene
) -> None:
    path = scene.object("packs/*/* data")
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    verify = () if options == ("--repository-only",) else ("--verify-data",)
    assert scene.run("check", *options, *verify, str(scene.repository))[0] in (1, 2)
