"""The metrics follow the text format of Prometheus and the conventions of node_exporter."""

import os
import re
from pathlib import Path

import pytest

from bork.errors import OutputFault
from bork.pull.fleet import metrics
from bork.pull.fleet.hosts import Host
from bork.pull.fleet.state import Good, HostState
from bork.pull.fleet.status import HostStatus

NOW = 1000.0
_TEXT = r'(?:[^"\\\n]|\\["\\n])*'  # of a label
_LINE = re.compile(rf'(?P<name>[a-z_]+)(?:\{{host="(?P<host>{_TEXT})",repository="{_TEXT}"\}})? (?P<value>-?[0-9.e+]+)')


def status(name: str, known: HostState, repository: str = "/r", *, is_overdue: bool = False) -> HostStatus:
    host = Host(name, name, ("/etc",), repository, "a", "a", max_age_s=86400)
    return HostStatus(host, known, None, is_overdue, is_due=False, is_at_work=False)


GOOD = Good("a", 100.0, 130.25, 1000, 500, 10, 3)
WELL = HostState("/r", 100.0, 131.0, "ok", 0, "", 0, GOOD, Good("b", 1.0, 2.0, 900, 500, 10, 3))
BAD = HostState("/r", 200.0, 201.0, "error", 81, "no route", 3)


def samples(text: str) -> dict[tuple[str, str | None], float]:
    """Every sample, after the text was taken apart strictly."""
    found = {}
    announced = ""
    for line in text.splitlines():
        if line.startswith("# HELP "):
            announced = line.split()[2]
        elif line.startswith("# TYPE "):
            assert line == f"# TYPE {announced} gauge"
        else:
            match = _LINE.fullmatch(line)
            assert match is not None, line
            assert match["name"] == announced, "all samples of a metric stand together"
            assert (match["name"], match["host"]) not in found
            found[match["name"], match["host"]] = float(match["value"])
    assert text.endswith("\n")
    return found


def test_a_host_has_the_values_that_are_known() -> None:
    found = samples(metrics.render([status("web", WELL), status("db", BAD, is_overdue=True)], NOW))
    of_web = {name.removeprefix("bork_pull_"): value for (name, host), value in found.items() if host == "web"}
    assert of_web == {
        "last_success_timestamp_seconds": 100,
        "last_success_duration_seconds": 30.25,
        "last_start_timestamp_seconds": 100,
        "last_end_timestamp_seconds": 131,
        "success": 1,
        "failures": 0,
        "last_exit_code": 0,
        "archive_original_size_bytes": 1000,
        "archive_compressed_size_bytes": 500,
        "archive_deduplicated_size_bytes": 10,
        "archive_files": 3,
        "archive_change_bytes": 100,
        "max_age_seconds": 86400,
        "overdue": 0,
        "paused": 0,
    }
    of_db = {name.removeprefix("bork_pull_"): value for (name, host), value in found.items() if host == "db"}
    assert (of_db["success"], of_db["failures"], of_db["overdue"], of_db["last_exit_code"]) == (0, 3, 1, 81)
    assert "last_success_timestamp_seconds" not in of_db
    assert found["bork_pull_status_timestamp_seconds", None] == NOW


def test_labels_are_escaped() -> None:
    text = metrics.render([status("web", HostState(), 'a"b\\c\nd')], NOW)
    assert 'repository="a\\"b\\\\c\\nd"' in text
    samples(text)


def test_the_file_is_replaced_whole_and_may_be_read_by_the_collector(tmp_path: Path) -> None:
    path = tmp_path / "bork.prom"
    path.write_text("old")
    old = os.open(path, os.O_RDONLY)
    previous = os.umask(0o077)
    try:
        metrics.write(str(path), "new\n")
    finally:
        os.umask(previous)
    assert os.read(old, 10) == b"old", "who reads the old one goes on reading it"
    os.close(old)
    assert path.read_text() == "new\n"
    assert path.stat().st_mode & 0o777 == 0o644
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == ["bork.prom"]


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "bork.prom").mkdir()
    with pytest.raises(OutputFault):
        metrics.write(str(tmp_path / "bork.prom"), "new\n")
    with pytest.raises(OutputFault):
        metrics.write(str(tmp_path / "none" / "bork.prom"), "new\n")
    assert not [one.name for one in tmp_path.iterdir() if "tmp" in one.name]


def test_no_link_is_followed_to_another_file(tmp_path: Path) -> None:
    """In a directory that others may write to, a link of theirs at the temporary name is not written through."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / f".bork.prom.{os.getpid()}.tmp").symlink_to(victim)
    with pytest.raises(OutputFault):
        metrics.write(str(tmp_path / "bork.prom"), "new\n")
    assert victim.read_text() == "precious"
