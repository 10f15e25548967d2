"""What the commands say that delete, rename and settle things: the words of Borg, over a real repository."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Run

DASHES = "-" * 78
GAP = " " * 35  # between a name of two letters and the time


@pytest.fixture
def repository(run: Run, tmp_path: Path) -> str:
    """Three archives of an empty directory, a day apart."""
    path = tmp_path / "repository"
    (tmp_path / "source").mkdir()
    assert run("init", "-e", "repokey", str(path)).code == 0
    for day in (1, 2, 3):
        said = run("create", "--timestamp", f"2026-02-0{day}T10:00:00", f"{path}::a{day}", str(tmp_path / "source"))
        assert said.code == 0, said
    return str(path)


def without_ids(text: str) -> str:
    return re.sub(r"\[[0-9a-f]{64}\]", "[id]", text)


def test_each_archive_is_listed_as_by_borg(run: Run, repository: str) -> None:
    said = run("delete", "--list", f"{repository}::nosuch", "a1")
    assert said.code == 1
    assert without_ids(said.err) == (
        "Archive nosuch not found (1/2).\n"
        "Deleting archive: a1                                   Sun, 2026-02-01 10:00:00 [id] (2/2)\n"
    )
    said = run("delete", "--list", "--dry-run", "--stats", "--last", "1", repository)
    assert without_ids(said.err) == (
        "Ignoring --stats. It is not supported when using --dry-run.\n"
        "Would delete archive: a3                                   Tue, 2026-02-03 10:00:00 [id] (1/1)\n"
    )


def test_lines_of_a_list_are_messages_of_their_own_for_programs(run: Run, repository: str) -> None:
    said = run("--log-json", "prune", "--list", "--dry-run", "--keep-daily", "1", repository)
    records = [json.loads(line) for line in said.err.splitlines()]
    assert {(each["type"], each["name"], each["levelname"]) for each in records} == {
        ("log_message", "borg.output.list", "INFO")
    }
    assert [each["message"][:45].rstrip() for each in records] == [
        "Keeping archive (rule: daily #1):",
        "Would prune:",
        "Would prune:",
    ]


def test_prune_tells_what_borg_tells(run: Run, repository: str) -> None:
    said = run("prune", "-v", "--list", "--progress", "--quick-stats", "--keep-daily", "2", repository)
    assert said.code == 0
    assert without_ids(said.err) == (
        "Repository contains 3 normal archives and 0 checkpoint archives.\n"
        "Applying rules to the matching 3 archives and 0 checkpoints...\n"
        "Keeping 2 archives and 0 checkpoints, pruning 1 archives and 0 checkpoints.\n"
        f"Keeping archive (rule: daily #1):            a3{GAP}Tue, 2026-02-03 10:00:00 [id]\n"
        f"Keeping archive (rule: daily #2):            a2{GAP}Mon, 2026-02-02 10:00:00 [id]\n"
        f"Pruning archive (1/1):                       a1{GAP}Sun, 2026-02-01 10:00:00 [id]\n"
        "Pruning archives 100%\n"
        f"{DASHES}\n"
        "                       Original size      Compressed size    Deduplicated size\n"
        "Deleted data:                    0 B                  0 B          see compact\n"
        f"{DASHES}\n"
    )


def test_without_list_there_is_no_list_however_much_is_told(run: Run, repository: str) -> None:
    said = run("prune", "--debug", "--keep-daily", "1", repository)
    assert [line.partition(" ")[0] for line in said.err.splitlines()] == ["Repository", "Applying", "Keeping"]
    assert run("delete", "--debug", f"{repository}::a3").err == ""


QUESTION = "BORG_DELETE_I_KNOW_WHAT_I_AM_DOING"


@pytest.mark.parametrize("answer", ["no", "yes", "Yes", "y", "1", ""])
def test_only_yes_in_capitals_deletes_a_repository(run: Run, repository: str, answer: str) -> None:
    said = run("delete", repository, BORG_EXIT_CODES="modern", **{QUESTION: answer})
    assert said.code == 3
    assert said.err.endswith("Cancelled by user.\n")
    assert run("list", "--short", repository).out == "a1\na2\na3\n"


def test_the_question_shows_what_would_be_lost(run: Run, repository: str) -> None:
    asked = run("delete", "--list", "--dry-run", "-v", repository, **{QUESTION: "YES"}).err
    assert without_ids(re.sub("[0-9a-f]{64}", "ID", asked, count=1)) == (
        "You requested to completely DELETE the following repository *including* 3 archives it contains:\n"
        f"{DASHES}\nRepository ID: ID\nLocation: {repository}\n\nArchives:\n"
        "a1                                   Sun, 2026-02-01 10:00:00 [id]\n"
        "a2                                   Mon, 2026-02-02 10:00:00 [id]\n"
        "a3                                   Tue, 2026-02-03 10:00:00 [id]\n"
        f"{DASHES}\n"
        f"Type 'YES' if you understand this and want to continue: YES (from {QUESTION})\n"
        "Would delete repository.\nWould delete security info.\nWould delete cache.\n"
    )
    assert run("list", "--short", repository).out == "a1\na2\na3\n"


def test_a_repository_without_its_key_can_be_deleted(run: Run, repository: str) -> None:
    said = run("delete", "--list", "-v", repository, BORG_PASSPHRASE="wrong", **{QUESTION: "YES"})
    assert said.code == 0
    assert "Their names cannot be shown: Passphrase supplied in" in said.err
    assert said.err.endswith("Repository deleted.\nCache deleted.\n")
    assert not Path(repository).exists()


def test_force_asks_nothing(run: Run, repository: str) -> None:
    said = run("delete", "--force", repository)
    assert (said.code, said.out, said.err) == (0, "", "")
    assert not Path(repository).exists()


def test_settings_are_listed_shown_set_and_reset(run: Run, repository: str) -> None:
    listed = run("config", "--list", repository).out.splitlines()
    assert listed[:2] == ["[repository]", "version = 1"]
    assert {"storage_quota = 0", "append_only = 0"} < set(listed)
    assert run("config", repository, "storage_quota", "1.5T").code == 0
    assert run("config", repository, "repository.storage_quota").out == "1500000000000\n"
    assert run("config", "--delete", repository, "storage_quota").code == 0
    assert run("config", repository, "storage_quota").out == "0\n"
    said = run("config", repository, "encryption", "none")
    assert (said.code, said.err[:42]) == (2, "Command Error: encryption was fixed when t")


# ---- with-lock ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -9 $$", 137)])
def test_the_exit_code_is_that_of_the_program(run: Run, repository: str, script: str, code: int) -> None:
    assert run("with-lock", repository, "sh", "-c", script).code == code


def test_a_program_that_cannot_be_run_is_an_error_and_the_lock_is_free_again(run: Run, repository: str) -> None:
    said = run("with-lock", repository, "/no/such/program")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert said.err.startswith("Command Error: Error while trying to run '/no/such/program'")
    assert run("with-lock", repository, "true").code == 0


def test_nobody_writes_meanwhile_and_everybody_may_read(run: Run, repository: str, tmp_path: Path) -> None:
    program = f"{sys.executable} -m bork --lock-wait 0"
    said = run("with-lock", repository, "sh", "-c", f"BORK_PASSPHRASE=x {program} list --short {repository}")
    assert (said.code, said.out) == (0, "a1\na2\na3\n")
    said = run("with-lock", repository, "sh", "-c", f"BORK_PASSPHRASE=x {program} delete {repository}::a1")
    assert (said.code, "exclusive" in said.err, said.err.count("\n")) == (2, True, 1)
    assert run("list", "--short", repository).out == "a1\na2\na3\n"


def test_the_passphrase_is_not_handed_on(run: Run, repository: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BORG_PASSPHRASE", "secret")
    monkeypatch.setenv("BORK_PASSPHRASE", "secret")
    said = run("with-lock", repository, "env")
    assert "PATH=" in said.out
    assert "secret" not in said.out


def _eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_lock_ends_with_its_process(run: Run, repository: str, tmp_path: Path, number: signal.Signals) -> None:
    sign = tmp_path / "running"
    script = f"echo $$ > {sign}.new && mv {sign}.new {sign} && exec sleep 60"
    command = [sys.executable, "-m", "bork", "with-lock", repository, "sh", "-c", script]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        _eventually(sign.exists)
        assert run("--lock-wait", "0", "delete", f"{repository}::a1").code == 2
        process.send_signal(number)
        process.wait(timeout=30)
    child = int(sign.read_text())
    if number == signal.SIGTERM:
        assert process.returncode == 143
        assert not Path(f"/proc/{child}").exists()
    else:
        os.kill(child, signal.SIGKILL)
    assert run("--lock-wait", "0", "delete", f"{repository}::a1").code == 0


def test_break_lock_names_whom_it_broke(run: Run, repository: str) -> None:
    assert run("-v", "break-lock", repository).err == ""
    said = run("with-lock", repository, sys.executable, "-m", "bork", "-v", "break-lock", repository)
    assert re.fullmatch(r"Broke the lock of: exclusive, process \d+ on \S+\.\n", said.err)
