"""Real processes beside each other: what was reported complete and nobody deleted is there, whatever others did.

15 seconds in an ordinary run; ``BORK_SOAK=N`` makes it N times as long (``make soak``: ten minutes).
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.real.together import Together

SECONDS = 15 * int(os.environ.get("BORK_SOAK", "1"))


@pytest.mark.usefixtures("plain")
@pytest.mark.timeout(2 * SECONDS + 120)
def test_two_writers_a_deleter_a_reader_and_a_compactor_lose_nothing(
    tmp_path: Path, count: Callable[[str, dict[str, int]], None]
) -> None:
    (tmp_path / "together").mkdir()
    together = Together(tmp_path / "together", seed=1)
    together.run(SECONDS)
    for what in ("archives made", "killed creates", "compactions", "pruned", "deleted", "restored beside"):
        assert together.counts[what] > 0, f"nothing of this happened: {what}"
    count("side by side", {"seconds": SECONDS} | dict(together.counts))
