"""A process that is killed at any moment: nothing is half there, and the next command needs no repair."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import Bork
from tests.operations.scene import contents

KILLS = 8
LONGEST_S = 0.5  # a little more than an undisturbed backup of this tree takes


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_backups_survive_kills_at_any_moment(bork: Bork, tmp_path: Path, number: signal.Signals) -> None:
    repository, source = tmp_path / "repository", tmp_path / "source"
    source.mkdir()
    bork("init", "-e", "repokey", repository)
    reported = set()
    for kill in range(KILLS):
        (source / f"file{kill}").write_bytes(os.urandom(3 << 20))
        if create_and_kill(f"{repository}::{kill}", source, LONGEST_S * kill / KILLS, number) == 0:
            reported.add(str(kill))
        listed = set(bork("list", "--short", repository).stdout.decode().split())
        assert reported <= listed
    bork("create", f"{repository}::last", source)
    bork("check", "--verify-data", repository)
    assert os.listdir(repository / "tmp") == ["reserve"]
    target = tmp_path / "target"
    target.mkdir()
    bork("extract", f"{repository}::last", cwd=target)
    assert contents(target / str(source).lstrip("/")) == contents(source)


def create_and_kill(archive: str, source: Path, after_s: float, number: signal.Signals) -> int:
    """How ``bork create`` ended that was sent a signal after some time."""
    command = [sys.executable, "-m", "bork", "create", archive, str(source)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        time.sleep(after_s)
        process.send_signal(number)
        return process.wait()
