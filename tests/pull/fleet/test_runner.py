"""Many hosts at once: no host stops another, whatever it does, and nothing that was started is forgotten."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest

from bork.errors import CacheFault
from bork.pull.fleet import child, runner, state
from bork.pull.fleet.events import SKIPPED, HostResult
from bork.pull.fleet.hosts import Fleet
from tests.pull.fleet.scene import Scene


class Recorder:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, str]] = []
        self.records: list[tuple[str, dict[str, Any]]] = []

    def started(self, host: str, stage: str) -> None:
        self.stages.append((host, stage))

    def record(self, host: str, record: dict[str, Any]) -> None:
        self.records.append((host, record))

    def ended(self, result: HostResult) -> None:
        pass

    def tick(self) -> None:
        pass


def run(scene: Scene, fleet: Fleet, jobs: int = 4, seen: Recorder | None = None) -> dict[str, HostResult]:
    settings = runner.Settings(
        program=[str(scene.fake)],
        variables=dict(os.environ),
        rsh="ssh",
        jobs=jobs,
        show_progress=False,
        states=scene.states,
    )
    results = runner.run(fleet.hosts, settings, seen or Recorder())
    assert len(results) == len(fleet.hosts)
    return {result.host: result for result in results}


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


# ---- what goes wrong with one host -------------------------------------------------------------------------------


def test_one_failing_host_never_stops_the_others(scene: Scene) -> None:
    fleet = scene.hosts("a", "b", "c", "d", "e", "f", "g", "good", defaults='timeout = "30min"')
    scene.behave(
        pull_a="fail", pull_b="crash", pull_c="garbage", pull_d="flood", pull_e="mute", pull_f="warn", pull_g="leaves"
    )
    results = run(scene, fleet)
    outcomes = {name: result.outcome for name, result in results.items()}
    assert outcomes == {
        **dict.fromkeys("abcde", state.ERROR),
        "f": state.WARNING,
        "g": state.OK,
        "good": state.OK,
    }
    assert (results["a"].exit_code, results["a"].error) == (81, "no route to host")
    assert (results["b"].exit_code, results["b"].error) == (-signal.SIGSEGV, "it was ended by SIGSEGV")
    for name in "cde":
        assert results[name].error == "it ended without an error, but did not say which archive it made"
    assert results["f"].exit_code == 100
    for note in scene.log("left"):
        os.kill(note["left"], signal.SIGKILL)


def test_garbage_is_told_as_warnings_and_bounded(scene: Scene) -> None:
    fleet = scene.hosts("a", "b")
    scene.behave(pull_a="garbage", pull_b="flood")
    seen = Recorder()
    run(scene, fleet, seen=seen)
    assert len(seen.records) == 6
    for _, record in seen.records:
        assert (record["type"], record["levelname"]) == ("log_message", "WARNING")
        assert len(record["message"]) <= child.LINE_BYTES_MAX


def test_a_host_that_hangs_is_ended_after_its_time(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "GRACE_S", 0.5)
    monkeypatch.setattr("bork.pull.fleet.durations._UNITS_S", {"min": 1})
    fleet = scene.hosts("a", "b", "good", defaults='timeout = "2min"')  # of one second each
    scene.behave(pull_a="hang", pull_b="stubborn")
    results = run(scene, fleet)
    assert {name: result.exit_code for name, result in results.items()} == {
        "a": -signal.SIGTERM,
        "b": -signal.SIGKILL,
        "good": 0,
    }
    assert results["a"].error.startswith("it took longer than")
    assert not any(is_alive(note["pid"]) for note in scene.log())


def test_a_program_or_a_passphrase_that_is_not_there_is_a_failure_of_that_host(scene: Scene) -> None:
    fleet = scene.hosts("a", "b")
    scene.write(scene.config.read_text().replace("[hosts.a]", '[hosts.a]\npassphrase-file = "/nowhere/secret"'))
    results = run(scene, scene.load())
    assert "/nowhere/secret: No such file" in results["a"].error
    assert results["b"].outcome == state.OK
    scene.fake.unlink()
    assert "No such file" in run(scene, fleet)["b"].error


# ---- what is done for a host -------------------------------------------------------------------------------------


def test_a_good_pull_is_followed_by_retention_and_compaction(scene: Scene) -> None:
    fleet = scene.hosts(
        "web", defaults="keep-daily = 7\nkeep-within = '2d'\nexclude = ['-x', '*.o']\nnumeric-ids = true"
    )
    seen = Recorder()
    run(scene, fleet, seen=seen)
    assert seen.stages == [("web", "pull"), ("web", "prune"), ("web", "compact")]
    pull, prune, compact = (note["words"] for note in scene.log())
    repository = f"{scene.repositories}/web"
    assert pull == [
        *("pull", "--log-json", "--json", "--quick-stats", "--exclude=-x", "--exclude=*.o", "--numeric-ids"),
        *("--", "web:/etc", f"{repository}::web-{{now}}"),
    ]
    assert prune[0] == "prune"
    assert set(prune[1:-2]) == {
        *("--log-json", "--by-arrival", "--keep-within=2d", "--keep-daily=7"),
        f"--glob-archives={fleet.hosts[0].glob}",
    }
    assert prune[-2:] == ["--", repository]
    assert compact == ["compact", "--log-json", "--", repository]


@pytest.mark.parametrize(("stage", "ran"), [("pull", 1), ("prune", 2), ("compact", 3)])
def test_what_fails_ends_the_work_for_that_host(scene: Scene, stage: str, ran: int) -> None:
    fleet = scene.hosts("web", defaults="keep-daily = 7")
    scene.behave(**{f"{stage}_web": "fail"})
    (result,) = run(scene, fleet).values()
    assert (result.outcome, result.stage, len(scene.log())) == (state.ERROR, stage, ran)
    known = scene.states.load("web", fleet.hosts[0].repository)
    assert (known.good is not None, known.failures) == ((False, 1) if stage == "pull" else (True, 0))
    assert "no route to host" in known.error


def test_secrets_reach_a_child_by_a_descriptor_and_no_other_child(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = scene.directory / "secret"
    secret.write_text("correct horse\n")
    monkeypatch.setenv("BORG_PASSPHRASE", "of another repository")
    monkeypatch.setenv("BORK_PASSCOMMAND", "of another repository")
    scene.hosts("a", "b", "c", defaults="keep-last = 1")
    text = scene.config.read_text().replace("[hosts.a]", f'[hosts.a]\npassphrase-file = "{secret}"')
    scene.write(text.replace("[hosts.b]", '[hosts.b]\npasscommand = "cat x"'))
    run(scene, scene.load())
    for note in scene.log():
        given = {name.partition("_")[2] for name in note["variables"] if "PASS" in name}
        match note["host"]:
            case "a":
                assert (given, note["passphrase"]) == ({"PASSPHRASE_FD"}, "correct horse\n")
            case "b":
                assert (given, note["variables"]["BORK_PASSCOMMAND"]) == ({"PASSCOMMAND"}, "cat x")
            case _:
                assert given == {"PASSPHRASE", "PASSCOMMAND"}
    assert len(scene.log()) == 9


def test_no_value_of_the_configuration_becomes_an_option_or_passes_a_shell(scene: Scene) -> None:
    scene.hosts("web")
    nasty = "$(touch pwned) `x` ; '\\\" --flag"
    options = f"exclude = ['''{nasty}''']\npaths = ['''/a {nasty}''']\nssh-options = ['''IdentityFile={nasty}''']\n"
    scene.write(scene.config.read_text() + options + 'comment = "--all"')
    run(scene, scene.load())
    (note,) = scene.log()
    words = note["words"]
    assert f"--exclude={nasty}" in words
    assert "--comment=--all" in words
    assert words[words.index("--") + 1] == f"web:/a {nasty}"
    (rsh,) = [word for word in words if word.startswith("--rsh=")]
    import shlex  # late: for this test only

    assert shlex.split(rsh.partition("=")[2]) == ["ssh", "-o", f"IdentityFile={nasty}"]
    assert not list(scene.directory.rglob("pwned"))


# ---- how many at a time ------------------------------------------------------------------------------------------


def overlap(notes: list[dict[str, Any]]) -> int:
    """The largest number of children that were there at the same time."""
    running = most = 0
    for note in notes:
        running += {"start": 1, "end": -1}.get(note["event"], 0)
        most = max(most, running)
    return most


def events(scene: Scene, command: str) -> list[dict[str, Any]]:
    both = scene.log("start", command) + scene.log("end", command)
    return sorted(both, key=lambda note: note["time"])


def test_no_more_hosts_at_a_time_than_wanted(scene: Scene) -> None:
    fleet = scene.hosts(*(f"h{number}" for number in range(7)))
    scene.behave(pull_all="slow")
    run(scene, fleet, jobs=3)
    assert overlap(events(scene, "pull")) == 3


def test_a_repository_is_compacted_once_at_a_time_and_once_for_all_that_wait(scene: Scene) -> None:
    shared = f'repository = "{scene.repositories}/shared"'
    names = [f"h{number}" for number in range(5)]
    scene.hosts(*names, "alone", defaults="compact = true")
    text = scene.config.read_text()
    for name in names:
        text = text.replace(f"[hosts.{name}]", f"[hosts.{name}]\n{shared}")
    scene.write(text)
    scene.behave(compact_all="slow")
    results = run(scene, scene.load(), jobs=6)
    assert {result.outcome for result in results.values()} == {state.OK}
    notes = [note for note in events(scene, "compact") if note["host"] == "shared"]
    assert overlap(notes) == 1
    assert len(notes) // 2 < len(names)
    last_pull = max(note["time"] for note in scene.log("end", "pull") if note["host"] in names)
    assert max(note["time"] for note in notes if note["event"] == "start") > last_pull, "covers the last one, too"


def test_a_host_at_which_another_process_works_is_left_out(scene: Scene) -> None:
    fleet = scene.hosts("a", "b")
    scene.states.prepare()
    lock = scene.states.lock_host("a")
    assert lock is not None
    try:
        results = run(scene, fleet)
    finally:
        os.close(lock)
    assert (results["a"].outcome, results["b"].outcome) == (SKIPPED, state.OK)
    assert run(scene, fleet)["a"].outcome == state.OK


def test_without_a_place_for_the_state_nothing_is_started(scene: Scene) -> None:
    fleet = scene.hosts("a")
    (scene.directory / "state").write_text("a file")
    with pytest.raises(CacheFault):
        run(scene, fleet)
    assert scene.log() == []


# ---- ends --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_reaches_every_child_and_nothing_new_is_started(scene: Scene, number: int, code: int) -> None:
    scene.hosts("a", "b", "c", top="jobs = 2", defaults="keep-last = 1")
    scene.behave(pull_all="hang")
    command = scene.command("pull", "--all", "--config", str(scene.config))
    process = subprocess.Popen(command, env=scene.environment(), stderr=subprocess.PIPE)
    wait_for(lambda: len(scene.log()) == 2, "two children")
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == code, said
    assert len(scene.log()) == 2
    assert not any(is_alive(note["pid"]) for note in scene.log())
    known = json.loads((scene.directory / "state" / "pull" / "a.json").read_text())
    assert (known["outcome"], known["failures"]) == ("error", 1)


def test_a_child_that_does_not_listen_is_ended_all_the_same(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "GRACE_S", 0.5)
    fleet = scene.hosts("a")
    scene.behave(pull_a="stubborn")

    class Impatient(Recorder):
        def tick(self) -> None:
            if scene.log("deaf"):
                os.kill(os.getpid(), signal.SIGTERM)

    class Signal(BaseException):
        number = signal.SIGTERM

    def handler(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Signal

    previous = signal.signal(signal.SIGTERM, handler)
    try:
        with pytest.raises(Signal):
            run(scene, fleet, seen=Impatient())
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert not any(is_alive(note["pid"]) for note in scene.log())


def test_a_killed_server_leaves_the_host_locked_until_its_pull_is_over(scene: Scene) -> None:
    fleet = scene.hosts("a")
    scene.behave(pull_a="hang")
    command = scene.command("pull", "--all", "--config", str(scene.config))
    process = subprocess.Popen(command, env=scene.environment())
    wait_for(scene.log, "a child")
    process.kill()
    process.wait()
    assert run(scene, fleet)["a"].outcome == SKIPPED
    (note,) = scene.log()
    os.kill(note["pid"], signal.SIGKILL)
    scene.behave()
    wait_for(lambda: not scene.states.is_at_work("a"), "the lock")
    assert scene.states.load("a", fleet.hosts[0].repository).failures == 1, "it counts as a failure"
    assert run(scene, fleet)["a"].outcome == state.OK
