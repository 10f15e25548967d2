"""Signals at random instants: what is complete restores, and the next backup works and re-uses what was stored."""

import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from demo.comparison import differences
from tests.conftest import Bork
from tests.real.program import MIB, assert_clear, launch, session

CYCLES = 10  # for each of three signals
SECONDS_MAX = 0.3  # a whole create takes about as long here
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGKILL: -9}


@pytest.fixture
def repository(bork: Bork, memory_disk: Path) -> Path:
    bork("init", "--encryption", "repokey", memory_disk / "repository")
    (memory_disk / "source").mkdir()
    return memory_disk / "repository"


def assert_restores(bork: Bork, repository: Path, name: str, source: Path) -> None:
    restored = repository.parent / f"restored-{time.monotonic_ns()}"
    restored.mkdir()
    bork("extract", f"{repository}::{name}", cwd=restored)
    assert differences(os.fsencode(source), os.fsencode(restored)) == []
    subprocess.run(["rm", "-r", restored], check=True)


def assert_interrupted(code: int, err: bytes, number: signal.Signals) -> None:
    """One line, and the exit code of the signal as Borg's legacy codes have it."""
    assert code == CODES[number]
    assert b"Traceback" not in err
    if number != signal.SIGKILL:
        assert err.count(b"\n") == 1, err


def wait_until_it_catches_signals(child: subprocess.Popen[bytes]) -> None:
    """Before that Python itself is not ready, and a signal ends it as any other program."""
    while child.poll() is None:
        status = Path(f"/proc/{child.pid}/status").read_text()
        caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
        if int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.005)


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_after_a_signal_at_any_instant_of_create_the_next_one_works(
    number: signal.Signals, bork: Bork, memory_disk: Path, tmp_path: Path
) -> None:
    source, repository = memory_disk / "source", memory_disk / "plain"
    source.mkdir()
    bork("init", "--encryption", "none", repository)
    moments = random.Random(number)
    interrupted = 0
    for cycle in range(CYCLES):
        for name in range(20):
            (source / f"{name}").write_bytes(os.urandom(MIB // 4))
        (source / "large").write_bytes(os.urandom(20 * MIB))
        child = launch("create", f"{repository}::cut-{cycle}", ".", cwd=source)
        wait_until_it_catches_signals(child)
        try:
            child.wait(moments.random() * SECONDS_MAX)
        except subprocess.TimeoutExpired:
            child.send_signal(number)
        _, err = child.communicate(timeout=30)
        if child.returncode:
            assert_interrupted(child.returncode, err, number)
            interrupted += 1
        commands = (
            ("create", f"{repository}::whole-{cycle}", "."),
            ("check", "--verify-data", str(repository)),
            ("list", "--short", str(repository)),
        )
        made, checked, listed = session(commands, tmp_path / f"said-{cycle}", cwd=source, limits={}, timeout_s=30)
        assert (made.code, made.err, checked.code, checked.err) == (0, b"", 0, b"")
        assert [path.name for path in repository.glob("tmp/*")] == ["reserve"], "what it left half done is swept away"
        names = listed.out.decode().split()
        assert (f"cut-{cycle}" in names) >= (child.returncode == 0)
        for archive in {f"cut-{cycle}", f"whole-{cycle}"} & set(names):
            assert_restores(bork, repository, archive, source)
    assert interrupted >= CYCLES // 4, "the moments are badly chosen"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_what_an_interrupted_create_has_stored_is_found_again(
    number: signal.Signals, bork: Bork, repository: Path, memory_disk: Path
) -> None:
    source = memory_disk / "source"
    for name in range(6):
        (source / str(name)).write_bytes(os.urandom(24 * MIB))
    child = launch("create", "-C", "none", "--threads", "1", f"{repository}::cut", ".", cwd=source)
    while child.poll() is None and len(list(repository.glob("packs/*/*"))) < 5:
        time.sleep(0.001)
    child.send_signal(number)
    _, err = child.communicate(timeout=30)
    assert_interrupted(child.returncode, err, number)
    stored = sum(path.stat().st_size for path in repository.glob("packs/*/*"))
    assert stored > 64 * MIB
    said = bork("create", "-C", "none", "--stats", f"{repository}::whole", ".", cwd=source).stderr.decode()
    found = re.search(r"This archive:.* ([\d.]+) (kB|MB)$", said, re.MULTILINE)
    assert found, said
    added = float(found[1]) * {"kB": 1e3, "MB": 1e6}[found[2]]
    assert added < 6 * 24 * MIB - stored + MIB
    assert_restores(bork, repository, "whole", source)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
@pytest.mark.parametrize(
    "words", [("extract",), ("extract", "--dry-run"), ("check", "--verify-data"), ("list",)], ids=" ".join
)
def test_a_signal_to_a_reading_command_is_one_line(
    words: tuple[str, ...], number: signal.Signals, bork: Bork, repository: Path, memory_disk: Path
) -> None:
    source, target = memory_disk / "source", memory_disk / "target"
    target.mkdir()
    for name in range(3_000):
        (source / f"{name:05}").write_bytes(b"%d" % name * 50)
    (source / "large").write_bytes(os.urandom(64 * MIB))
    bork("create", f"{repository}::one", ".", cwd=source)
    for delay_s in (0.02, 0.12, 0.17):
        child = launch(*words, repository if words[0] == "check" else f"{repository}::one", cwd=target)
        wait_until_it_catches_signals(child)
        try:
            child.wait(delay_s)
        except subprocess.TimeoutExpired:
            child.send_signal(number)
        _, err = child.communicate(timeout=30)
        if child.returncode:
            assert_interrupted(child.returncode, err, number)
        subprocess.run(["rm", "-rf", target], check=True)
        target.mkdir()
    bork("extract", f"{repository}::one", cwd=target)
    assert differences(os.fsencode(source), os.fsencode(target)) == []


def ignore_hangup() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


@pytest.mark.parametrize(
    "words", [("-",), ("--paths-from-stdin",), ("--read-special", "fifo")], ids=lambda words: words[0]
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_ends_a_backup_that_waits_for_somebody_who_says_nothing(
    words: tuple[str, ...], number: signal.Signals, repository: Path, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "fifo")
    child = launch("create", f"{repository}::waits", *words, cwd=tmp_path, stdin=subprocess.PIPE)
    wait_until_it_catches_signals(child)
    time.sleep(0.9)
    assert child.poll() is None
    child.send_signal(number)
    try:
        assert child.wait(20) == CODES[number]
    finally:
        child.kill()
        _, err = child.communicate()
    assert_interrupted(child.returncode, err, number)


def test_a_backup_in_the_background_is_not_stopped_by_a_signal_that_is_ignored(
    bork: Bork, repository: Path, memory_disk: Path
) -> None:
    """``nohup bork create``: SIGHUP is ignored when it starts, and stays so."""
    source = memory_disk / "source"
    (source / "large").write_bytes(os.urandom(40 * MIB))
    child = launch("create", f"{repository}::one", ".", cwd=source, before=ignore_hangup)
    time.sleep(0.15)
    child.send_signal(signal.SIGHUP)
    _, err = child.communicate(timeout=30)
    assert (child.returncode, err) == (0, b"")


# ---- closed and full outputs -------------------------------------------------------------------------------------


@pytest.fixture
def many(bork: Bork, repository: Path, memory_disk: Path) -> Path:
    """An archive whose list is longer than a pipe holds."""
    for number in range(5_000):
        (memory_disk / "source" / f"a long name, so that a few of them fill a pipe {number:05}").touch()
    (memory_disk / "source" / "zz large").write_bytes(os.urandom(4 * MIB))
    bork("create", f"{repository}::one", ".", cwd=memory_disk / "source")
    return repository


READERS = (
    ("list", "{}::one"), ("list", "--json-lines", "{}::one"), ("extract", "--stdout", "{}::one"),
    ("list", "{}"), ("info", "{}"),
)  # fmt: skip


@pytest.mark.parametrize("words", READERS, ids=" ".join)
def test_a_reader_that_has_seen_enough_ends_the_command_quietly(words: tuple[str, ...], many: Path) -> None:
    """``bork list REPO::ARCHIVE | head -1``."""
    child = launch(*(word.format(many) for word in words))
    assert child.stdout is not None
    assert child.stdout.read(1)
    child.stdout.close()
    assert child.stderr is not None
    err = child.stderr.read()
    child.stderr.close()
    assert child.wait(20) in (0, 141)
    assert err == b""


@pytest.mark.parametrize("words", READERS, ids=" ".join)
def test_an_output_that_is_full_is_an_error(words: tuple[str, ...], many: Path) -> None:
    with open("/dev/full", "wb") as full:
        child = launch(*(word.format(many) for word in words), stdout=full)
        _, err = child.communicate(timeout=20)
    assert child.returncode == 2
    assert_clear(2, err)
    assert err.count(b"\n") == 1


def test_a_backup_whose_messages_nobody_reads_is_still_made(bork: Bork, many: Path, memory_disk: Path) -> None:
    """``bork create --list 2>&1 | head -1``: the archive is what matters."""
    child = launch("create", "--list", f"{many}::two", ".", cwd=memory_disk / "source", stdout=subprocess.DEVNULL)
    assert child.stderr is not None
    child.stderr.read(1)
    child.stderr.close()
    child.wait(20)
    names = bork("list", "--short", many).stdout.decode().split()
    assert ("two" in names) == (child.returncode in (0, 1))
    bork("check", "--verify-data", many)
