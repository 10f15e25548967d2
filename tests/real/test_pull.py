"""``bork pull`` between two hosts: real ssh, real sshd, an agent that is sent, users with crossed-over ids."""

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Bork
from tests.real.hosts import Cable
from tests.real.program import assert_clear
from tests.real.sshd import SSHServer

pytestmark = [
    pytest.mark.needs("root", "ip", "sshd", "ssh", "ssh-keygen", "setfacl", "setcap"),
    pytest.mark.timeout(400),
]

PASSPHRASE = "correct horse battery staple"
# All that an archive keeps of an item and that `list` can show; the ids of what it was read from come with it.
KEYS = (
    *("type", "mode", "user", "group", "uid", "gid", "path", "bpath", "source", "linktarget", "flags"),
    *("size", "num_chunks", "xxh64", "isomtime", "isoctime", "health"),
)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cable]:
    with Cable(tmp_path_factory.mktemp("hosts")) as cable:
        yield cable


@pytest.fixture(scope="module")
def landing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where agents are put on the client."""
    return tmp_path_factory.mktemp("landing")


@pytest.fixture(scope="module")
def sshd(hosts: Cable, landing: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SSHServer]:
    settings = f"SetEnv XDG_RUNTIME_DIR={landing}\n"
    where = tmp_path_factory.mktemp("client")
    with SSHServer(where, hosts.client.address, hosts.client.within(), settings) as running:
        yield running


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What the client has: everything that an archive can keep."""
    root = tmp_path / "client root"
    (root / "home" / "alice").mkdir(parents=True)
    (root / "home" / "bob" / "empty").mkdir(parents=True)
    (root / "home" / "alice" / "text").write_bytes(b"hello\n" * 1000)
    (root / "home" / "alice" / "noise").write_bytes(os.urandom(5 << 20))
    (root / "home" / "bob" / "copy").write_bytes((root / "home" / "alice" / "noise").read_bytes())
    os.link(root / "home" / "alice" / "text", root / "home" / "bob" / "second name")
    (root / "home" / "bob" / "link").symlink_to("../alice/text")
    (root / "home" / "bob" / os.fsdecode(b"odd \xff\n name")).write_bytes(b"x")
    os.mkfifo(root / "home" / "fifo")
    os.mknod(root / "home" / "device", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    with (root / "home" / "sparse").open("wb") as sparse:
        sparse.write(b"begin")
        sparse.seek(3 << 20)
        sparse.write(b"end")
    for name in ("alice/text", "alice/noise", "alice", "bob", "bob/copy"):
        owner = 4101 if name.startswith("alice") else 4102  # alice and bob, as the client calls them
        os.chown(root / "home" / name, owner, owner)
    os.setxattr(root / "home" / "alice" / "text", "user.note", b"kept")
    subprocess.run(["setfacl", "-m", "u:4102:r,g:4101:rw", root / "home" / "alice" / "noise"], check=True)
    subprocess.run(["setfacl", "-d", "-m", "u:4102:rx", root / "home" / "bob"], check=True)
    shutil.copy("/bin/true", root / "home" / "bob" / "true")
    subprocess.run(["setcap", "cap_net_raw+ep", root / "home" / "bob" / "true"], check=True)
    os.utime(root / "home" / "alice" / "text", ns=(1, -1_234_567_890_123_456_789))
    return root


class Server:
    """The ``bork`` of the server host."""

    def __init__(self, bork: Bork, hosts: Cable, sshd: SSHServer) -> None:
        self._bork, self._hosts, self._sshd = bork, hosts, sshd
        self.client = f"ssh://root@{sshd.address}:{sshd.port}"

    def __call__(self, *words: str | bytes | Path, exit_code: int = 0) -> subprocess.CompletedProcess[bytes]:
        return self._bork(*words, exit_code=exit_code, within=self._hosts.server.within())


@pytest.fixture
def server(bork: Bork, hosts: Cable, sshd: SSHServer, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("BORK_RSH", sshd.rsh())
    monkeypatch.setenv("BORK_PASSPHRASE", PASSPHRASE)
    return Server(bork, hosts, sshd)


def items(server: Server, archive: str) -> list[dict[str, object]]:
    shown = server("list", "--json-lines", "--format", "".join(f"{{{key}}}" for key in KEYS), archive)
    return [json.loads(line) for line in shown.stdout.splitlines()]


def test_the_archive_of_a_pull_is_that_of_a_create_on_the_client(
    server: Server, bork: Bork, hosts: Cable, tree: Path, tmp_path: Path, landing: Path
) -> None:
    repository = tmp_path / "repository"
    server("init", "-e", "repokey", repository)
    empty = landing.stat().st_mtime_ns
    server("pull", f"{server.client}{tree}/home", f"{repository}::pulled")
    assert landing.stat().st_mtime_ns > empty, "the agent was somewhere else"
    assert list(landing.iterdir()) == []
    bork("create", f"{repository}::created", f"{tree}/home", within=hosts.client.within())
    pulled, created = (items(server, f"{repository}::{name}") for name in ("pulled", "created"))
    assert len(pulled) == len(list((tree / "home").rglob("*"))) + 1
    assert pulled == created
    assert {item["user"] for item in pulled} == {"root", "alice", "bob"}
    assert {item["user"]: item["uid"] for item in pulled}["alice"] == 4101
    assert server("diff", f"{repository}::pulled", "created").stdout == b""
    assert server("diff", "--json-lines", f"{repository}::created", "pulled").stdout == b""
    server("check", "--verify-data", repository)
    with_home = tmp_path / "restored"
    with_home.mkdir()
    bork("extract", "--numeric-ids", f"{repository}::pulled", cwd=with_home)
    restored = with_home / str(tree).lstrip("/")
    subprocess.run(["diff", "-r", "--no-dereference", tree / "home" / "alice", restored / "home" / "alice"], check=True)


def test_a_second_pull_sends_and_stores_nothing(server: Server, tree: Path, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    server("init", "-e", "repokey", repository)
    server("pull", f"{server.client}{tree}", f"{repository}::{{hostname}}-1")
    packs = {path.name for path in (repository / "packs").rglob("*") if path.is_file()}
    shown = server("pull", "--list", f"{server.client}{tree}", f"{repository}::{{hostname}}-2").stderr
    assert {path.name for path in (repository / "packs").rglob("*") if path.is_file()} == packs
    letters = [line.split()[0] for line in shown.splitlines()]
    assert set(letters) <= {b"U", b"d", b"s", b"f", b"c", b"h"}, shown
    names = server("list", "--short", repository).stdout.split()
    assert [name.decode().rsplit("-", 1)[1] for name in names] == ["1", "2"]
    assert not any(b"{" in name for name in names)


def test_a_pull_reads_the_metadata_that_an_earlier_one_left_out(server: Server, tree: Path, tmp_path: Path) -> None:
    os.setxattr(tree / "home" / "bob", "user.note", b"kept")
    streams = []
    for name, earlier in (("first", []), ("second", ["--noxattrs", "--noacls", "--noflags", "--numeric-ids"])):
        repository = tmp_path / name
        server("init", "-e", "repokey", repository)
        if earlier:
            server("pull", *earlier, f"{server.client}{tree}", f"{repository}::earlier")
        server("pull", f"{server.client}{tree}", f"{repository}::now")
        streams.append(server("export-tar", "--tar-format", "BORG", f"{repository}::now", "-").stdout)
    assert b"user.note" in streams[0]
    assert streams[0] == streams[1]


def test_what_changed_is_pulled_and_moved_content_is_not_sent_again(server: Server, tree: Path, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    server("init", "-e", "repokey", repository)
    server("pull", f"{server.client}{tree}", f"{repository}::a")
    (tree / "home" / "alice" / "noise").rename(tree / "home" / "moved")
    (tree / "home" / "new").write_bytes(os.urandom(100_000))
    before = sum(path.stat().st_size for path in (repository / "packs").rglob("*") if path.is_file())
    server("pull", f"{server.client}{tree}", f"{repository}::b")
    after = sum(path.stat().st_size for path in (repository / "packs").rglob("*") if path.is_file())
    assert 100_000 < after - before < 150_000
    changes = server("diff", f"{repository}::a", "b").stdout
    assert b"home/moved" in changes
    assert b"home/new" in changes
    server("check", "--verify-data", repository)


def test_a_forced_command_is_the_fence(server: Server, sshd: SSHServer, tree: Path, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    server("init", "-e", "repokey", repository)
    agents = Path(__file__).parents[2] / "src" / "bork" / "pull" / "agents"
    agent = agents / f"bork-agent-{os.uname().machine}"
    sshd.authorize("client", f'restrict,command="{agent} serve --read \\"{tree}/home/alice\\""')
    try:
        server("pull", f"{server.client}{tree}/home/alice", f"{repository}::allowed")
        for path in (f"{tree}/home", f"{tree}/home/bob", f"{tree}/home/alice/../bob", "/etc"):
            done = server("pull", f"{server.client}{path}", f"{repository}::refused", exit_code=2)
            assert_clear(done.returncode, done.stderr)
            assert b"does not allow to read" in done.stderr
    finally:
        sshd.authorize("client")
    assert server("list", "--short", repository).stdout.split() == [b"allowed"]


def test_without_an_agent_on_the_client_and_none_sent_the_error_says_so(
    server: Server, tree: Path, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    server("init", "-e", "repokey", repository)
    done = server("pull", "--no-ship", f"{server.client}{tree}", f"{repository}::a", exit_code=2)
    assert_clear(done.returncode, done.stderr)
    assert b"bork-agent is not installed on this client" in done.stderr


def test_a_dry_run_shows_and_stores_nothing(server: Server, tree: Path, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    server("init", "-e", "repokey", repository)
    shown = server("pull", "--dry-run", "--list", f"{server.client}{tree}", f"{repository}::a").stderr
    assert b"home/alice/text" in shown
    assert server("list", "--short", repository).stdout == b""
    assert not list((repository / "packs").rglob("*/*"))
