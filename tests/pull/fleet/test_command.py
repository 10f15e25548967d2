"""The options of ``bork pull`` for many hosts, and ``bork status``, as a user sees them."""

import fcntl
import json
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Bork
from tests.pull.fleet.scene import Scene


def records(text: str) -> list[dict[str, Any]]:
    """Every line of stderr is one JSON object."""
    return [json.loads(line) for line in text.splitlines()]


def in_no_time(text: str) -> str:
    """A text in which everything takes 0 seconds."""
    return re.sub(r"in \d+ s\b", "in 0 s", text)


# ---- pull --------------------------------------------------------------------------------------------------------


def test_a_run_that_goes_well_says_nothing(scene: Scene) -> None:
    scene.hosts("a", "b")
    done = scene.run("pull", "--all")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_failing_host_is_named_and_the_exit_code_tells(scene: Scene) -> None:
    scene.hosts("a", "b", "c")
    scene.behave(pull_a="fail", pull_b="warn")
    done = scene.run("pull", "--all", "--jobs", "1")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "a: no route to host",
        "a: pull failed",
        "b: a file changed",
        "1 of 3 hosts failed: a",
    ]
    scene.behave(pull_b="warn")
    assert scene.run("pull", "--all").returncode == 1
    said = in_no_time(scene.run("pull", "--all", "-v").stderr)
    assert "b: b-now: 3 files, 1.00 kB, 10 B new, in 0 s (with warnings)\n" in said


def test_nothing_that_a_host_says_steers_the_terminal(scene: Scene) -> None:
    scene.hosts("a")
    scene.behave(pull_a="escape")
    done = scene.run("pull", "--all")
    assert "\x1b" not in done.stderr
    assert "\x07" not in done.stderr
    assert "a: ?]0;owned?bad" in done.stderr
    assert "\x1b" not in scene.run("status").stdout


def test_the_stream_of_json_is_one_and_names_the_host_in_every_record(scene: Scene) -> None:
    scene.hosts("a", "b", "c", defaults="keep-daily = 1")
    scene.behave(pull_a="fail", pull_b="garbage", pull_c="progress")
    done = scene.run("pull", "--all", "--log-json", "--progress")
    seen = records(done.stderr)
    assert all(isinstance(record["type"], str) for record in seen)
    assert {record.get("host") for record in seen[:-1]} == {"a", "b", "c"}
    assert seen[-1]["message"] == "2 of 3 hosts failed: a, b"
    (progress,) = [record for record in seen if record["type"] == "archive_progress"]
    assert (progress["host"], progress["path"]) == ("c", "a\x1bb")
    stages = [(one["host"], one["stage"]) for one in seen if one["type"] == "host_started"]
    assert [stage for host, stage in stages if host == "c"] == ["pull", "prune", "compact"]
    ended = {one["host"]: one for one in seen if one["type"] == "host_ended"}
    assert {host: one["outcome"] for host, one in ended.items()} == {"a": "error", "b": "error", "c": "ok"}
    assert (ended["c"]["archive"], ended["c"]["original_size"], ended["c"]["error"]) == ("c-now", 1000, None)
    assert (ended["a"]["error"], ended["a"]["exit_code"]) == ("no route to host", 81)


def test_only_what_is_due_is_pulled_and_once(scene: Scene) -> None:
    scene.hosts("a", "b", "c", "d")
    text = scene.config.read_text()
    for name, line in (("a", 'every = "6h"'), ("b", 'at = "02:30"'), ("d", 'every = "6h"\npaused = true')):
        text = text.replace(f"[hosts.{name}]", f"[hosts.{name}]\n{line}")
    scene.write(text)
    scene.behave(pull_b="fail")
    assert scene.run("pull", "--due").returncode == 2
    assert {note["host"] for note in scene.log()} == {"a", "b"}
    done = scene.run("pull", "--due")
    assert (done.returncode, done.stderr, len(scene.log())) == (0, "", 2)
    scene.run("pull", "--all")
    assert {note["host"] for note in scene.log()[2:]} == {"a", "b", "c"}
    scene.run("pull", "--host", "d")
    assert scene.log()[-1]["host"] == "d"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--all", "--due"], "exclude each other"),
        (["--apply", "--all"], "--apply needs --setup"),
        (["--check", "a", "--jobs", "2"], "exclude each other"),
        (["--jobs", "0", "--all"], "positive"),
        (["--jobs", "2"], "has to be given"),
        (["--all", "root@a:/etc", "/r::a"], "not from arguments"),
        (["--host", "nobody"], "there is no host 'nobody'"),
        (["--check", "nobody"], "there is no host 'nobody'"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused(scene: Scene, words: list[str], reason: str) -> None:
    scene.hosts("a")
    done = scene.run("pull", *words)
    assert done.returncode == 2
    assert reason in done.stderr
    assert scene.log() == []


def test_a_mistake_in_the_configuration_is_one_line_and_nothing_is_started(scene: Scene) -> None:
    scene.hosts("a")
    scene.write(scene.config.read_text().replace("[defaults]", "[defaults]\npahts = []"))
    done = scene.run("pull", "--all")
    assert done.returncode == 2
    assert f"{scene.config}: [defaults] pahts: there is no such key" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert scene.log() == []


def test_the_level_of_talk_and_the_way_to_connect_are_handed_on(scene: Scene) -> None:
    scene.hosts("a")
    scene.run("pull", "--all", "--debug", "--rsh", "myssh -F x")
    (note,) = scene.log()
    assert "--rsh=myssh -F x" in note["words"]
    assert note["variables"]["BORK_EXIT_CODES"] == "modern"


def test_metrics_are_written_after_every_run(scene: Scene) -> None:
    path = scene.directory / "bork.prom"
    scene.hosts("a", "b", top=f'prometheus-file = "{path}"')
    scene.behave(pull_b="fail")
    scene.run("pull", "--all")
    assert f'bork_pull_success{{host="a",repository="{scene.repositories}/a"}} 1' in path.read_text()
    assert f'bork_pull_success{{host="b",repository="{scene.repositories}/b"}} 0' in path.read_text()
    path.unlink()
    path.mkdir()
    scene.behave()
    done = scene.run("pull", "--all")
    assert (done.returncode, "bork.prom" in done.stderr) == (1, True), "a warning, for the backups are good"


def on_a_terminal(scene: Scene, *words: str, columns: int = 60) -> str:
    """What a terminal is sent."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 10, columns, 0, 0))
    command = scene.command(*words, "--config", str(scene.config))
    process = subprocess.Popen(command, env=scene.environment(), stdin=follower, stdout=follower, stderr=follower)
    os.close(follower)
    said = b""
    while True:
        try:
            data = os.read(leader, 65536)
        except OSError:
            break
        if not data:
            break
        said += data
    process.wait()
    os.close(leader)
    return said.decode()


def screen(text: str) -> list[str]:
    """The lines that remain on a terminal that knows what a board needs: up, and clear to the end."""
    lines = [""]
    row = 0
    for part in re.findall(r"\x1b\[\d*[A-Z]|\r\n|\r|[^\x1b\r\n]+", text):
        if part == "\r\n":
            row += 1
            if row == len(lines):
                lines.append("")
        elif part.endswith("A") and part.startswith("\x1b"):
            row -= int(part[2:-1])
        elif part == "\x1b[J":
            del lines[row:]
            lines.append("")
        elif part != "\r":
            lines[row] = part
    return [line.rstrip() for line in lines if line.strip()]


def test_a_terminal_shows_a_live_line_for_each_host_and_one_that_stays(scene: Scene) -> None:
    scene.hosts("a", "long-name", "c")
    scene.behave(pull_a="fail", **{"pull_long-name": "progress"}, pull_c="slower")
    said = on_a_terminal(scene, "pull", "--all")
    assert "long-name  pull    5 B, 1 B new, 1 files  a?b" in said
    assert "2 of 3 hosts done" in said or "1 of 3 hosts done" in said
    assert sorted(screen(in_no_time(said))) == [
        "1 of 3 hosts failed: a",
        "a          pull failed",
        "a: no route to host",
        "c          c-now: 3 files, 1.00 kB, 10 B new, in 0 s",
        "long-name  long-name-now: 3 files, 1.00 kB, 10 B new, in 0 s",
    ]


def test_more_hosts_than_lines_do_not_scroll_the_board_away(scene: Scene) -> None:
    scene.hosts(*(f"h{number}" for number in range(12)))
    scene.behave(pull_all="slow")
    said = on_a_terminal(scene, "pull", "--all", "--jobs", "12")
    ups = [int(up) for up in re.findall(r"\x1b\[(\d+)A", said)]
    assert ups
    assert max(ups) <= 9


# ---- status ------------------------------------------------------------------------------------------------------


def test_status_tells_what_is_overdue_and_the_exit_code_does(scene: Scene) -> None:
    scene.hosts("a", "b", "c", defaults='every = "1d"')
    scene.behave(pull_b="fail")
    assert scene.run("status").returncode == 1
    scene.run("pull", "--all")
    done = scene.run("status")
    assert done.returncode == 1
    lines = [re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "DATE", line) for line in done.stdout.splitlines()]
    assert [re.sub(" {2,}", "|", line) for line in lines] == [
        "host|last good archive|age|size|change|new",
        "b|never|OVERDUE error: no route to host",
        "a|DATE|0 min|1.00 kB|10 B|ok",
        "c|DATE|0 min|1.00 kB|10 B|ok",
    ]
    scene.behave()
    scene.run("pull", "--all")
    done = scene.run("status")
    assert (done.returncode, "OVERDUE" in done.stdout, "+0 B" in done.stdout) == (0, False, True)
    assert scene.run("status", "b").stdout.count("\n") == 2
    assert "there is no host 'x'" in scene.run("status", "x").stderr


def test_an_archive_that_is_too_old_is_overdue(scene: Scene) -> None:
    fleet = scene.hosts("a", defaults='every = "1h"\nmax-age = "2h"')
    scene.run("pull", "--all")
    path = scene.directory / "state" / "pull" / "a.json"
    known = json.loads(path.read_text())
    for age_s, code in ((7100, 0), (7300, 1), (-7300, 1)):
        known["good"]["start"] = time.time() - age_s
        path.write_text(json.dumps(known))
        assert scene.run("status").returncode == code, age_s
    scene.write(scene.config.read_text() + "paused = true")
    done = scene.run("status")
    assert (done.returncode, "paused" in done.stdout) == (0, True)
    assert fleet.hosts[0].max_age_s == 7200


def test_a_pull_that_was_killed_is_no_success(scene: Scene) -> None:
    fleet = scene.hosts("a")
    scene.run("pull", "--all")
    known = scene.states.load("a", fleet.hosts[0].repository)
    scene.states.save("a", known.begun(fleet.hosts[0].repository, time.time()))
    assert "error: it was ended before it could say how it went" in scene.run("status").stdout


def test_the_json_of_status_has_what_a_monitor_needs(scene: Scene) -> None:
    scene.hosts("a", "b", defaults='every = "1d"')
    scene.behave(pull_b="fail")
    scene.run("pull", "--all")
    document = json.loads(scene.run("status", "--json").stdout)
    assert document["overdue"] == 1
    b, a = document["hosts"]
    assert (a["name"], a["condition"], a["overdue"], a["due"], a["max_age"]) == ("a", "ok", False, False, 2 * 86400)
    assert (a["last_good"]["archive"], a["last_good"]["original_size"], a["change"]) == ("a-now", 1000, None)
    assert 0 <= a["last_good"]["age"] < 60
    assert (b["name"], b["condition"], b["error"], b["exit_code"]) == ("b", "error", "no route to host", 81)
    assert (b["last_good"], b["overdue"], b["failures"]) == (None, True, 1)


def test_status_writes_metrics_and_says_nothing_more(scene: Scene) -> None:
    scene.hosts("a")
    path = scene.directory / "bork.prom"
    done = scene.run("status", "--prometheus", str(path))
    assert (done.returncode, done.stdout) == (0, "")
    assert "bork_pull_overdue{" in path.read_text()
    done = scene.run("status", "--prometheus", "/nowhere/x.prom")
    assert (done.returncode, "/nowhere/x.prom" in done.stderr) == (2, True)


def test_what_was_forgotten_is_asked_of_the_repository(scene: Scene, bork: Bork, tmp_path: Path) -> None:
    scene.fake.write_text(f'#!/bin/sh\nexec {sys.executable} -m bork "$@"\n')
    (tmp_path / "secret").write_text("correct horse battery staple\n")
    scene.hosts("web", "web-2", "none", defaults=f'passphrase-file = "{tmp_path}/secret"\nevery = "1h"')
    shared = f'repository = "{scene.repositories}/web"\n'
    scene.write(scene.config.read_text().replace("[hosts.web-2]", f"[hosts.web-2]\n{shared}"))
    (tmp_path / "file").write_text("x" * 1000)
    bork("init", "-e", "repokey", scene.repositories / "web")
    for name in ("web-2026-11-26T02:30:00", "web-2026-11-27T02:30:00", "web-other", "web-2-2026-11-27T02:30:01"):
        bork("create", f"{scene.repositories}/web::{name}", tmp_path / "file")
    os.environ.pop("BORK_PASSPHRASE")
    done = scene.run("status", "--refresh", "--json")
    hosts = {host["name"]: host for host in json.loads(done.stdout)["hosts"]}
    assert hosts["web"]["last_good"]["archive"] == "web-2026-11-27T02:30:00"
    assert hosts["web-2"]["last_good"]["archive"] == "web-2-2026-11-27T02:30:01"
    assert (hosts["web"]["last_good"]["original_size"], hosts["web"]["change"]) == (1000, 0)
    assert 0 <= hosts["web"]["last_good"]["age"] < 120
    assert (hosts["web"]["overdue"], hosts["none"]["overdue"]) == (False, True)
    assert f"none: Repository {scene.repositories}/none does not exist" in done.stderr
    assert done.returncode == 1


# ---- check and setup ---------------------------------------------------------------------------------------------


def test_check_tries_host_and_repository_and_writes_to_neither(client: Path, scene: Scene, bork: Bork) -> None:
    scene.hosts("web", defaults=f'passphrase-file = "{scene.directory}/secret"')
    scene.write(scene.config.read_text().replace('paths = ["/etc"]', f'paths = ["{client}"]'))
    bork("init", "-e", "repokey", scene.repositories / "web")
    os.environ.pop("BORK_PASSPHRASE")
    before = {path: path.stat().st_mtime_ns for path in scene.repositories.rglob("*")}
    done = scene.run("pull", "--check", "web")
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert list(lines) == ["reach", "versions", "rights", "repository", "space"]
    assert re.fullmatch(r"versions    ok       bork-agent .+, uid \d+", lines["versions"])
    assert re.fullmatch(r"rights      (ok|warning) .*", lines["rights"])
    assert re.fullmatch(r"repository  ok       .*/web opens \(repokey\)", lines["repository"])
    assert done.returncode in (0, 1)
    assert {path: path.stat().st_mtime_ns for path in scene.repositories.rglob("*")} == before
    client.rename(client.with_name("moved"))
    done = scene.run("pull", "--check", "web")
    assert done.returncode == 2
    assert re.search(r"^rights      error    .*No such file", done.stdout, re.MULTILINE)
    (scene.directory / "secret").write_text("wrong")
    done = scene.run("pull", "--check", "web", "--rsh", "sh -c 'echo no route >&2; exit 255'")
    assert done.returncode == 2
    assert re.search(r"^reach       error    web: .*no route", done.stdout, re.MULTILINE)
    assert re.search(r"^repository  error    Passphrase .* is incorrect", done.stdout, re.MULTILINE)


def test_setup_shows_the_line_on_stdout_and_apply_puts_it_there(scene: Scene, tmp_path: Path) -> None:
    key = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    scene.hosts("web", defaults=f"public-key = '{key}.pub'")
    done = scene.run("pull", "--setup", "web")
    assert done.returncode == 0
    blob = (tmp_path / "id.pub").read_text().split()[1]
    assert done.stdout.startswith(f'restrict,command="bork-agent serve --read /etc" ssh-ed25519 {blob}')
    assert "lets this server read, and nothing else" in done.stderr
    remote = tmp_path / "remote"
    remote.mkdir()
    ssh = tmp_path / "ssh"
    ssh.write_text(f'#!/bin/sh\nfor last; do :; done\nHOME={shlex.quote(str(remote))} exec sh -c "$last"\n')
    ssh.chmod(0o755)
    assert scene.run("pull", "--setup", "web", "--apply", "--rsh", str(ssh)).stdout == "web: the line was added\n"
    assert (remote / ".ssh" / "authorized_keys").read_text() == done.stdout
    assert "there already" in scene.run("pull", "--setup", "web", "--apply", "--rsh", str(ssh)).stdout


# ---- all of it ---------------------------------------------------------------------------------------------------


@pytest.fixture
def client(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Something to back up; the program is the real one, and in place of ssh a shell of this machine runs the agent."""
    scene.fake.write_text(f'#!/bin/sh\nexec {sys.executable} -m bork "$@"\n')
    monkeypatch.setenv("BORK_RSH", "sh -c 'eval \"$2\"' sh")
    (scene.directory / "secret").write_text("correct horse battery staple\n")
    directory = tmp_path / "client's files"
    directory.mkdir()
    (directory / "plan.txt").write_text("a plan")
    return directory


def test_real_hosts_are_pulled_pruned_compacted_and_watched(client: Path, scene: Scene, bork: Bork) -> None:
    scene.hosts(
        *("web", "db", "nowhere"),
        defaults=f"""
            passphrase-file = "{scene.directory}/secret"
            archive = "{{name}}-{{now:%Y-%m-%dT%H:%M:%S.%f}}"
            every = "1d"
            keep-last = 1
            exclude = ["*.o"]""".replace("            ", ""),
    )
    text = scene.config.read_text().replace('paths = ["/etc"]', f'paths = ["{client}"]')
    scene.write(text)
    (client / "plan.o").write_text("rubbish")
    for name in ("web", "db"):
        bork("init", "-e", "repokey", scene.repositories / name)
    os.environ.pop("BORK_PASSPHRASE")
    done = scene.run("pull", "--due")
    assert done.returncode == 2
    assert f"nowhere: Repository {scene.repositories}/nowhere does not exist" in done.stderr
    assert done.stderr.splitlines()[-1] == "1 of 3 hosts failed: nowhere"
    first = json.loads(scene.run("status", "--json").stdout)
    done = scene.run("pull", "--all", "--log-json")
    assert {record["host"] for record in records(done.stderr) if record["type"] == "host_ended"} == {
        "web",
        "db",
        "nowhere",
    }
    second = json.loads(scene.run("status", "--json").stdout)
    for before, after in zip(first["hosts"], second["hosts"], strict=True):
        if after["name"] == "nowhere":
            assert (after["failures"], after["overdue"]) == (2, True)
            continue
        assert after["last_good"]["archive"] != before["last_good"]["archive"]
        assert (after["last_good"]["original_size"], after["last_good"]["nfiles"], after["change"]) == (6, 1, 0)
        os.environ["BORK_PASSPHRASE"] = "correct horse battery staple"
        said = bork("list", "--short", f"{scene.repositories}/{after['name']}").stdout.decode()
        assert said == f"{after['last_good']['archive']}\n", "the older one was pruned"
