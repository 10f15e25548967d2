"""Archives that no encoder of ours makes, sealed with the right keys: nothing outside the target is touched, ever.

Every archive of ``tests/real/hostile`` is extracted, listed and checked. Whatever it says: the canary next to the
target stays as it is, memory stays below 300 MiB, and the end is a clear message or a right restore.
"""

import hashlib
import resource
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Bork
from tests.real.disks import mount_tmpfs, unmount
from tests.real.hostile import bodies, containers, paths
from tests.real.hostile.case import CONTAINED, EVIL, HEALED, NAMED, REFUSED, Case, file, of_items
from tests.real.hostile.sealer import Forge
from tests.real.hostile.wire import DIRECTORY, SYMLINK, item
from tests.real.program import CONTROL, MIB, Ended, assert_clear, session

pytestmark = [pytest.mark.needs("root"), pytest.mark.usefixtures("plain")]

MEMORY_MAX = 300 * MIB
LIMITS = {resource.RLIMIT_AS: 4 << 30}
SECONDS_MAX = 20
CASES = [*paths.CASES, *bodies.CASES, *containers.CASES]


def fingerprint(root: Path) -> str:
    """Everything below ``root``: names, modes, owners, times, content."""
    digest = hashlib.sha256()
    for path in sorted([root, *root.rglob("*")]):
        status = path.lstat()
        digest.update(
            repr((path, status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, status.st_nlink)).encode()
        )
        if stat.S_ISREG(status.st_mode):
            digest.update(path.read_bytes())
    return digest.hexdigest()


class Scene:
    """A target between canaries, on a memory disk of 96 MiB, so that a bomb finds an end."""

    def __init__(self, directory: Path, bork: Bork) -> None:
        self.directory = directory
        self.target, self.canary = directory / "target", directory / "canary"
        self.target.mkdir()
        self.canary.mkdir()
        (self.canary / "file").write_bytes(b"sings")
        (self.canary / "directory").mkdir()
        (self.target / "planted").symlink_to("../canary")
        (directory / "evil").mkdir()
        self.repository = directory.parent / "repository"
        bork("init", "--encryption", "none", self.repository)
        self.before = self.fingerprint()

    def fingerprint(self) -> str:
        return fingerprint(self.canary) + fingerprint(self.directory / "evil")

    def run(self, *commands: tuple[str, ...]) -> list[Ended]:
        """Commands in the target; whatever they do, the canary sings."""
        all_ended = session(
            commands, self.directory.parent / "said", cwd=self.target, limits=LIMITS, timeout_s=SECONDS_MAX
        )
        assert self.fingerprint() == self.before, "something was written outside of the target"
        for words, ended in zip(commands, all_ended, strict=True):
            assert ended.peak_bytes < MEMORY_MAX, f"{words} needed {ended.peak_bytes >> 20} MiB"
            assert_clear(ended.code, ended.err, words)
        return all_ended


@pytest.fixture
def scene(tmp_path: Path, bork: Bork) -> Iterator[Scene]:
    point = tmp_path / "disk"
    point.mkdir()
    mount_tmpfs(point, "size=96m")
    yield Scene(point, bork)
    unmount(point)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_hostile_archive_ends_in_a_clear_message_and_writes_nothing_outside(case: Case, scene: Scene) -> None:
    forge = Forge(scene.repository)
    forge.publish(case.build(forge))
    archive = f"{scene.repository}::evil"
    listed, checked, dry, extracted = scene.run(
        ("list", archive),
        ("check", "--verify-data", str(scene.repository)),
        ("extract", "--dry-run", archive),
        ("extract", archive),
    )
    assert not CONTROL.search(listed.out)
    if case.end == REFUSED:
        assert extracted.code in (1, 2), "it was restored without a word"
        assert dry.code in (1, 2), "a dry run verified it without a word"
        assert checked.code in (1, 2), "check has found nothing"
    if case.end == NAMED:
        assert extracted.code in (1, 2), "it was restored without a word"
    if case.end == CONTAINED:
        assert extracted.code in (0, 1), extracted.says()
    if case.end == HEALED:
        assert extracted.code in (0, 1), extracted.says()
        assert (scene.target / "a").read_bytes() == EVIL
        assert checked.code in (1, 2), "check has found nothing"


def test_an_archive_that_is_right_is_restored_and_checks_clean(scene: Scene) -> None:
    """The control: what the others are refused for is not the forge."""
    forge = Forge(scene.repository)
    forge.publish(of_items((b"a", item(DIRECTORY)), (b"a/b", file), (b"c", file))(forge))
    archive = f"{scene.repository}::evil"
    for ended in scene.run(("list", archive), ("check", "--verify-data", str(scene.repository)), ("extract", archive)):
        assert (ended.code, ended.err) == (0, b"")
    assert (scene.target / "a" / "b").read_bytes() == EVIL


def test_a_dry_run_names_what_lies_below_a_link(scene: Scene) -> None:
    forge = Forge(scene.repository)
    link = item(SYMLINK, target=b"../canary")
    forge.publish(of_items((b"a", link), (b"a/evil", file), (b"b", file))(forge))
    (dry,) = scene.run(("extract", "--dry-run", f"{scene.repository}::evil"))
    assert dry.code == 1
    assert dry.err.startswith(b"a/evil: ")
    assert dry.err.count(b"\n") == 1


def test_there_are_enough_hostile_archives() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 60
