"""Backups into a file system that is too small, at every size."""

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bork.errors import NoSpace
from bork.operations import check
from bork.operations.access import LocalStores
from bork.operations.check import CheckOptions
from tests.operations.scene import Recorder, Scene, expected

KIB = 1024


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs; its size is changed by mounting it again."""
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "bork-test", path], check=True)
    yield path
    subprocess.run(["umount", path], check=True)


def resize(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", disk], check=True)


@pytest.mark.needs("root")
@pytest.mark.timeout(300)
def test_a_backup_is_whole_or_an_error_and_works_as_soon_as_there_is_space(
    scene: Scene, source: Path, disk: Path
) -> None:
    """Content is 55 KiB in packs of 20 KB; each size starts with an empty disk."""
    scene = replace(scene, stores=LocalStores())  # type: ignore[arg-type]  # real ones this time
    whole = []
    for size in range(4, 160, 4):
        resize(disk, f"size={size}k,nr_inodes=10000")
        access = scene.access(str(disk / f"repository{size}"))
        try:
            scene.init(access=access)
            scene.create("monday", source, access=access)
            whole.append(size)
        except NoSpace:
            pass
        resize(disk, "size=64m")
        assert_next_command_works(scene, source, str(disk / f"repository{size}"), made=size in whole)
        subprocess.run(["rm", "-r", disk / f"repository{size}"], check=True)
    assert whole
    assert whole == list(range(whole[0], 160, 4))


def assert_next_command_works(scene: Scene, source: Path, path: str, *, made: bool) -> None:
    access = scene.access(path)
    if not (Path(path) / "config").exists():
        scene.init(access=access)
    listed = scene.names(access)
    assert listed == (["monday"] if made else [])
    scene.create("tuesday", source, access=access)
    for name in [*listed, "tuesday"]:
        assert scene.restore(name, access) == expected(source)
    events = Recorder()
    check.run(access, CheckOptions(verify_data=True), events)
    assert events.problems == []
