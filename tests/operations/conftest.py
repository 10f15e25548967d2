"""A user with an empty home, and repositories in memory."""

from pathlib import Path

import pytest

from tests.operations.scene import MemoryStores, Scene, StoppedClock, User, tree


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    (tmp_path / "scene").mkdir()
    return Scene(tmp_path / "scene", User(), MemoryStores(), StoppedClock())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A tree to back up."""
    return tree(tmp_path / "source")
