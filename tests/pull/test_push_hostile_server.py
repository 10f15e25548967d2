"""A server that wants to write where it may not, or more than there is room for: the agent ends it."""

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pull import restoring
from tests.pull.restoring import DONE, PROBLEMS, WANTED, Agent, data, entry, hole, open_frame, refusal, said
from tests.real.hostile.wire import BLOCK, CHARACTER, DIRECTORY, FIFO, FILE, SYMLINK, item, pack_value

pytestmark = [pytest.mark.needs("root"), pytest.mark.timeout(120)]

MADE, REFUSED, MADE_OF_CONTENT = 2, 4, 5


class Scene:
    """A target that may be written, and next to it what may not."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.target, self.canary = directory / "target", directory / "canary"
        self.target.mkdir()
        (self.canary / "inner").mkdir(parents=True)
        (self.canary / "file").write_bytes(b"sings")
        (self.target / "planted").symlink_to("../canary")
        (self.target / "planted file").symlink_to("../canary/file")
        self.before = self.fingerprint()

    def fingerprint(self) -> str:
        """All that is not below the target."""
        digest = hashlib.sha256()
        for path in sorted([self.directory, *self.directory.rglob("*")]):
            if path == self.target or self.target in path.parents:
                continue
            status = path.lstat()
            entry = (path, status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, status.st_nlink)
            digest.update(repr(entry).encode())
            if stat.S_ISREG(status.st_mode):
                digest.update(path.read_bytes())
        return digest.hexdigest()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    yield scene
    assert scene.fingerprint() == scene.before


@pytest.fixture
def agent(scene: Scene) -> Iterator[Agent]:
    with Agent("--write", scene.target) as agent:
        yield agent


PATHS = (
    *(b"../canary/new", b"..", b".", b"/etc/new", b"/", b"a/../../canary/new", b"a//b", b"a/", b"./a", b"a/."),
    *(b"a\0b", b"a/..", b"x" * 65_536),
)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path[:20].decode())
@pytest.mark.parametrize("mode", [FILE, DIRECTORY, SYMLINK], ids=["file", "directory", "link"])
def test_a_path_that_leads_out_ends_the_session(scene: Scene, agent: Agent, path: bytes, mode: int) -> None:
    agent.plan(scene.target)
    body = item(mode, target=b"/etc") if mode == SYMLINK else item(mode)
    agent.entries(entry(path, body))
    assert b"the server's entries" in refusal(agent.rest())


def test_what_is_below_a_link_is_refused_and_the_link_itself_replaced(scene: Scene, agent: Agent) -> None:
    agent.plan(scene.target)
    agent.entries(
        entry(b"link", item(SYMLINK, target=b"../canary")),
        entry(b"link/new", item(DIRECTORY)),
        entry(b"link/file", item(FILE), 3),
        entry(b"planted/file", item(FILE), 3),
        entry(b"planted/inner", item(DIRECTORY, uid=7)),
        entry(b"planted file", item(FILE), 3),
    )
    agent.content(data(b"abc"))
    heard = agent.end()
    assert said(heard, WANTED) == bytes([MADE, REFUSED, REFUSED, REFUSED, REFUSED, 6])
    assert said(heard, PROBLEMS).count(b"is a symbolic link, not a directory") == 4
    assert (scene.target / "planted file").read_bytes() == b"abc"
    assert not (scene.target / "planted file").is_symlink()
    assert DONE in heard


def test_a_directory_that_becomes_a_link_while_a_file_waits_changes_nothing(scene: Scene, agent: Agent) -> None:
    agent.plan(scene.target)
    agent.entries(entry(b"d", item(DIRECTORY)), entry(b"d/file", item(FILE), 3), entry(b"e", item(FILE)))
    assert agent.hear() == (WANTED, bytes([MADE, MADE_OF_CONTENT, MADE_OF_CONTENT]))
    (scene.target / "d").rename(scene.target / "moved")
    (scene.target / "d").symlink_to("../canary")
    agent.content(data(b"abc"))
    assert DONE in agent.end()
    assert (scene.target / "moved" / "file").read_bytes() == b"abc"


@pytest.mark.parametrize(
    "body",
    [
        item(FILE, uid=2**32),
        item(FILE, size=3),
        item(FILE, slices=bytes(32) + b"\0\0\0\0\3\0\0\0"),
        item(0o140755),
        item(DIRECTORY, link=(1, 2)),
        item(SYMLINK),
        item(CHARACTER),
        item(FILE, target=b"/etc/shadow"),
        b"",
        b"\xc0",
        b"\xdf\xff\xff\xff\xff",
    ],
    ids=range(11),
)
def test_an_item_that_cannot_be_ends_the_session(scene: Scene, agent: Agent, body: bytes) -> None:
    agent.plan(scene.target)
    agent.entries(entry(b"a", body))
    assert b"the server's entries" in refusal(agent.rest())
    assert not (scene.target / "a").exists()


def entries(*each: bytes) -> tuple[int, bytes]:
    return restoring.ENTRIES, open_frame(b"".join(each))


def content(*runs: bytes) -> tuple[int, bytes]:
    return restoring.CONTENT, open_frame(b"".join(runs))


FILE_OF_3 = entries(entry(b"a", item(FILE), 3))
ABUSES: dict[str, tuple[list[tuple[int, bytes]], bytes]] = {
    "content of no file": ([content(data(b"x"))], b"it is of no file"),
    "content of a directory": ([entries(entry(b"a", item(DIRECTORY))), content(data(b"x"))], b"it is of no file"),
    "too much": ([FILE_OF_3, content(data(b"abcd"))], b"longer than its file"),
    "too large a hole": ([FILE_OF_3, content(hole(2**31))], b"longer than its file"),
    "empty run": ([content(b"\1\0")], b"a run is empty"),
    "long run": ([content(b"\2\x81\x80\x80\1")], b"a run is too long"),
    "unknown run": ([content(b"\3\1")], b"unknown kind"),
    "content left out": ([FILE_OF_3], b"left content out"),
    "empty batch": ([entries()], b"it is empty"),
    "long batch": ([entries(*[entry(b"a", item(FILE))] * 1025)], b"it is too long"),
    "bomb": ([(restoring.ENTRIES, b"\2\xff\xff\xff\x7fx")], b"longer than it may be"),
    "too many batches": ([entries(entry(b"a%d" % at, item(FILE), 9)) for at in range(40)], b"than there is room for"),
    "a plan again": ([(restoring.RESTORE_PLAN, pack_value((b"/", 0)))], b"out of turn"),
    "a leaf": ([(17, b"")], b"out of turn"),
    "an unknown kind": ([(77, b"")], b"kind"),
    "long content": ([(restoring.CONTENT, b"\0\xff\xff\xff\x0f" + b"x" * 100)], b"longer than it may be"),
}


@pytest.mark.parametrize("name", ABUSES)
def test_what_is_not_the_protocol_ends_the_session(scene: Scene, agent: Agent, name: str) -> None:
    frames, words = ABUSES[name]
    agent.plan(scene.target)
    for kind, body in frames:
        agent.say(kind, body)
    assert words in refusal(agent.end())
    assert agent.process.returncode == 2
    assert not [path for path in scene.target.iterdir() if path.is_file() and not path.is_symlink()]


@pytest.mark.parametrize("target", [".", "canary", "target/planted", "target/../canary", "target/no/such", "other"])
def test_a_target_outside_the_fence_is_refused(scene: Scene, agent: Agent, target: str) -> None:
    agent.plan(scene.directory / target)
    assert b"does not allow to write to" in refusal(agent.rest())
    assert not (scene.directory / "other").exists()


@pytest.mark.parametrize("options", [[], ["--read", "/"]], ids=["nothing", "read"])
def test_without_write_nothing_is_ever_written(scene: Scene, options: list[str]) -> None:
    for flags in (restoring.EVERYTHING, restoring.DRY_RUN):
        with Agent(*options) as agent:
            agent.plan(scene.target, flags)
            assert b"does not allow to write anything" in refusal(agent.rest())


def test_a_file_that_is_never_whole_is_removed(scene: Scene, agent: Agent) -> None:
    agent.plan(scene.target)
    agent.entries(entry(b"a", item(FILE), 1 << 20))
    agent.content(data(b"abc"))
    assert agent.hear()[0] == WANTED
    assert b"went away" in refusal(agent.rest())
    assert not (scene.target / "a").exists()


def test_what_the_server_cannot_send_is_left_out_and_nothing_else(scene: Scene, agent: Agent) -> None:
    agent.plan(scene.target)
    linked = item(FILE, link=(5, 2))
    agent.entries(entry(b"a", linked, 6), entry(b"b", item(FILE), 3), entry(b"c", linked, 6))
    agent.content(data(b"abc"), restoring.LEFT_OUT, data(b"xyz"))
    heard = agent.end()
    assert DONE in heard
    assert (scene.target / "b").read_bytes() == b"xyz"
    assert not (scene.target / "a").exists()
    assert b"was not restored" in said(heard, PROBLEMS)


def test_devices_and_fifos_are_made_and_never_opened(scene: Scene, agent: Agent) -> None:
    agent.plan(scene.target)
    agent.entries(
        entry(b"block", item(BLOCK, device=(250, 250))),
        entry(b"character", item(CHARACTER, device=(1, 3))),
        entry(b"fifo", item(FIFO)),
    )
    assert DONE in agent.end()
    assert (scene.target / "character").stat().st_rdev == os.makedev(1, 3)
    assert stat.S_ISFIFO((scene.target / "fifo").stat().st_mode)


def test_a_size_that_no_disk_has_is_a_problem_of_its_file(scene: Scene, agent: Agent) -> None:
    agent.plan(scene.target)
    agent.entries(entry(b"huge", item(FILE), 2**63), entry(b"b", item(FILE), 1))
    agent.content(restoring.LEFT_OUT, data(b"x"))
    assert DONE in agent.end()
    assert sorted(path.name for path in scene.target.iterdir()) == ["b", "planted", "planted file"]


def test_the_agent_opens_and_changes_nothing_outside_its_target(scene: Scene, tmp_path: Path) -> None:
    """By what the kernel was asked: after the session began, every name is one component in an open directory."""
    trace = tmp_path / "target" / "trace"
    words = ["strace", "-f", "-o", str(trace), "-e", "trace=%file,%network,execve,ptrace", "-e", "signal=none"]
    with Agent("--write", scene.target, before=words) as agent:
        agent.plan(scene.target)
        agent.entries(
            entry(b"d", item(DIRECTORY, xattrs=(b"user.a", b"b"))),
            entry(b"d/file", item(FILE, uid=4321), 3),
            entry(b"d/link", item(SYMLINK, target=b"/etc/passwd", uid=4321)),
            entry(b"d/pipe", item(FIFO, uid=4321)),
        )
        agent.content(data(b"abc"))
        assert DONE in agent.end()
    calls = trace.read_text().splitlines()
    began = next(at for at, call in enumerate(calls) if "target" in call and "openat2" in call)
    after = [call for call in calls[began + 1 :] if '"' in call]
    assert any('"file"' in call for call in after)
    names = {call.split('"')[1] for call in after}
    allowed = {"d", "file", "link", "pipe", "", ".", "/etc/passwd"}  # the last is what a link says
    outside = {name for name in names - allowed if not name.startswith("/proc/self/")}
    assert outside <= {"/etc/passwd", "/etc/group"}, outside
    assert not [call for call in after if "execve" in call or "socket" in call]


def test_memory_is_bounded_whatever_comes(scene: Scene) -> None:
    words = ["prlimit", f"--as={400 << 20}"]
    with Agent("--write", scene.target, before=words) as agent:
        agent.plan(scene.target)
        xattrs = [value for at in range(200) for value in (b"user.%03d" % at, bytes(60_000))]
        for at in range(3):
            agent.entries(entry(b"x%d" % at, item(FILE, xattrs=xattrs)))
        for at in range(60):
            names = (b"f%d-%d" % (at, number) for number in range(900))
            agent.entries(*[entry(name, item(FILE, link=(hash(name) % 2**64, 9))) for name in names])
        assert DONE in agent.end()
