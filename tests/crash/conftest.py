"""What the tests of this directory need around them."""

from pathlib import Path

import pytest

from tests.crash.scenarios import make_sources
from tests.crash.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A user with trees to back up."""
    make_sources(tmp_path)
    return World(tmp_path)
