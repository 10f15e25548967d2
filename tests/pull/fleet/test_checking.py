"""``bork pull --check``: what was tried and how it went, with a host that is played."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from bork.errors import AgentFault, BorkError, ConnectionClosedWithHint, PassphraseWrong
from bork.pull.fleet import checking
from bork.pull.fleet.checking import Finding, Probe
from bork.pull.fleet.hosts import Host

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


def test_without_an_agent_to_speak_with_its_rights_are_not_tried() -> None:
    findings = check(AgentFault("the agent there is of another version"))
    assert levels(findings) == {"reach": "ok", "versions": "error", "repository": "ok"}
    assert checking.worst(findings) == 2


def test_paths_that_cannot_be_read_are_errors() -> None:
    findings = check(Probe("bork-agent 9", problems=("home: Permission denied", "etc: No such file")))
    assert levels(findings) == {"reach": "ok", "versions": "ok", "rights": "error", "repository": "ok"}
    assert [finding.text for finding in findings if finding.level == "error"] == [
        "home: Permission denied",
        "etc: No such file",
    ]


def test_an_agent_that_may_not_read_everything_is_a_warning() -> None:
    findings = check(Probe("bork-agent 9", reads_all=False))
    assert levels(findings)["rights"] == "warning"
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
