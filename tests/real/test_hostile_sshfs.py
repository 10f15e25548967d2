"""A client behind sshfs that was taken over: a real sshfs, and in the place of its SFTP server one that lies.

What the client hears is what ``lying_sftp`` has heard, and nothing else: sshfs lends ssh no agent and forwards nothing.
"""

import itertools
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.real.disks import run, unmount
from tests.real.lies import FORGES, KNOWN, TREES
from tests.real.lying_sftp import EXTENDED, INIT, OF_HANDLES, OF_PATHS, OPEN, READ_ONLY, flags, requests
from tests.real.program import CONTROL, MIB, Ended, assert_clear, measured
from tests.reference.repository import Repository

pytestmark = [pytest.mark.needs("root", "sshfs", "strace"), pytest.mark.timeout(200)]

ROOT = Path(__file__).resolve().parent.parent.parent
PASSPHRASE = b"correct horse battery staple"
SECRET = b"only of the other client"
MEMORY_MAX = 300 * MIB
ENDS_SSHFS = "an answer too long"  # sshfs gives up: the source went away
HOSTILE = sorted(TREES.keys() - {"honest"})


class Server:
    """Its repository has an archive of another client. Beside it lies a repository that is none of the client's."""

    def __init__(self, directory: Path, known: bytes = b"") -> None:
        self.directory = directory
        self.repository, self.elsewhere = directory / "repository", directory / "elsewhere"
        self._numbers = itertools.count(1)
        self.archive, self.log, self.options = "", directory / "none", directory / "none"  # of the newest backup
        others = directory / "others"
        others.mkdir()
        (others / "secret").write_bytes(SECRET)
        (others / "known").write_bytes(known)
        for repository in (self.repository, self.elsewhere):
            bork("init", "-e", "repokey", repository)
            bork("create", f"{repository}::of-another", others)

    @contextmanager
    def mounted(self, tree: str) -> Iterator[Path]:
        number = next(self._numbers)
        self.archive = f"{self.repository}::{number}"
        point, ssh, self.log, self.options = (
            self.directory / f"{name}{number}" for name in ("mnt", "ssh", "log", "options")
        )
        words = shlex.join([sys.executable, "-m", "tests.real.lies", tree, str(self.log)])
        ssh.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {self.options}\ncd {ROOT} && exec {words}\n')
        ssh.chmod(0o755)
        point.mkdir()
        run("sshfs", "-F", "none", "-o", f"ssh_command={ssh}", "-o", "no_contain_symlinks", "root@host:/", point)
        try:
            yield point
        finally:
            unmount(point)

    def create(self, tree: str) -> Ended:
        """A backup of a client that shows a tree."""
        with self.mounted(tree) as root:
            ended = measured("create", "--list", "--root", root, self.archive, "/")
        assert_clear(ended.code, ended.err)
        assert ended.code in ((2,) if tree == ENDS_SSHFS else (0, 1)), ended.says()
        assert ended.peak_bytes < MEMORY_MAX
        return ended

    def objects(self) -> dict[Path, bytes]:
        """Of both repositories."""
        files = (path for root in (self.repository, self.elsewhere) for path in root.rglob("*") if path.is_file())
        return {path: path.read_bytes() for path in files}


def bork(*words: str | Path, cwd: Path | None = None) -> bytes:
    """What it prints."""
    ended = measured(*words, cwd=cwd)
    assert ended.code == 0, ended.says()
    return ended.out


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Server:
    with pytest.MonkeyPatch.context() as patch:
        directory = tmp_path_factory.mktemp("server")
        patch.setenv("HOME", str(directory))
        patch.setenv("BORK_PASSPHRASE", PASSPHRASE.decode())
        return Server(directory)


@pytest.fixture(autouse=True)
def passphrase(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BORK_PASSPHRASE", PASSPHRASE.decode())


@pytest.mark.parametrize("tree", HOSTILE)
def test_a_client_behind_sshfs_changes_nothing_that_exists_and_reaches_nothing_else(tree: str, server: Server) -> None:
    before = server.objects()
    ended = server.create(tree)
    after = server.objects()
    assert {path: after.get(path) for path in before} == before
    new = after.keys() - before.keys()
    assert new or ended.code == 2
    assert [path for path in new if server.repository not in path.parents] == []
    bork("check", "--verify-data", server.repository)
    for repository in (server.repository, server.elsewhere):
        assert bork("extract", "--stdout", f"{repository}::of-another", "re:secret$") == SECRET


@pytest.mark.parametrize("tree", TREES)
def test_a_client_behind_sshfs_hears_requests_to_read_and_no_secret(tree: str, server: Server) -> None:
    server.create(tree)
    assert {"-x", "-a", "-oClearAllForwardings=yes"} <= set(server.options.read_text().splitlines())
    heard = list(requests(server.log))
    assert {kind for kind, _ in heard} <= {INIT, EXTENDED, *OF_PATHS, *OF_HANDLES}
    assert {flags(body) for kind, body in heard if kind == OPEN} <= {READ_ONLY}
    secrets = Repository(server.repository, lambda: PASSPHRASE).secrets
    places = (os.fsencode(server.directory), b"of-another")
    for secret in (PASSPHRASE, SECRET, secrets.id_secret, *secrets.epochs, *places):
        assert secret not in server.log.read_bytes()


def test_a_client_behind_sshfs_is_asked_the_same_whether_its_content_is_known_or_not(tmp_path: Path) -> None:
    heard, stored = [], []
    for name, known in (("new", b""), ("known", KNOWN)):
        (tmp_path / name).mkdir()
        server = Server(tmp_path / name, known)
        before = sum(map(len, server.objects().values()))
        assert server.create("honest").code == 0
        stored.append(sum(map(len, server.objects().values())) - before)
        heard.append(set(requests(server.log)))
    assert heard[0] == heard[1]
    assert stored[0] > stored[1] + len(KNOWN) // 2, "the other client had it"


def test_a_client_behind_sshfs_steers_no_terminal(server: Server, tmp_path: Path) -> None:
    assert FORGES.startswith(b"\n")
    created = server.create("lies")
    listed = measured("list", server.archive)
    extracted = measured("extract", "--list", server.archive, cwd=tmp_path)
    for ended in (created, listed, extracted):
        assert not CONTROL.search(ended.out + ended.err)
        assert FORGES not in ended.out + ended.err
    assert listed.out.count(FORGES[1:]) == 2, "a file, and a link"


def test_no_link_of_a_client_behind_sshfs_leads_to_a_file_of_the_server(server: Server, tmp_path: Path) -> None:
    """Links are kept as they are. Not even the names of groups come from the file that one of them leads to."""
    server.create("lies")
    bork("extract", server.archive, cwd=tmp_path)
    assert os.readlink(tmp_path / "links" / "out") == "/etc/passwd"
    assert os.readlink(tmp_path / "links" / "directory") == "/etc"
    assert os.readlink(tmp_path / "etc" / "group") == "/proc/self/root/etc/group"
    assert Path("/proc/self/root/etc/group").read_bytes().startswith(b"root:x:0:")
    assert set(bork("list", "--format", "{group}{NL}", server.archive).split()) == {b"0"}


def test_nothing_is_started_for_a_client_behind_sshfs(server: Server, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    with server.mounted("lies") as root:
        words = ["create", "--root", str(root), server.archive, "/"]
        strace = ["strace", "-f", "-o", str(trace), "-e", "trace=execve", sys.executable, "-m", "bork", *words]
        run("sh", "-c", f"{shlex.join(strace)} || test $? = 1")
    assert trace.read_text().count("execve(") == 1
