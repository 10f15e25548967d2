"""Agents that speak badly on purpose (tests/pull/hostile.py). Whatever they say, the server ends with one clear line,
commits nothing that it should not, and the repository keeps what it has.
"""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bork.pull import line
from tests.conftest import Bork
from tests.pull.hostile import CASES, CONTENT, ENDLESS, SECRET
from tests.real.program import CONTROL, MIB, Ended, launch, measured, session
from tests.server.served import tree

ROOT = Path(__file__).resolve().parent.parent.parent
MEMORY_MAX = 300 * MIB
NAMES = list(CASES)
pytestmark = pytest.mark.timeout(1000)


def rsh(case: str) -> str:
    """A command that takes no notice of the host and of what is to run there."""
    return shlex.join([sys.executable, "-m", "tests.pull.hostile", case])


def pull(repository: Path, number: int) -> list[str]:
    """A pull from the agent of a case. What is committed is of a client of its own: the first one stays as it is."""
    name = NAMES[number]
    host = f"client{number}" if number and CASES[name].commits else "client"
    return ["pull", "--list", "--rsh", rsh(name), f"{host}:/data", f"{repository}::case {number}"]


class Results:
    """What came of all cases, one after the other, with one repository."""

    def __init__(self, directory: Path) -> None:
        self.repository = directory / "repository"
        (directory / "other").mkdir()
        (directory / "other" / "secret").write_bytes(SECRET)
        before = [
            ["init", "-e", "none", str(self.repository)],
            ["create", f"{self.repository}::other", str(directory / "other")],
        ]
        commands = [*before, *(pull(self.repository, number) for number in range(len(NAMES)))]
        ended = session(commands, directory / "said", cwd=ROOT, limits={}, timeout_s=800)
        assert [each.code for each in ended[:2]] == [0, 0], ended[:2]
        self.ended = dict(zip(NAMES, ended[2:], strict=True))
        listed = measured("list", "--short", self.repository, cwd=ROOT)
        assert listed.code == 0
        self.archives = set(listed.out.decode().splitlines())


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    with pytest.MonkeyPatch.context() as patch:
        directory = tmp_path_factory.mktemp("hostile")
        patch.setenv("HOME", str(directory))
        patch.setenv("LC_ALL", "C.UTF-8")
        return Results(directory)


def lines_of(ended: Ended) -> list[str]:
    """What a person read, without control characters."""
    assert not CONTROL.search(ended.err), ended.err
    text = ended.err.decode("utf-8", "replace")
    assert "Traceback" not in text
    assert "panicked" not in text
    assert "nternal error" not in text
    return text.splitlines()


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_agent_gets_one_clear_line_and_no_archive(results: Results, name: str) -> None:
    case, ended = CASES[name], results.ended[name]
    said = lines_of(ended)
    assert ended.code == case.code, said
    if case.code == 2:
        *_, last = said
        assert case.says in last
        assert len(last) < 1300
        assert all(each.startswith(("Remote: ", "The client's clock is ")) for each in said[:-1]), said
    assert ended.peak_bytes < MEMORY_MAX
    assert (f"case {NAMES.index(name)}" in results.archives) == case.commits


def test_after_all_that_the_repository_is_whole_and_the_earlier_archives_are_as_they_were(
    results: Results, bork: Bork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BORK_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes")
    bork("check", "--verify-data", results.repository)
    bork("extract", f"{results.repository}::case 0", cwd=tmp_path)
    assert (tmp_path / "data" / "file").read_bytes() == CONTENT
    bork("extract", f"{results.repository}::other", cwd=tmp_path)
    assert [path.read_bytes() for path in tmp_path.rglob("secret")] == [SECRET]


def test_there_are_enough_abuses() -> None:
    assert len([case for case in CASES.values() if case.code == 2]) > 60


# ---- agents that never end -----------------------------------------------------------------------------------------


@pytest.fixture
def repository(bork: Bork, tmp_path: Path) -> Path:
    bork("init", "-e", "none", tmp_path / "repository")
    return tmp_path / "repository"


def peak_of(child: subprocess.Popen[bytes], seconds: float) -> int:
    """The most memory that a process has had after a time."""
    time.sleep(seconds)
    assert child.poll() is None, child.communicate()
    status = Path(f"/proc/{child.pid}/status").read_text()
    return next(int(text.split()[1]) << 10 for text in status.splitlines() if text.startswith("VmHWM"))


@pytest.mark.parametrize("name", ENDLESS)
def test_an_agent_without_end_costs_no_memory_and_the_user_ends_it(repository: Path, name: str, bork: Bork) -> None:
    with launch("pull", "--rsh", rsh(name), "client:/data", f"{repository}::a", cwd=ROOT) as child:
        assert child.stderr is not None
        reader = subprocess.Popen(["cat"], stdin=child.stderr, stdout=subprocess.DEVNULL)
        peak = peak_of(child, 4)
        child.send_signal(signal.SIGINT)
        assert child.wait(30) in (2, 130)
        reader.wait(10)
    assert peak < MEMORY_MAX
    assert bork("list", "--short", repository).stdout == b""
    bork("check", repository)


IMPATIENT = """
import sys
import bork.pull.line
bork.pull.line.SILENCE_S = 2.0
from bork.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def impatient(*words: str | Path) -> subprocess.CompletedProcess[bytes]:
    """``bork``, with a tenth of its patience."""
    command = [sys.executable, "-c", IMPATIENT, *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=60)


@pytest.mark.parametrize(
    ("name", "says"), [("silent", "nothing came from client"), ("noise", "did not answer"), ("deaf", "took nothing")]
)
def test_an_agent_that_is_silent_or_deaf_is_given_up(repository: Path, name: str, says: str, bork: Bork) -> None:
    assert line.SILENCE_S <= 120
    archive = f"{repository}::a"
    host = "client:/" + "x" * 30_000
    options = [word for number in range(45) for word in ("--exclude", f"{number}" + "x" * 30_000)]
    words = [
        "pull",
        "--rsh",
        rsh(name),
        *(options if name == "deaf" else ()),
        host if name == "deaf" else "client:/data",
    ]
    ended = impatient(*words, archive)
    assert ended.returncode == 2
    assert says in ended.stderr.decode()
    assert bork("list", "--short", repository).stdout == b""


# ---- what stands on the command line -------------------------------------------------------------------------------

WORDS = {
    "an option for a host": "-oProxyCommand=touch$IFS{trap}:/data",
    "an option for a user": "-oProxyCommand=x@client:/data",
    "an option behind a user": "root@-oProxyCommand=touch {trap}:/data",
    "an option in a URL": "ssh://-oProxyCommand=x/data",
    "a command for a host": "$(touch {trap}):/data",
    "a command behind a semicolon": "client;touch {trap}:/data",
    "a command in backquotes": "`touch {trap}`:/data",
    "a line end": "client\ntouch {trap}:/data",
    "a port that is none": "ssh://client:99999/data",
    "no host": ":/data",
    "no client at all": "/data",
}


@pytest.mark.parametrize("what", WORDS)
def test_no_host_and_no_user_is_an_option_or_a_command(repository: Path, what: str, tmp_path: Path, bork: Bork) -> None:
    trap = tmp_path / "trap"
    ran = tmp_path / "ran"
    fake = shlex.join(["sh", "-c", f"touch {ran}", "sh"])
    ended = bork("pull", "--rsh", fake, WORDS[what].format(trap=trap), f"{repository}::a", exit_code=2)
    assert b"Traceback" not in ended.stderr
    assert not trap.exists()
    assert not ran.exists()


@pytest.mark.parametrize(
    "path", ["-oX=y", "--rsh=x", "$(touch {trap})", "; touch {trap}", "'; touch {trap}; '", "a\nb"]
)
def test_a_path_is_no_word_of_any_command_line(repository: Path, path: str, tmp_path: Path, bork: Bork) -> None:
    """It travels in the plan, and in nothing that a shell reads."""
    trap, seen = tmp_path / "trap", tmp_path / "seen"
    fake = shlex.join(["sh", "-c", f'printf "%s\\n" "$@" > {seen}', "sh"])
    bork("pull", "--rsh", fake, "client:" + path.format(trap=trap), f"{repository}::a", exit_code=2)
    host, command = seen.read_text().split("\n", 1)
    assert host == "client"
    assert path.format(trap=trap) not in command
    assert not trap.exists()


def test_a_failed_pull_leaves_the_repository_byte_for_byte_but_for_its_packs(
    repository: Path, bork: Bork, tmp_path: Path
) -> None:
    (tmp_path / "data").write_bytes(b"x" * 1000)
    bork("create", f"{repository}::kept", tmp_path / "data")
    before = tree(repository)
    assert measured("pull", "--rsh", rsh("no end"), "client:/data", f"{repository}::a", cwd=ROOT).code == 2
    after = tree(repository)
    changed = {name for name in before if after.get(name) != before[name]}
    assert changed == set()
    assert os.listdir(repository / "archives") == [Path(name).name for name in before if name.startswith("archives/")]
