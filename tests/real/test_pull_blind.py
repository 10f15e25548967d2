"""A pull where the client encrypts, by a real sshd: it plays the client, and the test is the server."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bork.operations.heads import load_heads
from bork.operations.opening import Access, open_repository
from bork.repository import config as configs
from tests.conftest import SYSTEM_PATH
from tests.real.program import MIB, assert_clear, measured
from tests.real.sshd import SSHServer

pytestmark = [pytest.mark.needs("sshd", "ssh", "ssh-keygen"), pytest.mark.timeout(400)]

PROGRAM = (sys.executable, "-m", "bork")
SECRET = "only the client knows this"
HANDED_OVER = "the server says this to the client"
Done = subprocess.CompletedProcess[bytes]


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SSHServer]:
    with SSHServer(tmp_path_factory.mktemp("client")) as running:
        yield running


class Scene:
    """A client with a home of its own, and the server that pulls from it."""

    def __init__(self, sshd: SSHServer, directory: Path) -> None:
        self.sshd, self.repository = sshd, directory / "srv" / "repo"
        self.client_home = directory / "client home"
        self.client_home.mkdir()
        self.repository.parent.mkdir()
        self.tree = directory / "tree; touch it's $(owned) -x"
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("BORK_", "BORG_"))
        }
        self.environment |= {"BORK_RSH": sshd.rsh()}
        self.install(f"BORK_PASSPHRASE={shlex.quote(SECRET)}")

    def install(self, variables: str = "", program: str = f"{sys.executable} -m bork") -> Path:
        """Make the Bork of the client. ``variables``: what its administrator has set."""
        path = self.client_home / "bork"
        home = shlex.quote(str(self.client_home))
        path.write_text(f'#!/bin/sh\ncd {home} && exec env -i PATH="$PATH" HOME={home} {variables} {program} "$@"\n')
        path.chmod(0o755)
        self.environment["BORK_REMOTE_PATH"] = shlex.quote(str(path))
        return path

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*PROGRAM, *words],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def words(self, archive: str, *options: str) -> list[str]:
        source = self.sshd.url(self.tree)
        return ["pull", "--client-encrypts", *options, source, f"{self.repository}::{archive}"]

    def pull(self, archive: str, *options: str, exit_code: int = 0) -> str:
        """What it said."""
        child = self.start(*self.words(archive, *options))
        out, err = child.communicate(timeout=120)
        assert child.returncode == exit_code, os.fsdecode(out + err)
        assert_clear(exit_code, err)
        return os.fsdecode(out + err)

    def at_client(self, *words: str | Path, cwd: Path | None = None) -> bytes:
        """Bork, by the hands of somebody at the client, with the passphrase of the client."""
        environment = {"HOME": str(self.client_home), "BORK_PASSPHRASE": SECRET, "PATH": SYSTEM_PATH}
        environment |= {"BORK_RELOCATED_REPO_ACCESS_IS_OK": "yes", "TZ": "UTC", "BORK_DISPLAY_PASSPHRASE": "no"}
        command = [sys.executable, "-m", "bork", *words]
        done = subprocess.run(command, env=environment, cwd=cwd or self.client_home, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def archives(self) -> list[str]:
        return [each.name for each in (self.repository / "archives").iterdir()]


@pytest.fixture
def scene(sshd: SSHServer, tmp_path: Path) -> Scene:
    made = Scene(sshd, tmp_path)
    (made.tree / "deep").mkdir(parents=True)
    (made.tree / "text").write_bytes(b"hello\n" * 1000)
    (made.tree / "deep" / "noise").write_bytes(os.urandom(3 << 20))
    (made.tree / "deep" / os.fsdecode(b"not \xff text\n")).write_bytes(b"")
    (made.tree / "link").symlink_to("text")
    (made.tree / "hard").hardlink_to(made.tree / "text")
    os.mkfifo(made.tree / "fifo", 0o612)
    os.setxattr(made.tree / "text", "user.note", b"\0kept")
    os.utime(made.tree / "text", ns=(1, -123456789))
    return made


class Passphrase:
    """Of the client, for a look into the repository."""

    def get(self, prompt_for: str, attempt: int) -> bytes | None:
        return SECRET.encode() if attempt == 0 else None

    def new(self, prompt_for: str) -> bytes:
        raise AssertionError(prompt_for)


class Yes:
    def ask(self, msgid: str, message: str, default: bool = False) -> bool:
        return True


def trees(scene: Scene, directory: Path) -> dict[str, bytes]:
    """Of each archive the id of its tree: the same if, and only if, all its items are the same to the last bit."""
    access = Access(
        path=str(scene.repository),
        passphrases=Passphrase(),
        cache_dir=None,
        keys_dir=str(directory),
        security_dir=str(directory / "security"),
        key_file=None,
        questions=Yes(),
    )
    with open_repository(access) as opened:
        heads = load_heads(opened.repository, opened.keys, opened.repository.heads())
        return {entry.head.name: entry.head.root for entry in heads.entries}


# ---- it works ----------------------------------------------------------------------------------------------------


def test_a_blind_pull_makes_the_archive_that_a_local_create_makes(scene: Scene, tmp_path: Path) -> None:
    assert "wrong" not in SECRET
    scene.environment["BORK_PASSPHRASE"] = "a wrong one: the server has no use for any"
    assert scene.pull("pulled", "--init", "repokey") == ""
    scene.at_client("create", f"{scene.repository}::local", scene.tree)
    found = trees(scene, tmp_path)
    assert found["pulled"] == found["local"]
    target = tmp_path / "target"
    target.mkdir()
    scene.at_client("extract", f"{scene.repository}::pulled", cwd=target)
    restored = target / str(scene.tree).lstrip("/")
    assert (restored / "deep" / "noise").read_bytes() == (scene.tree / "deep" / "noise").read_bytes()
    assert (restored / "text").stat().st_mtime_ns == -123456789
    assert (restored / "text").samefile(restored / "hard")
    assert os.getxattr(restored / "text", "user.note") == b"\0kept"
    scene.at_client("check", "--verify-data", scene.repository)
    assert not (scene.tree.parent / "owned").exists()


def test_options_of_create_reach_the_client(scene: Scene) -> None:
    words = ("--init", "repokey", "--exclude", "*/deep", "--comment", "of the server", "-C", "zstd,3", "--list")
    assert "A " in scene.pull("{hostname}-{user}", *words, "--stats")
    (line,) = scene.at_client("list", "--format", "{archive} {comment}{NL}", scene.repository).splitlines()
    assert os.fsdecode(line) == f"127.0.0.1-{scene.sshd.user} of the server"
    assert b"noise" not in scene.at_client("list", f"{scene.repository}::127.0.0.1-{scene.sshd.user}")
    document = json.loads(scene.pull("two", "--json"))
    assert document["archive"]["name"] == "two"
    assert document["archive"]["stats"]["deduplicated_size"] > 0
    records = [json.loads(line) for line in scene.pull("three", "--log-json", "--list", "--progress").splitlines()]
    assert {record["type"] for record in records} == {"file_status", "archive_progress"}
    assert {record["status"] for record in records if record["type"] == "file_status"} >= {"U", "d"}
    assert scene.pull("never", "--dry-run", "--list").startswith("- ")
    assert len(scene.archives()) == 3


def test_a_file_that_cannot_be_read_is_a_warning_of_the_client_and_exit_code_1(scene: Scene) -> None:
    scene.pull("one", "--init", "repokey")
    scene.environment["BORK_EXIT_CODES"] = "modern"
    source = scene.sshd.url(scene.tree.parent / "nothing there")
    child = scene.start("pull", "--client-encrypts", source, f"{scene.repository}::two")
    _, words = child.communicate(timeout=60)
    assert child.returncode == 107
    assert b"nothing there" in words
    assert len(scene.archives()) == 2


# ---- what the server knows ---------------------------------------------------------------------------------------


def running(word: bytes) -> dict[int, list[bytes]]:
    """The processes with this word in their command line."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if word in words:
            found[int(path.parent.name)] = words
    return found


def serving(scene: Scene) -> list[int]:
    return [pid for pid, words in running(b"serve").items() if os.fsencode(scene.repository) in words]


def sources(scene: Scene) -> list[int]:
    """The processes of this client that are at work."""
    home = os.fsencode(f"HOME={scene.client_home}")
    return [pid for pid in running(b"source") if home in environment_of(pid)]


def environment_of(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def until(condition: object, what: str) -> None:
    assert callable(condition)
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.fixture
def slow(scene: Scene) -> Iterator[subprocess.Popen[bytes]]:
    """A pull in the middle of its work: 40 MiB at 6 MB/s, in packs of 16 MiB."""
    scene.pull("first", "--init", "repokey")
    (scene.tree / "big").write_bytes(os.urandom(40 << 20))
    packs = len(list((scene.repository / "packs").glob("*/*")))
    child = scene.start(*scene.words("slow", "--download-ratelimit", "6000"))
    until(lambda: len(list((scene.repository / "packs").glob("*/*"))) > packs, "nothing arrives")
    yield child
    child.terminate()
    child.communicate()


def test_the_server_holds_no_secret_and_both_fences_are_always_there(
    scene: Scene, slow: subprocess.Popen[bytes]
) -> None:
    client = sources(scene)[0]
    os.kill(client, signal.SIGSTOP)  # so that there is time to look
    assert SECRET.encode() in memory_of(client), "or this test looks at nothing"
    (server,) = serving(scene)
    words = Path(f"/proc/{server}/cmdline").read_bytes().split(b"\0")
    repository = os.fsencode(scene.repository)
    at = words.index(b"serve")
    assert words[at:] == [b"serve", b"--append-only", b"--restrict-to-repository", repository, b""]
    children = Path(f"/proc/{slow.pid}/task/{slow.pid}/children").read_text().split()
    for pid in (slow.pid, *map(int, children)):
        assert not any(SECRET.encode() in each for each in environment_of(pid))
        assert SECRET.encode() not in memory_of(pid)
    os.kill(client, signal.SIGCONT)


def memory_of(pid: int) -> bytes:
    """Everything that a process has in memory of its own."""
    found = bytearray()
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            area, rights, _, _, inode = line.split()[:5]
            if rights.startswith("rw") and inode == "0":
                start, end = (int(each, 16) for each in area.split("-"))
                try:
                    memory.seek(start)
                    found += memory.read(end - start)
                except (OSError, OverflowError):
                    pass  # a page of the kernel's own
    return bytes(found)


def test_a_passphrase_that_is_handed_over_is_in_no_command_line_and_no_environment(scene: Scene) -> None:
    scene.install()
    scene.environment["BORK_PASSPHRASE"] = HANDED_OVER
    said = scene.pull("one", "--init", "repokey", "--passphrase-from-server")
    assert "this server knows the passphrase" in said
    (scene.tree / "big").write_bytes(os.urandom(40 << 20))
    child = scene.start(*scene.words("two", "--passphrase-from-server", "--download-ratelimit", "9000"))
    until(lambda: sources(scene), "no client")
    seen, itself = 0, Path(f"/proc/{child.pid}/cmdline").read_bytes()
    while child.poll() is None:
        for path in Path("/proc").glob("[0-9]*"):
            if int(path.name) in (child.pid, os.getpid()):
                continue  # the one who has it in his environment, and us
            try:
                words, told = (path / "cmdline").read_bytes(), (path / "environ").read_bytes()
            except OSError:
                continue
            if words == itself:
                continue  # a child that has not become another program yet
            seen += 1
            assert HANDED_OVER.encode() not in words + told, words + told
        time.sleep(0.05)
    child.communicate()
    assert child.returncode == 0
    assert seen > 20
    del scene.environment["BORK_PASSPHRASE"]
    assert "Cannot acquire a passphrase" in scene.pull("three", exit_code=2)
    assert len(scene.archives()) == 2


def test_the_passphrase_of_the_client_wins_over_what_is_handed_over(scene: Scene) -> None:
    scene.pull("one", "--init", "repokey")
    scene.environment["BORK_PASSPHRASE"] = HANDED_OVER
    assert "Warning: --passphrase-from-server" in scene.pull("two", "--passphrase-from-server")


# ---- what the client accepts -------------------------------------------------------------------------------------


def test_another_repository_in_its_place_is_refused(scene: Scene) -> None:
    """Also one with the same passphrase. What was seen first stays, whatever the server calls it."""
    scene.pull("one", "--init", "repokey")
    ours = scene.repository
    for mode in ("repokey", "none"):
        other = ours.with_name(mode)
        scene.at_client("init", "-e", mode, other)
        ours.rename(ours.with_name("aside"))
        other.rename(ours)
        said = scene.pull("two", exit_code=2)
        assert "another repository than this client has used" in said or "unencrypted" in said
        assert scene.archives() == []
        scene.repository = ours.with_name("elsewhere")
        ours.rename(scene.repository)
        scene.pull("two", exit_code=2)
        scene.repository.rename(other.with_name(f"{mode} was here"))
        ours.with_name("aside").rename(ours)
        scene.repository = ours
    scene.pull("two")
    ours.rename(ours.with_name("moved"))
    scene.repository = ours.with_name("moved")
    scene.pull("three")
    assert len(scene.archives()) == 3


def test_the_administrator_of_the_client_says_which_repository_it_may_be(scene: Scene) -> None:
    scene.at_client("init", "-e", "repokey", scene.repository)
    ours = configs.decode((scene.repository / "config").read_bytes(), "here").id.hex()
    program = f"{sys.executable} -m bork source --repository-id"
    key = f"BORK_PASSPHRASE={shlex.quote(SECRET)}"
    scene.install(key, f"{program} {'0' * 64} #")
    assert f"{ours}, not {'0' * 64}" in scene.pull("one", exit_code=2)
    scene.install(key, f"{program} {ours} #")
    scene.pull("one")


@pytest.mark.parametrize("mode", ["none", "authenticated", "keyfile"])
def test_a_changed_mode_is_refused(scene: Scene, mode: str) -> None:
    scene.pull("one", "--init", "repokey")
    path = scene.repository / "config"
    config = configs.decode(path.read_bytes(), "here")
    path.write_bytes(config._replace(encryption=mode).encode())
    scene.environment["BORK_EXIT_CODES"] = "modern"
    said = subprocess.run(
        [*PROGRAM, *scene.words("two")], env=scene.environment, capture_output=True, check=False, timeout=60
    )
    assert said.returncode == 61
    assert b"encryption method changed" in said.stderr


def test_a_repository_that_the_server_could_read_is_not_made(scene: Scene) -> None:
    for mode in ("none", "authenticated"):
        assert "without encryption" in scene.pull("one", "--init", mode, exit_code=2)
    assert not (scene.repository / "config").exists()


def test_a_client_that_has_a_repository_makes_no_other(scene: Scene) -> None:
    scene.pull("one", "--init", "repokey")
    scene.repository = scene.repository.with_name("second")
    assert "has its repository already" in scene.pull("one", "--init", "repokey", exit_code=2)


def test_a_forced_command_lets_the_server_read_only_some_paths(scene: Scene) -> None:
    scene.install(f"BORK_PASSPHRASE={shlex.quote(SECRET)}")
    inside = scene.tree / "deep"
    out = inside / "way out"
    out.symlink_to(scene.tree)
    program = str(scene.client_home / "bork")
    command = f"{shlex.quote(program)} source --read {shlex.quote(str(inside))}".replace('"', '\\"')
    scene.sshd.authorize("restricted", f'command="{command}",restrict')
    scene.environment["BORK_RSH"] = scene.sshd.rsh("restricted")
    scene.environment["BORK_REMOTE_PATH"] = "touch /tmp/owned;"
    run = ["pull", "--client-encrypts", "--init", "repokey"]
    for path in (scene.tree, f"{inside}/..", out / "text", f"{inside}/../text", "/", f"{inside}x"):
        child = scene.start(*run, scene.sshd.url(path), f"{scene.repository}::one")
        _, words = child.communicate(timeout=60)
        assert child.returncode == 2, path
        assert b"lets a server read" in words, words
    for options in (["--read-special"], []):
        child = scene.start(*run, *options, scene.sshd.url(inside), f"{scene.repository}::one")
        _, words = child.communicate(timeout=60)
        assert child.returncode == (2 if options else 0), words
    assert len(scene.archives()) == 1


# ---- hostile clients ---------------------------------------------------------------------------------------------

HOSTILE = """
import os, sys
from bork.errors import BorkError
from bork.protocol.preamble import read_preamble
from bork.pull.blind.order import decode
from bork.storage.remote.connection import Settings
from bork.storage.remote.store import RemoteStore
order = decode(read_preamble(0))
settings = Settings((), "hostile", print, descriptors=(0, 1))
path = os.fsdecode(order.path)
"""
DESTROYS = """
try:
    store = RemoteStore.open("x", path, settings)
    for attack in (
        lambda: [store.delete(name) for name, _ in store.list("archives")],
        lambda: [store.delete(name) for name, _ in store.list("packs")],
        lambda: store.replace("config", store.get("config")),
        lambda: store.destroy(),
    ):
        try:
            attack()
        except BorkError as error:
            os.write(2, f"refused: {error}\\n".encode())
finally:
    os._exit(3)
"""
ELSEWHERE = """
try:
    RemoteStore.open("x", path + "/../other", settings)
except BorkError as error:
    os.write(2, f"refused: {error}\\n".encode())
os._exit(3)
"""
CLAIMS = """
RemoteStore.open("x", path, settings).close()
os.write(2, b'{"type": "log_message", "levelname": "INFO", "message": "done"}\\n')
os._exit(0)
"""
STEERS = """
os.write(2, b"\\x1b]0;owned\\x07 \\x1b[2J\\n")
os.write(2, b'{"type": "log_message", "levelname": "ERROR", "message": "\\\\u001b[31m\\\\nforged"}\\n')
os.write(2, b'{"type": "file_status", "status": "\\\\u001b", "path": "\\\\u001b\\\\u0007"}\\n')
os.write(2, b'{"type": "archive_progress", "finished": false, "nfiles": "x", "path": [1]}\\n' + b"[" * 100000 + b"\\n")
os._exit(2)
"""
TALKS = """
for _ in range(200):
    os.write(2, b"x" * (1 << 20))
for _ in range(20_000):
    os.write(2, b'{"type": "file_status", "status": "A", "path": "x"}\\n')
os._exit(2)
"""


def hostile(scene: Scene, code: str) -> None:
    script = scene.client_home / "hostile.py"
    script.write_text(HOSTILE + code)
    scene.install("", f"{sys.executable} {shlex.quote(str(script))}")


def snapshot(path: Path) -> dict[str, bytes]:
    return {str(each): each.read_bytes() for each in path.rglob("*") if each.is_file()}


def test_a_hostile_client_destroys_nothing_and_reaches_nothing_else(scene: Scene) -> None:
    scene.pull("one", "--init", "repokey")
    scene.at_client("init", "-e", "repokey", scene.repository.with_name("other"))
    before = snapshot(scene.repository.parent)
    hostile(scene, DESTROYS)
    said = scene.pull("two", exit_code=2)
    assert said.count("Remote: refused: The server lets this client only add") == 4
    hostile(scene, ELSEWHERE)
    assert "Remote: refused: Repository path not allowed" in scene.pull("two", exit_code=2)
    assert snapshot(scene.repository.parent) == before


def test_a_client_that_only_claims_to_have_stored_an_archive_is_found_out(scene: Scene) -> None:
    scene.pull("one", "--init", "repokey")
    hostile(scene, CLAIMS)
    assert "no archive has arrived, though its Bork ended with exit code 0" in scene.pull("two", exit_code=2)


def test_a_client_cannot_steer_the_terminal_or_forge_a_line(scene: Scene) -> None:
    scene.pull("one", "--init", "repokey")
    hostile(scene, STEERS)
    said = scene.pull("two", "--list", "--progress", exit_code=2)
    assert "\x1b" not in said
    assert "\\x1b[31m\\nforged" in said


def test_a_client_that_talks_on_and_on_costs_the_server_no_memory(scene: Scene) -> None:
    """200 MiB in one line, which the first of many others ends."""
    scene.pull("one", "--init", "repokey")
    hostile(scene, TALKS)
    ended = measured(*scene.words("two", "--list"), env=scene.environment, timeout_s=120)
    assert ended.code == 2
    assert ended.peak_bytes < 100 * MIB
    assert ended.err.count(b"A x\n") == 19_999, "or this test looks at nothing"
    assert_clear(ended.code, ended.err)


def test_options_of_the_one_way_are_refused_in_the_other(scene: Scene) -> None:
    assert "--share-dedup is only for pulls without" in scene.pull("one", "--share-dedup", exit_code=2)
    for words in (["--init", "repokey"], ["--passphrase-from-server"]):
        child = scene.start("pull", *words, scene.sshd.url(scene.tree), f"{scene.repository}::one")
        assert b"is only for pulls with --client-encrypts" in child.communicate(timeout=60)[1]


# ---- when it breaks ----------------------------------------------------------------------------------------------


def test_a_client_without_bork_is_told_with_what_to_do(scene: Scene) -> None:
    scene.pull("one", "--init", "repokey")
    for program in ("no-such-bork", "/no/such/bork", "no-such-bork; touch /tmp/owned"):
        scene.environment["BORK_REMOTE_PATH"] = program
        said = scene.pull("two", exit_code=2)
        assert "has no program no-such" in said or "/no/such" in said
        assert "Install Bork there" in said
    assert not Path("/tmp/owned").exists()


def test_a_bork_of_another_version_is_refused_politely(scene: Scene) -> None:
    scene.pull("one", "--init", "repokey")
    old = "sh -c 'echo bork: error: argument: invalid choice: source >&2; exit 2'"
    scene.install("", old)
    said = scene.pull("two", exit_code=2)
    assert "invalid choice: source" in said
    assert "could not be backed up" in said
    change = "import bork.pull.blind.order as o, bork.cli.main as m; o.VERSION = 2; raise SystemExit(m.main())"
    scene.install("", f"{sys.executable} -c {shlex.quote(change)}")
    assert "share no version of the protocol" in scene.pull("two", exit_code=2)


def test_a_wrong_passphrase_at_the_client_is_told(scene: Scene) -> None:
    scene.pull("one", "--init", "repokey")
    scene.install("BORK_PASSPHRASE=wrong")
    assert "is incorrect" in scene.pull("two", exit_code=2)
    assert len(scene.archives()) == 1


def test_what_ssh_says_is_the_reason(scene: Scene) -> None:
    scene.pull("one", "--init", "repokey")
    scene.environment["BORK_RSH"] = scene.sshd.rsh("stranger")
    assert "and said: " in (said := scene.pull("two", exit_code=2))
    assert said.count("Permission denied (publickey)") == 2
    scene.environment["BORK_RSH"] = "no-such-ssh"
    assert "no-such-ssh cannot be started" in scene.pull("two", exit_code=2)


def test_a_client_that_prints_before_it_begins_is_shown(scene: Scene) -> None:
    scene.pull("one", "--init", "repokey")
    scene.install("", "sh -c 'echo Welcome aboard; sleep 1'")
    assert "Welcome aboard" in scene.pull("two", exit_code=2)


@pytest.mark.parametrize("user", ["-oProxyCommand=touch", "$(id)", "a b"])
def test_a_destination_is_never_an_option_or_a_command(scene: Scene, user: str) -> None:
    scene.at_client("init", "-e", "repokey", scene.repository)
    child = scene.start("pull", "--client-encrypts", f"ssh://{user}@127.0.0.1/x", f"{scene.repository}::one")
    _, words = child.communicate(timeout=60)
    assert child.returncode == 2
    assert b"not the name of a user" in words


def over(scene: Scene, *, buried: bool = True) -> None:
    """Nothing is left of the pull: no process on either side, no session, no second archive."""
    until(lambda: not sources(scene), "the client works on")
    until(lambda: not serving(scene), "the server works on")
    assert not buried or not list((scene.repository / "sessions").iterdir())
    assert len(scene.archives()) == 1


def test_a_connection_that_is_cut_commits_nothing_and_is_continued(scene: Scene, slow: subprocess.Popen[bytes]) -> None:
    children = Path(f"/proc/{slow.pid}/task/{slow.pid}/children").read_text().split()
    (ssh,) = [int(each) for each in children if Path(f"/proc/{each}/cmdline").read_bytes().startswith(b"ssh")]
    stored = {each.name: each.stat().st_ino for each in (scene.repository / "packs").glob("*/*")}
    os.kill(ssh, signal.SIGKILL)
    _, words = slow.communicate(timeout=60)
    assert slow.returncode == 2
    assert_clear(2, words)
    assert b"was ended by SIGKILL" in words
    over(scene)
    scene.pull("slow")
    again = {each.name: each.stat().st_ino for each in (scene.repository / "packs").glob("*/*")}
    assert again.items() >= stored.items(), "what had arrived is used"
    new_bytes = sum(each.stat().st_size for each in (scene.repository / "packs").glob("*/*"))
    assert new_bytes < (40 + 3 + 8) << 20, "and not stored twice"
    scene.at_client("check", "--verify-data", scene.repository)


def test_a_server_process_that_dies_is_named(scene: Scene, slow: subprocess.Popen[bytes]) -> None:
    os.kill(serving(scene)[0], signal.SIGKILL)
    _, words = slow.communicate(timeout=60)
    assert slow.returncode == 2
    assert_clear(2, words)
    assert b"bork serve on this machine was ended by SIGKILL" in words
    over(scene, buried=False)  # its session is dead, and the next one buries it
    scene.pull("slow")
    assert not list((scene.repository / "sessions").iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_pull_leaves_no_process_on_either_side(
    scene: Scene, slow: subprocess.Popen[bytes], number: signal.Signals
) -> None:
    """As the terminal does it: the whole group of processes gets the signal."""
    os.killpg(slow.pid, number)
    _, words = slow.communicate(timeout=60)
    assert slow.returncode == 128 + number
    assert b"Traceback" not in words
    over(scene)


def test_a_client_that_hangs_in_a_file_ends_with_the_connection(scene: Scene) -> None:
    """It says nothing to the server, so it does not notice by what it does."""
    scene.pull("one", "--init", "repokey")
    child = scene.start(*scene.words("two", "--read-special"))  # waits for somebody to write into the fifo
    until(lambda: list((scene.repository / "sessions").iterdir()), "it has not begun")
    time.sleep(0.5)
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=60)
    assert child.returncode == 128 + signal.SIGTERM
    over(scene)
