"""The executables of `make standalone`: in a root without Python, /proc and /dev; what they start; how they end."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from standalone.launch import restore
from tests.conftest import Bork
from tests.real.chroots import BUILD, FORMS, ROOT, Chroot, build
from tests.real.sshd import SSHServer

pytestmark = [pytest.mark.needs("make", "ldd", "strip"), pytest.mark.timeout(400)]  # a first build takes a minute

ODD = os.fsdecode(b"odd \xff name")
ENDS = {
    signal.SIGINT: (130, b"Keyboard interrupt\n"),
    signal.SIGTERM: (143, b"Received SIGTERM\n"),
    signal.SIGHUP: (129, b"Received SIGHUP.\n"),
}
# Says which variables of the boot loader reach it, becomes the server, and ignores the words behind.
SERVER = "sh -c 'export -p >>/tmp/seen; exec bork serve --verbose --restrict-to-path /repos'"


@pytest.fixture(scope="session", autouse=True)
def built() -> None:
    build()


@pytest.fixture(params=FORMS)
def chroot(request: pytest.FixtureRequest, tmp_path: Path) -> Chroot:
    return Chroot(tmp_path / "root", request.param)


@pytest.fixture(params=FORMS)
def program(request: pytest.FixtureRequest) -> Path:
    return FORMS[request.param]


@pytest.fixture
def locked(program: Path, bork: Bork, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The program at work, as the leader of a group of processes: it waits for a child that says nothing any more."""
    bork("init", "-e", "repokey", tmp_path / "repo")
    words: list[str | Path] = [program, "with-lock", tmp_path / "repo", "sh", "-c", "echo ready; exec sleep 60"]
    with subprocess.Popen(
        words,
        env={**os.environ, "TMPDIR": str(tmp_path)},  # where a one file that is killed leaves what it has unpacked
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)


def ended(process: "subprocess.Popen[bytes]") -> tuple[int, bytes]:
    assert process.stderr is not None
    return process.wait(30), process.stderr.read()


def children(process: int) -> list[int]:
    return list(map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split()))


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except FileNotFoundError:
        return False


# ---- in an empty root --------------------------------------------------------------------------------------------


@pytest.mark.needs("root")
def test_it_backs_up_and_restores_without_python_proc_and_dev(chroot: Chroot) -> None:
    tree = chroot.root / "tree"
    (tree / "deep").mkdir(parents=True)
    (tree / ODD).write_bytes(b"content" * 1000)
    (tree / "noise").write_bytes(os.urandom(3 << 20))
    (tree / "deep" / "link").symlink_to("../noise")
    os.chown(tree / "noise", 4711, 4712)
    os.setxattr(tree / "noise", "user.word", b"value")
    chroot.run("init", "-e", "repokey", "/repo")
    chroot.run("create", "-C", "zstd,3", "/repo::one", "tree")
    assert os.fsencode(ODD) in chroot.run("list", "--format", "{bpath}{NL}", "/repo::one").stdout
    chroot.run("extract", "/repo::one", cwd="/out")
    chroot.run("check", "--verify-data", "/repo")
    chroot.run("compact", "/repo")
    out = chroot.root / "out" / "tree"
    assert (out / ODD).read_bytes() == b"content" * 1000
    assert (out / "noise").read_bytes() == (tree / "noise").read_bytes()
    assert os.readlink(out / "deep" / "link") == "../noise"
    assert (out / "noise").stat().st_uid == 4711
    assert os.getxattr(out / "noise", "user.word") == b"value"
    assert list((chroot.root / "tmp").iterdir()) == []  # nothing of what it has unpacked is left


@pytest.mark.needs("root")
def test_it_is_client_and_server_and_what_it_starts_has_the_environment_of_the_user(chroot: Chroot) -> None:
    (chroot.root / "repos").mkdir()
    (chroot.root / "file").write_bytes(b"content")
    environment = {"BORK_RSH": SERVER, "LD_LIBRARY_PATH": "/own", "BORK_PASSPHRASE": "correct horse"}
    location = "ssh://anywhere/repos/one"
    said = chroot.run("init", "-e", "repokey", "--verbose", location, environment=environment).stderr
    assert b"Remote: bork serve" in said
    assert (b"(seccomp)" in said) == Path("/proc/sys/kernel/seccomp").exists()
    chroot.run("create", f"{location}::one", "file", environment=environment)
    chroot.run("extract", f"{location}::one", cwd="/out", environment=environment)
    assert (chroot.root / "out" / "file").read_bytes() == b"content"
    refused = chroot.run("init", "-e", "none", "ssh://anywhere/elsewhere", environment=environment, exit_code=2)
    assert b"/elsewhere" in refused.stderr
    seen = (chroot.root / "tmp" / "seen").read_text()
    assert seen.count("LD_LIBRARY_PATH='/own'") == 4
    assert "_PYI" not in seen
    assert "LD_LIBRARY_PATH_ORIG" not in seen


@pytest.mark.needs("root")
def test_a_passcommand_has_the_environment_of_the_user(chroot: Chroot) -> None:
    command = "sh -c 'export -p >/tmp/seen; echo correct horse'"
    chroot.run("init", "-e", "repokey", "/repo")
    chroot.run("list", "/repo", environment={"BORK_PASSCOMMAND": command})
    seen = (chroot.root / "tmp" / "seen").read_text()
    assert "PATH=" in seen
    assert "LD_LIBRARY_PATH" not in seen
    assert "_PYI" not in seen


@pytest.mark.needs("root")
def test_one_file_without_a_place_to_unpack_says_so_and_tmpdir_names_one(tmp_path: Path) -> None:
    chroot = Chroot(tmp_path / "root", "one file")
    (chroot.root / "tmp").rmdir()
    (chroot.root / "elsewhere").mkdir()
    said = chroot.run("--version", exit_code=255).stderr
    assert b"temporary directory" in said
    assert b"bork" in chroot.run("--version", environment={"TMPDIR": "/elsewhere"}).stdout
    assert list((chroot.root / "elsewhere").iterdir()) == []


# ---- beside other programs ---------------------------------------------------------------------------------------


@pytest.mark.needs("sshd", "ssh", "ssh-keygen")
def test_it_works_through_a_real_ssh_at_both_ends(
    program: Path, bork: Bork, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"content")
    directory = tmp_path / "ssh"
    directory.mkdir()
    with SSHServer(directory) as server:
        monkeypatch.setenv("BORK_RSH", server.rsh())
        monkeypatch.setenv("BORK_REMOTE_PATH", str(program))
        monkeypatch.setenv("BORK_RELOCATED_REPO_ACCESS_IS_OK", "yes")
        location = server.url(tmp_path / "repo")
        for words in (["init", "-e", "repokey", location], ["create", f"{location}::one", "file"], ["check", location]):
            done = subprocess.run([program, *words], cwd=tmp_path, capture_output=True, check=False)
            assert done.returncode == 0, os.fsdecode(done.stderr)
    assert bork("list", "--short", tmp_path / "repo").stdout == b"one\n"


def test_the_environment_of_the_boot_loader_ends_where_bork_begins() -> None:
    left = {"PATH": "/bin", "_PYI_ARCHIVE_FILE": "x", "LD_LIBRARY_PATH": "/tmp/x", "LD_LIBRARY_PATH_ORIG": "/own"}
    restore(left)
    assert left == {"PATH": "/bin", "LD_LIBRARY_PATH": "/own"}
    left = {"PATH": "/bin", "LD_LIBRARY_PATH": "/tmp/x"}
    restore(left)
    assert left == {"PATH": "/bin"}


def test_every_module_of_bork_is_in_it() -> None:
    """Imports inside functions, too."""
    viewer = BUILD / "venv" / "bin" / "pyi-archive_viewer"
    inside = subprocess.run([viewer, "-l", "-r", "-b", FORMS["one file"]], capture_output=True, text=True, check=True)
    names = set(inside.stdout.replace("'", " ").replace(",", " ").split())
    for path in (ROOT / "src" / "bork").rglob("*.py"):
        name = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
        # Entry points of a Python package, and a storage for tests.
        assert name in names or name in ("bork.__main__", "bork.cli.agent", "bork.storage.memory"), name


def test_the_agent_that_pull_sends_is_in_it() -> None:
    inside = FORMS["a directory"].parent / "_internal/bork/pull/agents"
    agents = [path for path in (ROOT / "src/bork/pull/agents").iterdir() if path.name.startswith("bork-agent")]
    assert agents
    assert all((inside / path.name).stat().st_size for path in agents)


def test_nothing_that_bork_imports_was_left_out() -> None:
    """What the list of exclusions may name: modules that other modules of the standard library would use."""
    report = (BUILD / "collected" / "bork" / "warn-bork.txt").read_text()
    missing = [line for line in report.splitlines() if "module named" in line and "bork." in line]
    assert [line for line in missing if "typing_extensions" not in line] == []  # for the type checker alone


# ---- how it ends -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("to_group", [False, True], ids=["to the process", "to the group"])
@pytest.mark.parametrize("number", ENDS)
def test_a_signal_is_one_signal_wherever_it_is_sent(
    locked: "subprocess.Popen[bytes]", number: signal.Signals, to_group: bool
) -> None:
    """A terminal sends Ctrl-C to all processes of the group: to the boot loader of the one file, too."""
    (os.killpg if to_group else os.kill)(locked.pid, number)
    assert ended(locked) == ENDS[number]


def test_an_ignored_signal_stays_ignored(program: Path, bork: Bork, tmp_path: Path) -> None:
    """``nohup bork create ... &`` outlives its terminal."""
    bork("init", "-e", "repokey", tmp_path / "repo")
    words: list[str | Path] = [program, "with-lock", tmp_path / "repo", "sh", "-c", "echo ready; sleep 2; exit 7"]
    with subprocess.Popen(
        ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        os.killpg(process.pid, signal.SIGHUP)
        assert ended(process) == (7, b"")


def test_to_kill_it_is_to_kill_all_of_it(locked: "subprocess.Popen[bytes]") -> None:
    """SIGKILL cannot be passed on. (What with-lock has started goes on, whatever the form.)"""
    inner = children(locked.pid)
    assert len(inner) == 1
    grandchildren = children(inner[0])
    locked.kill()
    assert locked.wait(30) == -signal.SIGKILL
    deadline = time.monotonic() + 20
    while grandchildren and is_alive(inner[0]):  # one file: the program itself; a directory: sleep
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(locked.pid, signal.SIGKILL)


def test_the_death_of_the_program_is_the_death_of_the_one_file(bork: Bork, tmp_path: Path) -> None:
    bork("init", "-e", "repokey", tmp_path / "repo")
    words: list[str | Path] = [FORMS["one file"], "with-lock", tmp_path / "repo", "sh", "-c", "kill -SEGV $PPID"]
    done = subprocess.run(words, env={**os.environ, "TMPDIR": str(tmp_path)}, check=False, timeout=60)
    assert done.returncode == -signal.SIGSEGV
    assert not list(tmp_path.glob("_MEI*"))
