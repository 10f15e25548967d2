"""Fixtures of the tests about many hosts."""

from pathlib import Path

import pytest

from tests.pull.fleet.scene import Scene


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    directory = tmp_path / "fleet"
    directory.mkdir()
    return Scene(directory)
