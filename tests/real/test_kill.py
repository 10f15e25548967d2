"""kill -9 at random instants of every command that changes a repository: nothing complete is ever lost.

200 kills in an ordinary run; ``BORK_SOAK=N`` makes N times as many (``make soak``).
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.real.kills import Kills

SOAK = int(os.environ.get("BORK_SOAK", "1"))
REPOSITORIES, KILLS = 4, 50


@pytest.mark.usefixtures("plain")
@pytest.mark.timeout(300 * SOAK)
@pytest.mark.parametrize("seed", range(REPOSITORIES * SOAK))
def test_killed_commands_lose_nothing_and_leave_nothing_in_the_way(
    seed: int, tmp_path: Path, count: Callable[[str, dict[str, int]], None]
) -> None:
    """After each kill: the next command works at once, every complete archive is listed, one is restored bit for bit.

    At the end all are, and everything is checked.
    """
    (tmp_path / "kills").mkdir()
    kills = Kills(tmp_path / "kills", seed)
    kills.run(KILLS)
    assert kills.counts["restored"] > KILLS // 2
    count("kill -9", dict(kills.counts))
