"""What is remembered of a host: whole or not at all, and never more than is known."""

import json
import os
from pathlib import Path

import pytest

from bork.errors import CacheFault
from bork.pull.fleet.state import Good, HostState, StateDirectory

GOOD = Good("web-1", 100.0, 110.5, 1000, 500, 10, 3)
KNOWN = HostState("/r", 100.0, 111.0, "ok", 0, "", 0, GOOD, GOOD._replace(archive="web-0"))


@pytest.fixture
def states(tmp_path: Path) -> StateDirectory:
    directory = StateDirectory(str(tmp_path / "state"))
    directory.prepare()
    return directory


def test_what_is_saved_is_loaded(states: StateDirectory) -> None:
    for known in (KNOWN, HostState("/r"), KNOWN.begun("/r", 5.0), KNOWN.finished("error", None, "x" * 9999, 3.0)):
        states.save("web", known)
        assert states.load("web", "/r") == known


def test_a_host_with_another_repository_starts_anew(states: StateDirectory) -> None:
    states.save("web", KNOWN)
    assert states.load("web", "/other") == HostState()


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "3", "{}", '{"version": 2}', "[" * 100_000, '{"version": 1, "good": 3}', "\0"],
)
def test_a_damaged_file_means_that_nothing_is_known(states: StateDirectory, content: str) -> None:
    Path(states.path, "web.json").write_text(content)
    assert states.load("web", "/r") == HostState()


def test_a_value_of_another_type_means_that_nothing_is_known(states: StateDirectory) -> None:
    states.save("web", KNOWN)
    path = Path(states.path, "web.json")
    data = json.loads(path.read_text())
    for key in ("repository", "started", "outcome", "error", "failures", "good"):
        path.write_text(json.dumps({**data, key: {}}))
        assert states.load("web", "/r") == HostState(), key
    for key in data["good"]:
        if key != "compressed_size":
            path.write_text(json.dumps({**data, "good": {**data["good"], key: None}}))
            assert states.load("web", "/r") == HostState(), key


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300, -1.0])
def test_a_moment_that_is_none_means_that_nothing_is_known(states: StateDirectory, value: float) -> None:
    states.save("web", KNOWN)
    path = Path(states.path, "web.json")
    data = json.loads(path.read_text())
    for damaged in ({"started": value}, {"ended": value}, {"good": {**data["good"], "start": value}}):
        path.write_text(json.dumps({**data, **damaged}))
        assert states.load("web", "/r") == HostState()


def test_only_this_user_may_look(states: StateDirectory) -> None:
    states.save("web", KNOWN)
    assert os.stat(states.path).st_mode & 0o777 == 0o700
    assert os.stat(os.path.join(states.path, "web.json")).st_mode & 0o777 == 0o600


def test_a_place_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(CacheFault):
        StateDirectory(str(tmp_path / "state")).prepare()
    with pytest.raises(CacheFault):
        StateDirectory(str(tmp_path / "state")).save("web", KNOWN)


def test_failures_count_until_an_archive_is_made() -> None:
    known = HostState()
    for expected in (1, 2, 3):
        known = known.begun("/r", 1.0).finished("error", 2, "x", 2.0)
        assert known.failures == expected
    known = known.begun("/r", 3.0)
    assert known.with_good(GOOD).failures == 0


def test_to_look_whether_somebody_is_at_work_disturbs_nobody(states: StateDirectory) -> None:
    assert not states.is_at_work("web")
    lock = states.lock_host("web")
    assert lock is not None
    assert states.is_at_work("web")
    assert states.lock_host("web") is None
    os.close(lock)
    assert not states.is_at_work("web")
