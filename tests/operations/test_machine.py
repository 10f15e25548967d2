"""Commands in any order do to a repository what they do to a plain model of it. ``BORK_SOAK=N``: N times as many."""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.operations.machine import Machine

SOAK = int(os.environ.get("BORK_SOAK", "1"))
EXAMPLES, STEPS = 80, 20


@pytest.mark.timeout(240 * SOAK)
def test_a_repository_is_what_a_plain_model_says(tmp_path: Path, count: Callable[[str, dict[str, int]], None]) -> None:
    counts: Counter[str] = Counter()
    limits = settings(
        max_examples=EXAMPLES * SOAK,
        stateful_step_count=STEPS,
        suppress_health_check=[HealthCheck.too_slow],
        **({"derandomize": False} if SOAK > 1 else {}),  # type: ignore[arg-type]  # the default is that of the profile
    )
    run_state_machine_as_test(lambda: Machine(tmp_path, counts), settings=limits)  # type: ignore[arg-type]  # it is called
    for what in ("creates", "deletes", "renames", "pruned", "recreates", "compactions", "checks", "diffs"):
        # Which examples are drawn depends on the modules that were loaded before: hypothesis takes constants from them.
        assert counts[what] > EXAMPLES // 8, f"hardly any {what}: {counts}"
    count("state machine", dict(counts))
