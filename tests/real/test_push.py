"""``bork push`` between two hosts: real ssh, real sshd, an agent that is sent, users with crossed-over ids."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Bork
from tests.real.hosts import Cable
from tests.real.program import assert_clear
from tests.real.sshd import SSHServer

pytestmark = [
    pytest.mark.needs("root", "ip", "sshd", "ssh", "ssh-keygen", "setfacl"),
    pytest.mark.timeout(400),
]

AGENTS = Path(__file__).parents[2] / "src" / "bork" / "pull" / "agents"


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cable]:
    with Cable(tmp_path_factory.mktemp("hosts")) as cable:
        yield cable


@pytest.fixture(scope="module")
def sshd(hosts: Cable, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SSHServer]:
    with SSHServer(tmp_path_factory.mktemp("client"), hosts.client.address, hosts.client.within()) as running:
        yield running


class Server:
    """The ``bork`` of the server host, with an archive of what alice (4102 here, 4101 there) and bob have."""

    def __init__(self, bork: Bork, hosts: Cable, sshd: SSHServer, directory: Path) -> None:
        self._bork, self._hosts = bork, hosts
        self.client = f"ssh://root@{sshd.address}:{sshd.port}"
        self.repository, self.source, self.target = (directory / name for name in ("repository", "source", "target"))
        self.target.mkdir()
        for name, uid in (("alice", 4102), ("bob", 4101)):
            (self.source / name).mkdir(parents=True)
            (self.source / name / "thesis").write_bytes(os.urandom(300_000))
            for path in (self.source / name, self.source / name / "thesis"):
                os.chown(path, uid, uid)
        subprocess.run(["setfacl", "-m", "u:4101:r", self.source / "alice" / "thesis"], check=True)
        self("init", "-e", "repokey", self.repository)
        self("create", f"{self.repository}::a", ".", cwd=self.source)

    def __call__(
        self, *words: str | Path, exit_code: int = 0, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        return self._bork(*words, exit_code=exit_code, cwd=cwd, within=self._hosts.server.within())

    def push(self, *words: str, target: Path | None = None, exit_code: int = 0) -> subprocess.CompletedProcess[bytes]:
        options = [word for word in words if word.startswith("-")]
        paths = [word for word in words if word not in options]
        where = f"{self.client}{target or self.target}"
        return self("push", *options, f"{self.repository}::a", where, *paths, exit_code=exit_code)


@pytest.fixture
def server(bork: Bork, hosts: Cable, sshd: SSHServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("BORK_RSH", sshd.rsh())
    return Server(bork, hosts, sshd, tmp_path)


def owners(root: Path) -> dict[str, tuple[int, int]]:
    return {str(path.relative_to(root)): (path.stat().st_uid, path.stat().st_gid) for path in root.rglob("*")}


def test_owners_are_those_whom_the_client_calls_so(server: Server) -> None:
    server.push()
    crossed = {4101: 4102, 4102: 4101}
    assert owners(server.target) == {
        path: (crossed[uid], crossed[gid]) for path, (uid, gid) in owners(server.source).items()
    }
    acl = subprocess.run(["getfacl", "-n", server.target / "alice" / "thesis"], check=True, capture_output=True).stdout
    assert b"user:4102:r--" in acl, "bob, as the client counts"
    for name in ("alice", "bob"):
        assert (server.target / name / "thesis").read_bytes() == (server.source / name / "thesis").read_bytes()
    assert {line[:1] for line in server.push("--list").stderr.splitlines()} == {b"U"}
    server.push("--numeric-ids")
    assert owners(server.target) == owners(server.source)


def test_one_thesis_comes_back_and_nothing_is_left_of_the_agent(server: Server) -> None:
    server.push("alice/thesis")
    assert sorted(path.name for path in server.target.rglob("*")) == ["alice", "thesis"]
    places = ("/tmp", "/var/tmp", "/root", "/dev/shm")
    assert [path for place in places for path in Path(place).glob("bork-agent.*")] == []


def test_a_forced_command_says_where_may_be_written(server: Server, sshd: SSHServer, tmp_path: Path) -> None:
    agent = AGENTS / f"bork-agent-{os.uname().machine}"
    other = tmp_path / "other"
    other.mkdir()
    try:
        sshd.authorize("client", f'restrict,command="{agent} serve --write \\"{server.target}\\""')
        server.push("alice")
        for target in (other, server.target / ".." / "other", Path("/etc")):
            done = server.push(target=target, exit_code=2)
            assert_clear(done.returncode, done.stderr)
            assert b"does not allow to write to" in done.stderr
        sshd.authorize("client", f'restrict,command="{agent} serve --read /"')
        assert b"does not allow to write anything" in server.push(exit_code=2).stderr
    finally:
        sshd.authorize("client")
    assert list(other.iterdir()) == []
