"""A connection that is not wanted any more is not left behind, nor is who asks for a password."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Bork
from tests.real.program import launch


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def until(what: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def rsh(tmp_path: Path) -> Path:
    """An ssh that says nothing, as one that waits for a password. It leaves its number."""
    script = tmp_path / "rsh"
    script.write_text(f"#!/bin/sh\necho $$ >{tmp_path}/pid.new\nmv {tmp_path}/pid.new {tmp_path}/pid\nexec sleep 100\n")
    script.chmod(0o755)
    return script


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_ssh_that_has_not_answered_yet(
    number: signal.Signals, rsh: Path, tmp_path: Path, bork: Bork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BORK_PASSPHRASE", "x")
    bork("init", "-e", "repokey", tmp_path / "repository")
    child = launch("pull", "--rsh", rsh, "client:/", f"{tmp_path}/repository::a")
    until((tmp_path / "pid").exists)
    time.sleep(0.5)
    child.send_signal(number)
    child.communicate(timeout=30)
    assert child.returncode == 128 + number
    assert not is_there(int((tmp_path / "pid").read_text()))


def test_a_wrong_passphrase_ends_the_ssh_that_has_not_answered_yet(
    rsh: Path, tmp_path: Path, bork: Bork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BORK_PASSPHRASE", "x")
    bork("init", "-e", "repokey", tmp_path / "repository")
    monkeypatch.setenv("BORK_PASSPHRASE", "y")
    bork("pull", "--rsh", rsh, "client:/", f"{tmp_path}/repository::a", exit_code=2)
    assert not (tmp_path / "pid").exists() or not is_there(int((tmp_path / "pid").read_text()))
    assert os.listdir(tmp_path / "repository" / "sessions") == []


def test_a_slow_line_is_not_a_silent_one(tmp_path: Path, bork: Bork, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a limit of its rate the agent writes little at a time, however long a frame is."""
    monkeypatch.setenv("BORK_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes")
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_bytes(os.urandom(300_000))
    log = tmp_path / "log"
    watch = tmp_path / "watch.py"
    watch.write_text(
        "import os, sys, time\n"
        "while data := os.read(0, 1 << 20):\n"
        f"    open({str(log)!r}, 'a').write(f'{{len(data)}} {{time.monotonic()}}\\n')\n"
        "    while data: data = data[os.write(1, data):]\n"
    )
    bork("init", "-e", "none", tmp_path / "repository")
    rsh = f"sh -c 'eval \"$2\" | python3 {watch}' sh"
    bork("pull", "--rsh", rsh, "--download-ratelimit", "100", f"client:{tmp_path}/source", f"{tmp_path}/repository::a")
    pieces = [line.split() for line in log.read_text().splitlines()]
    assert sum(int(length) for length, _ in pieces) > 300_000
    late = [float(moment) for length, moment in pieces if int(length) > 20_000]
    assert len(late) >= 3
    assert late[-1] - late[0] > 0.5
