"""``bork pull --check``: what was tried and how it went, with a host that is played."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from bork.errors import BorkError, ConnectionClosedWithHint, PassphraseWrong
from bork.pull.fleet import checking
from bork.pull.fleet.checking import Finding, Probe
from bork.pull.fleet.hosts import Host
from bork.pull.fleet.reach import SSHProber

WEB = Host("web", "root@web", ("/etc", "/home"), "/r", "a", "a", ssh_options=("Port=22",))


def check(
    answer: Probe | BorkError, *, repository: str | BorkError = "it opens", path: str | None = None
) -> list[Finding]:
    def probe(destination: str, paths: Sequence[str], ssh_options: Sequence[str]) -> Probe:
        assert (destination, paths, ssh_options) == ("root@web", ("/etc", "/home"), ("Port=22",))
        if isinstance(answer, BorkError):
            raise answer
        return answer

    def open_repository() -> str:
        if isinstance(repository, BorkError):
            raise repository
        return repository

    return list(checking.check(WEB, probe, open_repository, path))


def levels(findings: list[Finding]) -> dict[str, str]:
    return {finding.subject: finding.level for finding in findings}


def test_all_is_well(tmp_path: Path) -> None:
    findings = check(Probe("bork-agent 0.1.0"), path=str(tmp_path))
    assert list(levels(findings)) == ["reach", "versions", "rights", "repository", "space"]
    assert {finding.level for finding in findings[:4]} == {"ok"}
    assert checking.worst(findings[:4]) == 0


def test_a_host_that_cannot_be_reached_is_asked_nothing_more_but_the_repository_is_tried() -> None:
    findings = check(ConnectionClosedWithHint("no route"))
    assert levels(findings) == {"reach": "error", "repository": "ok"}
    assert checking.worst(findings) == 2


def test_an_agent_of_another_time_and_paths_that_cannot_be_read_are_errors() -> None:
    findings = check(Probe("bork-agent 9", is_compatible=False, problems={"/home": "Permission denied"}))
    assert levels(findings) == {"reach": "ok", "versions": "error", "rights": "error", "repository": "ok"}
    assert "/home: Permission denied" in [finding.text for finding in findings]


def test_what_was_not_tried_is_no_success() -> None:
    findings = check(Probe(has_seen_paths=False))
    assert levels(findings) == {"reach": "ok", "versions": "warning", "rights": "warning", "repository": "ok"}
    assert checking.worst(findings) == 1


def test_a_wrong_passphrase_ends_it() -> None:
    findings = check(Probe("a"), repository=PassphraseWrong(), path="/")
    assert levels(findings)["repository"] == "error"
    assert "space" not in levels(findings)
    assert checking.worst(findings) == 2


def test_too_little_space_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(checking, "SPACE_MIN_BYTES", 1 << 62)
    assert levels(check(Probe("a"), path=str(tmp_path)))["space"] == "warning"
    assert levels(check(Probe("a"), path=str(tmp_path / "none")))["space"] == "error"


# ---- ssh ---------------------------------------------------------------------------------------------------------


def prober(tmp_path: Path, script: str) -> SSHProber:
    ssh = tmp_path / "ssh"
    ssh.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/words\n{script}\n')
    ssh.chmod(0o755)
    return SSHProber(str(ssh), {"PATH": "/usr/bin:/bin"})


@pytest.mark.parametrize("code", [0, 1, 127])
def test_a_host_is_reached_whatever_its_command_says(tmp_path: Path, code: int) -> None:
    assert not prober(tmp_path, f"exit {code}")("root@web", ["/etc"], ["Port=22"]).has_seen_paths
    assert (tmp_path / "words").read_text().split() == ["-o", "Port=22", "--", "root@web", "true"]


@pytest.mark.parametrize(
    ("script", "hint"),
    [("echo Permission denied. >&2; exit 255", "Permission denied."), ("kill -9 $$", "without a word")],
)
def test_what_ssh_says_of_its_failure_is_told(tmp_path: Path, script: str, hint: str) -> None:
    with pytest.raises(ConnectionClosedWithHint, match=hint):
        prober(tmp_path, script)("web", ["/etc"], [])


def test_without_ssh_the_error_names_it() -> None:
    with pytest.raises(ConnectionClosedWithHint, match="/nowhere/ssh: No such file"):
        SSHProber("/nowhere/ssh", {})("web", ["/etc"], [])
