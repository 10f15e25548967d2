"""Real parts: mounted file systems, a repository in plain mode, and a judge over what came back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import missing_part
from tests.real.disks import Disks, mount_tmpfs, unmount


@pytest.fixture(scope="session")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disks]:
    """ext4, xfs, btrfs and tmpfs; the tests that use it say ``needs("loop", ...)``."""
    mounted = Disks(tmp_path_factory.mktemp("disks"))
    yield mounted
    mounted.close()


@pytest.fixture
def memory_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 512 MiB: fsync costs nothing there."""
    reason = missing_part("root")
    if reason is not None:
        pytest.skip(reason)
    point = tmp_path / "memory"
    point.mkdir()
    mount_tmpfs(point, "size=512m")
    yield point
    unmount(point)


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repositories of mode ``none`` need no passphrase and no confirmation."""
    monkeypatch.setenv("BORK_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes")
    monkeypatch.setenv("BORK_RELOCATED_REPO_ACCESS_IS_OK", "yes")
