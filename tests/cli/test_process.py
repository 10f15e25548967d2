"""The program as a process: start-up, closed stdout, a full disk behind stdout, signals at any instant."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SOURCE = str(Path(__file__).resolve().parents[2] / "src")


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "bork", *words]


@pytest.fixture(autouse=True)
def source_path(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sources of this tree, installed or not."""
    monkeypatch.setenv("PYTHONPATH", SOURCE)


@pytest.mark.parametrize("words", [("--version",), ("-V",), ("--version", "--log-json", "--debug", "--show-rc")])
def test_the_version_is_one_line_whose_second_word_is_that_of_borg(words: tuple[str, ...]) -> None:
    done = subprocess.run(command(*words), capture_output=True, check=True)
    assert done.stdout == b"bork 1.4.99 (Bork 0.1.0)\n"
    assert done.stderr == b""


def test_the_version_costs_no_imports() -> None:
    """Programs around Borg ask for it before every command."""
    code = (
        "import sys; from bork.cli.main import main; main(['--version']);"
        "heavy = {'argparse', 'json', 'logging', 'subprocess', 're', 'dataclasses', 'typing', 'bork.cli.execute'};"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {SOURCE!r}); {code}"], check=False
    )
    assert done.returncode == 0


def test_a_command_without_json_does_not_import_it() -> None:
    code = (
        f"import sys; sys.path.insert(0, {SOURCE!r}); from bork.cli.main import main; main(['version']);"
        "heavy = {'argparse', 'json', 'logging', 'subprocess', 'socket', 'uuid', 'getpass', 'traceback'};"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    assert (
        subprocess.run([sys.executable, "-I", "-S", "-c", code], stdout=subprocess.DEVNULL, check=False).returncode == 0
    )


@pytest.mark.parametrize("verb", ["list", "create", "extract", "check", "prune", "compact", "serve"])
def test_a_usual_command_imports_nothing_that_makes_code_at_each_start(verb: str) -> None:
    """See docs/decisions/0015."""
    code = (
        f"import sys; sys.path.insert(0, {SOURCE!r}); import bork.cli.execute, bork.cli.commands.{verb};"
        f"{'import bork.server.serve' if verb == 'serve' else f'import bork.operations.{verb}'};"
        "heavy = {'dataclasses', 'inspect'} & set(sys.modules); sys.exit(str(heavy) if heavy else 0)"
    )
    assert subprocess.run([sys.executable, "-I", "-S", "-c", code], check=False).returncode == 0


def test_nothing_at_all_is_answered_with_help() -> None:
    done = subprocess.run(command(), capture_output=True, check=True)
    assert done.stdout.startswith(b"usage: bork")


# ---- stdout ------------------------------------------------------------------------------------------------------


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(command("help", "patterns"), stdout=writing, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has /dev/full")
def test_a_full_disk_behind_stdout_is_an_error() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command("help", "patterns"), stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        b"Cannot write to stdout: No space left on device. Check the space and the permissions there.\n"
    )


def test_without_stderr_the_exit_code_still_tells() -> None:
    done = subprocess.run(["sh", "-c", f"exec 2>&-; {sys.executable} -m bork list"], check=False)
    assert done.returncode == 2


# ---- signals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "code", "line"),
    [
        (signal.SIGINT, 130, b"Keyboard interrupt\n"),
        (signal.SIGTERM, 143, b"Received SIGTERM\n"),
        (signal.SIGHUP, 129, b"Received SIGHUP.\n"),
    ],
)
def test_a_signal_ends_a_command_with_one_line(tmp_path: Path, number: int, code: int, line: bytes) -> None:
    """The command waits for a pattern file that nobody writes."""
    fifo = tmp_path / "patterns"
    os.mkfifo(fifo)
    process = subprocess.Popen(command("create", "/r::a", "--patterns-from", str(fifo)), stderr=subprocess.PIPE)
    with open(fifo, "wb"):  # opens when the command does: it is where it should be
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (code, line)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_at_any_instant_of_a_command_leaves_no_traceback(number: int, code: int) -> None:
    """From the first line of ``main`` to its last; in that first line, the default of SIGTERM may still be in force."""
    program = (
        "import os, sys; sys.path.insert(0, sys.argv.pop(1)); from bork.cli import main, signals;"
        "run = main._main; main._main = lambda *given, **named: os.write(1, b'.') and run(*given, **named);"
        "os._exit(main.main())"
    )
    seen = set()
    for delay_us in range(0, 60_000, 1_500):
        words = [sys.executable, "-I", "-c", program, SOURCE, "help", "patterns"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0) as process:
            assert process.stdout is not None
            process.stdout.read(1)
            time.sleep(delay_us / 1e6)
            process.send_signal(number)
            _, said = process.communicate(timeout=30)
        assert said.count(b"\n") == (process.returncode not in (0, -number)), (delay_us, said)
        assert b"Traceback" not in said, (delay_us, said)
        seen.add(process.returncode)
    assert seen - {0, -number} == {code}


def test_a_signal_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    """As under ``nohup``."""
    fifo = tmp_path / "patterns"
    os.mkfifo(fifo)
    words = command("create", "/r", "--patterns-from", str(fifo))
    process = subprocess.Popen(["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *words], stderr=subprocess.PIPE)
    with open(fifo, "wb"):
        process.send_signal(signal.SIGHUP)
        time.sleep(0.1)
        assert process.poll() is None
    process.communicate(timeout=30)
    assert process.returncode == 2
