"""Servers that speak badly on purpose, to the real agent. Whatever they say, it reads nothing outside its roots, writes
nothing, starts nothing, and ends with one clear line.
"""

import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from tests.conftest import Bork
from tests.pull import speaker
from tests.pull.agent import Ended, RealAgent, program
from tests.pull.speaker import (
    ANSWER,
    DIRECTORY,
    FAULT,
    FLAGS,
    LEAF,
    LEAF_END,
    PLAN,
    closed,
    frame,
    item,
    leaf,
    pack,
    varint,
)
from tests.reference import codecs
from tests.server.served import tree

MIB = 1 << 20
MEMORY_MAX = 100 * MIB
HUGE = (1 << 64) - 1
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
SECRET = b"nobody is to read this\n"
pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def client(tmp_path: Path) -> Path:
    """A tree with a directory that may be read, one that may not, and ways from the one to the other."""
    root = tmp_path / "client"
    (root / "open" / "deep").mkdir(parents=True)
    (root / "open2").mkdir()
    (root / "shut").mkdir()
    (root / "open" / "file").write_bytes(b"x" * 1000)
    (root / "open" / "deep" / "noise").write_bytes(os.urandom(300_000))
    (root / "shut" / "secret").write_bytes(SECRET)
    (root / "open" / "link").symlink_to("../shut/secret")
    (root / "open" / "way").symlink_to("../shut")
    (root / "open" / "deep" / "root").symlink_to("/")
    return root


def assert_one_line(ended: Ended, code: int = 2) -> None:
    assert ended.code == code, ended.said
    if code:
        assert ended.said.startswith("bork-agent: "), ended.said
        assert ended.said.count("\n") == 1
        assert len(ended.said) < 6000
    assert not CONTROL.search(ended.said)
    assert "panicked" not in ended.said
    assert ended.peak_bytes < MEMORY_MAX


def read_by(ended: Ended) -> bytes:
    """All content that an agent has sent, plain."""
    out = b""
    for each in ended.frames:
        if each.kind != speaker.OBJECT:
            continue
        count, at = speaker.take_varint(each.body, 1)
        length = 0
        for _ in range(count):
            size, at = speaker.take_varint(each.body, at + 32)
            length += size
        out += codecs.decompress(each.body[0], each.body[at:], length)
    return out


def test_a_friendly_server_gets_what_it_asks_for(client: Path) -> None:
    with RealAgent("--read", client / "open") as agent:
        agent.greeted().say(frame(PLAN, speaker.plan(client / "open")))
        ended = agent.finish(hang_up=False)
    assert ended.code == 0, ended.said
    content = read_by(ended)
    assert b"x" * 1000 in content
    assert SECRET not in content


# ---- plans ---------------------------------------------------------------------------------------------------------


def bad(**changes: object) -> Callable[[Path], bytes]:
    return lambda client: frame(PLAN, speaker.plan(client / "open", **changes))


def raw(data: bytes) -> Callable[[Path], bytes]:
    return lambda _: data


EVERY = (1 << len(FLAGS)) - 1
BACKTRACKS = b"(((a{30}){30}){30}){30}"
PLANS: dict[str, Callable[[Path], bytes]] = {
    "a web browser": raw(b"GET / HTTP/1.1\r\n\r\n"),
    "zeros": raw(bytes(1000)),
    "0xff": raw(b"\xff" * 1000),
    "a hello": raw(frame(1, speaker.hello())),
    "a unit": raw(speaker.unit()),
    "an answer before the plan": raw(frame(ANSWER, b"\xff")),
    "a leaf before the plan": raw(frame(LEAF, closed(b"\1\1"))),
    "an end of leaves before the plan": raw(frame(LEAF_END)),
    "an unknown kind": raw(frame(77)),
    "a plan of 4 GiB": raw(frame(PLAN, b"", length=0xFFFFFFFF)),
    "a plan of 5 MiB": raw(frame(PLAN, bytes(5 * MIB))),
    "an empty plan": raw(frame(PLAN)),
    "a plan that is a number": raw(frame(PLAN, b"\7")),
    "a plan that is cut": lambda client: frame(PLAN, speaker.plan(client)[:-1]),
    "a plan with bytes behind it": lambda client: frame(PLAN, speaker.plan(client) + b"\0"),
    "a plan with a field too many": bad(more=1),
    "a plan of 2**32 roots": raw(frame(PLAN, b"\x9e\xdd\xff\xff\xff\xff")),
    "a root without a name in the archive": bad(roots=[[b"/etc"]]),
    "roots that are numbers": bad(roots=[[1, 2]]),
    "a root of 70000 bytes": bad(roots=[[b"/" + b"x" * 70_000, b"x"]]),
    "an unknown flag": bad(flags=1 << len(FLAGS)),
    "all flags and more": bad(flags=HUGE),
    "an unknown word for the files cache": bad(files_cache=1 << 6),
    "an unknown word for changed files": bad(files_changed=3),
    "a key of 31 bytes": bad(id_key=bytes(31)),
    "a key of 33 bytes": bad(chunker_key=bytes(33)),
    "a start with 10**9 nanoseconds": bad(start=[0, 10**9]),
    "a start that is cut": bad(start=[0]),
    "a start of the previous archive that is cut": bad(previous_start=[1]),
    "a chunker of four numbers": bad(chunking=[1, 2, 3, 4]),
    "a chunker of no number": bad(chunking=[]),
    "a chunker whose shortest chunk is longer than the longest": bad(chunking=[22, 18, 20]),
    "a chunker of chunks of 2**63": bad(chunking=[10, 63, 20]),
    "a chunker of exponents of 300": bad(chunking=[18, 300, 20]),
    "a chunker of a mask of no bits": bad(chunking=[18, 22, 0]),
    "a chunker of a mask of 200 bits": bad(chunking=[18, 22, 200]),
    "blocks of no bytes": bad(chunking=[0, 0]),
    "blocks of 4 GiB": bad(chunking=[0xFFFFFFFF, 0]),
    "a header of 4 GiB": bad(chunking=[4096, 0xFFFFFFFF]),
    "an unknown codec": bad(wire=[9, 3, 0]),
    "a codec of 300": bad(wire=[300, 3, 0]),
    "zstd at level 99": bad(wire=[2, 99, 0]),
    "zstd at level 2**32": bad(wire=[2, 1 << 32, 0]),
    "a flag of 2": bad(wire=[2, 3, 2]),
    "a pattern of an unknown action": bad(patterns=[[ord("?"), b"sh", b"x"]]),
    "a pattern of an unknown style": bad(patterns=[[ord("-"), b"xx", b"x"]]),
    "a pattern of no style": bad(patterns=[[ord("-"), b"", b"x"]]),
    "a pattern of an action of 300": bad(patterns=[[300, b"sh", b"x"]]),
    "a pattern that is no expression": bad(patterns=[[ord("-"), b"re", b"("]]),
    "a pattern that takes gigabytes": bad(patterns=[[ord("-"), b"re", BACKTRACKS]]),
    "many patterns that take megabytes": bad(
        patterns=[[ord("-"), b"re", b"(a{20}){20}(b{20}){%d}" % n] for n in range(9, 3000)]
    ),
    "a restore that nobody allowed": raw(frame(speaker.RESTORE_PLAN, pack([[b"/"], 0]))),
    "entries to be restored": raw(frame(speaker.ENTRIES, closed(pack([])))),
    "content to be restored": raw(frame(speaker.CONTENT, b"x")),
    "an end of entries": raw(frame(speaker.ENTRIES_END)),
}


@pytest.mark.parametrize("what", PLANS)
def test_a_bad_plan_ends_the_agent_with_one_line(client: Path, what: str) -> None:
    before = tree(client)
    with RealAgent("--read", client / "open") as agent:
        agent.greeted().say(PLANS[what](client))
        ended = agent.finish()
    assert_one_line(ended)
    assert read_by(ended) == b""
    assert tree(client) == before


OUTSIDE = {
    "everything": "/",
    "a path beside": "open2",
    "its parent": ".",
    "a path with ..": "open/../shut",
    "a file by way of ..": "open/deep/../../shut/secret",
    "a link in it to a directory": "open/way/secret",
    "a link in it to everything": "open/deep/root/etc/passwd",
    "what is not there": "nothing",
    "what is not there, inside": "open/nothing/file",
    "a path with a zero": "open/\0/../../shut",
    "nothing": None,
}


@pytest.mark.parametrize("what", OUTSIDE)
def test_nothing_outside_the_fence_is_read(client: Path, what: str) -> None:
    path = OUTSIDE[what]
    source = b"" if path is None else os.fsencode(client) + b"/" + path.encode() if path != "/" else b"/"
    with RealAgent("--read", client / "open", cwd=client) as agent:
        agent.greeted().say(frame(PLAN, speaker.plan(roots=[[source, b"x"]])))
        ended = agent.finish()
    assert_one_line(ended)
    assert "does not allow to read" in ended.said
    assert "does not allow to read" in ended.fault()
    assert SECRET not in read_by(ended)


@pytest.mark.parametrize("relative", ["../shut", "shut/secret", "open/../shut"])
def test_a_relative_root_begins_where_the_agent_does_and_stays_in_the_fence(client: Path, relative: str) -> None:
    with RealAgent("--read", client / "open", cwd=client / "open") as agent:
        agent.greeted().say(frame(PLAN, speaker.plan(roots=[[relative.encode(), b"x"]])))
        ended = agent.finish()
    assert_one_line(ended)


def test_a_relative_root_that_is_not_there_is_reported(client: Path) -> None:
    with RealAgent("--read", client / "open", cwd=client / "open") as agent:
        agent.greeted().say(frame(PLAN, speaker.plan(roots=[[b"./shut", b"x"]])))
        ended = agent.finish(hang_up=False)
    assert (ended.code, ended.said) == (0, "")
    said = speaker.opened(ended.frames[0].body)
    assert b"open/shut" in said
    assert b"No such file" in said
    assert SECRET not in read_by(ended)


def test_one_root_outside_spoils_them_all(client: Path) -> None:
    with RealAgent("--read", client / "open") as agent:
        agent.greeted().say(frame(PLAN, speaker.plan(client / "open", client / "shut")))
        ended = agent.finish()
    assert_one_line(ended)
    assert read_by(ended) == b""


@pytest.mark.parametrize("source", ["link", "way", "deep/root"])
def test_a_root_that_is_a_link_is_the_link(client: Path, source: str) -> None:
    with RealAgent("--read", client / "open") as agent:
        agent.greeted().say(frame(PLAN, speaker.plan(client / "open" / source)))
        ended = agent.finish(hang_up=False)
    assert ended.code == 0, ended.said
    assert read_by(ended) == b""
    (entry,) = entries_of(ended)
    assert stat_of(entry[1]) == 0o120000


def entries_of(ended: Ended) -> list[list[bytes]]:
    units = [speaker.unpack(speaker.opened(each.body)) for each in ended.frames if each.kind == speaker.UNIT]
    return [entry for unit in units for entry in unit[1]]


def stat_of(body: bytes) -> int:
    mode = speaker.unpack(body)[1]
    assert isinstance(mode, int)
    return mode & 0o170000


def test_directories_that_are_swapped_for_links_lead_nowhere(client: Path) -> None:
    """A thread of the client's swaps a directory for a link all the time; whatever the walk meets, it stays inside."""
    stop = threading.Event()
    spot, aside = client / "open" / "deep", client / "open" / "aside"
    way = client / "open" / "way"

    def swap() -> None:
        while not stop.is_set():
            spot.rename(aside)
            way.rename(spot)
            spot.rename(way)
            aside.rename(spot)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(20):
            with RealAgent("--read", client / "open") as agent:
                agent.greeted().say(frame(PLAN, speaker.plan(spot)))
                ended = agent.finish(hang_up=False)
            assert SECRET not in read_by(ended)
            assert b"root:" not in read_by(ended)
    finally:
        stop.set()
        thread.join()


# ---- during the backup ---------------------------------------------------------------------------------------------

PREVIOUS: dict[str, object] = {"previous_start": [1_600_000_000, 0]}
BODY = item(DIRECTORY)
LEAVES: dict[str, tuple[dict[str, object], bytes, str]] = {
    "a leaf without a previous archive": ({}, frame(LEAF, closed(leaf([(b"a", BODY)]))), "after the last"),
    "a leaf after the last one": (
        PREVIOUS,
        frame(LEAF_END) + frame(LEAF, closed(leaf([(b"a", BODY)]))),
        "after the last",
    ),
    "a leaf of an unknown codec": (PREVIOUS, frame(LEAF, b"\x63\5hello"), ""),
    "a leaf that is shorter than it says": (PREVIOUS, frame(LEAF, closed(b"\1\1", length=1000)), ""),
    "a leaf that is longer than it says": (PREVIOUS, frame(LEAF, closed(b"\1\1" * 9, length=3)), ""),
    "a leaf of a GiB": (PREVIOUS, frame(LEAF, closed(b"\1\1", length=1 << 30)), ""),
    "a bomb": (PREVIOUS, frame(LEAF, b"\2" + varint(60 * MIB) + zstandard.compress(bytes(60 * MIB))), ""),
    "a frame of 30 MiB": (PREVIOUS, frame(LEAF, bytes(30 * MIB)), "longer than a frame of its kind"),
    "an empty leaf frame": (PREVIOUS, frame(LEAF), ""),
    "an answer that was not asked for": ({}, frame(ANSWER, b"\xff"), "what was not asked"),
    "an answer of a MiB": ({}, frame(ANSWER, bytes(MIB)), "longer than a frame of its kind"),
    "a second plan": ({}, frame(PLAN, speaker.plan("/")), "out of turn"),
    "a restore in the middle": ({}, frame(speaker.RESTORE_PLAN, b"\0"), "out of turn"),
    "a unit of its own": ({}, speaker.unit(), "out of turn"),
    "a hello of its own": ({}, frame(1, speaker.hello()), "out of turn"),
    "an unknown kind": ({}, frame(0), ""),
    "a fault": ({}, frame(FAULT, b"go away"), "the server: go away"),
    "a fault full of escapes": ({}, frame(FAULT, b"\x1b[2J\r\n\x07" * 900), "the server: \\x1b[2J"),
    "half of a head": ({}, b"\1\0", ""),
    "a frame that is cut": (PREVIOUS, frame(LEAF, closed(leaf([(b"a", BODY)])))[:-2], ""),
}


@pytest.fixture
def busy(client: Path) -> Path:
    """A tree that takes longer than the server needs for what it says: it ends in a pipe that nobody fills."""
    for number in range(9):
        (client / "open" / f"big {number}").write_bytes(os.urandom(MIB))
    return client


@pytest.mark.parametrize("what", LEAVES)
def test_a_server_that_breaks_the_rules_during_a_backup_ends_it(busy: Path, what: str) -> None:
    changes, said, words = LEAVES[what]
    with RealAgent("--read", busy / "open", "--rate", "2000000") as agent:
        agent.greeted().say(frame(PLAN, speaker.plan(busy / "open", **changes)) + said)
        ended = agent.finish(hang_up=what in ("half of a head", "a frame that is cut"))
    assert_one_line(ended)
    assert words in ended.said


MALFORMED = {
    "no node": b"hello",
    "an inner node": b"\2\1",
    "a version of 9": b"\1\x09",
    "an item that is cut": leaf([(b"a", BODY)])[:-1],
    "a path that is cut": b"\1\1\0\x7f",
    "a path that shares what is not there": b"\1\1\x09\1a\0",
    "paths out of order": leaf([(b"b", BODY)]) + leaf([(b"a", BODY)])[2:],
    "an absolute path": leaf([(b"/etc/passwd", BODY)]),
    "a path of ..": leaf([(b"../etc", BODY)]),
    "an item that is none": leaf([(b"a", b"\xff\xff")]),
    "a reference to no number": leaf([(b"a", item(f10=5, f13=speaker.reference(7)))]),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_a_previous_archive_that_is_none_costs_only_its_use(client: Path, what: str) -> None:
    """It says which files are unchanged, and no more: nothing else is read for it, and everything is sent."""
    said = frame(LEAF, closed(MALFORMED[what])) + frame(LEAF_END)
    with RealAgent("--read", client / "open") as agent:
        agent.greeted().say(frame(PLAN, speaker.plan(client / "open", **PREVIOUS)) + said)
        ended = agent.finish(hang_up=False)
    assert ended.code in (0, 2)
    assert ended.peak_bytes < MEMORY_MAX
    assert "panicked" not in ended.said
    if ended.code == 0:
        assert b"x" * 1000 in read_by(ended)
    else:
        assert_one_line(ended)


def test_more_leaves_than_there_is_room_for_end_it(busy: Path) -> None:
    name = b"x" * 60_000  # and behind all that the walk comes to, so that it takes none of them
    said = [frame(LEAF, closed(leaf([(b"\xff%06d" % n + name, BODY)]))) for n in range(200)]
    with RealAgent("--read", busy / "open", "--rate", "100000") as agent:
        agent.greeted().say(frame(PLAN, speaker.plan(busy / "open", **PREVIOUS)) + b"".join(said))
        ended = agent.finish(hang_up=False)
    assert_one_line(ended)


@pytest.mark.parametrize("bits", [b"", b"\xff" * 100, b"\0" * 512])
def test_an_answer_of_another_length_ends_it(busy: Path, bits: bytes) -> None:
    flags = 1 << FLAGS.index("own_chunks")
    with RealAgent("--read", busy / "open") as agent:
        agent.greeted().say(frame(PLAN, speaker.plan(busy / "open", flags=flags)))
        while agent.line.receive().kind != speaker.QUERY:
            pass
        agent.say(frame(ANSWER, bits))
        ended = agent.finish(hang_up=False)
    assert_one_line(ended)
    assert "not as long as the question" in ended.said


def test_a_line_that_ends_at_any_byte_of_the_plan_ends_the_agent(client: Path) -> None:
    said = frame(PLAN, speaker.plan(client / "open"))
    for length in {*range(12), len(said) // 2, len(said) - 1}:
        with RealAgent("--read", client / "open") as agent:
            agent.greeted().say(said[:length])
            ended = agent.finish()
        assert_one_line(ended, code=2 if length else 0)
        assert read_by(ended) == b""


def test_a_server_that_goes_away_in_the_middle_ends_the_agent(busy: Path) -> None:
    with RealAgent("--read", busy / "open", "--rate", "2000000") as agent:
        agent.greeted().say(frame(PLAN, speaker.plan(busy / "open")))
        agent.line.receive()
        ended = agent.finish()
    assert_one_line(ended)
    assert "went away" in ended.said


# ---- limits of the client's own ------------------------------------------------------------------------------------


def test_the_client_has_a_limit_of_bytes(busy: Path) -> None:
    with RealAgent("--read", busy / "open", "--max-bytes", "3000000") as agent:
        agent.greeted().say(frame(PLAN, speaker.plan(busy / "open", wire=[0, 0, 0])))
        ended = agent.finish(hang_up=False)
    assert_one_line(ended)
    assert "--max-bytes" in ended.said
    assert sum(len(each.body) for each in ended.frames) <= 3_000_000


def test_the_client_has_a_limit_of_rate_that_a_server_can_only_lower(client: Path) -> None:
    (client / "open" / "more").write_bytes(os.urandom(MIB))
    for own, wanted in (("1000000", 0), ("1000000", 1 << 40), ("0", 1_000_000)):
        started = time.monotonic()
        with RealAgent("--read", client / "open", "--rate", own) as agent:
            agent.greeted().say(frame(PLAN, speaker.plan(client / "open", wire=[0, 0, 0], rate=wanted)))
            assert agent.finish(hang_up=False).code == 0
        assert time.monotonic() - started > 1.0


WAYS = ("before the plan", "a plan byte by byte", "during the backup", "reading nothing")


@pytest.mark.parametrize("way", WAYS)
def test_the_client_has_a_limit_of_time_whatever_the_server_does(busy: Path, way: str) -> None:
    plan = frame(PLAN, speaker.plan(busy / "open", wire=[0, 0, 0], **PREVIOUS))
    with RealAgent("--read", busy / "open", "--max-time", "2") as agent:
        agent.greeted()
        started = time.monotonic()
        if way == "a plan byte by byte":
            for byte in plan:
                agent.say(bytes([byte]))
                time.sleep(0.02)
                if agent.child.poll() is not None:
                    break
        elif way != "before the plan":
            agent.say(plan)
        if way == "reading nothing":
            agent.child.wait(20)
        ended = agent.finish(hang_up=False)
    assert time.monotonic() - started < 12
    assert_one_line(ended)
    assert "--max-time" in ended.said


def test_a_server_that_reads_nothing_costs_no_memory(busy: Path) -> None:
    (busy / "open" / "large").write_bytes(os.urandom(64 * MIB))
    with RealAgent("--read", busy / "open") as agent:
        agent.greeted().say(frame(PLAN, speaker.plan(busy / "open")))
        time.sleep(3)
        assert agent.child.poll() is None
        ended = agent.finish(timeout_s=10)
    assert_one_line(ended)


@pytest.mark.parametrize("wire", [[2, 22, 0], [2, 19, 1], [4, 9, 0], [3, 9, 0]])
def test_no_codec_takes_more_memory_than_there_is(client: Path, wire: list[int]) -> None:
    (client / "open" / "words").write_bytes(b"".join(b"%d\n" % number for number in range(700_000)))
    with RealAgent("--read", client / "open") as agent:
        agent.greeted().say(frame(PLAN, speaker.plan(client / "open", wire=wire)))
        ended = agent.finish(hang_up=False, timeout_s=60)
    assert ended.code == 0, ended.said
    assert ended.peak_bytes < MEMORY_MAX


# ---- the command line ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["--shell"], ["--read"], ["--rate", "x"], ["--rate=-1"], ["--max-time", ""], ["--max-bytes", "1e9"], ["-h"],
        ["/etc"], ["--read", "/nonexistent"], ["--remove-self=x"], ["--read=/etc", "extra"],
        ["--write", "/nonexistent"],
    ],
)  # fmt: skip
def test_a_command_line_that_is_wrong_opens_nothing(words: list[str]) -> None:
    ended = subprocess.run([program(), "serve", *words], input=b"", capture_output=True, check=False, timeout=20)
    assert ended.returncode == 2
    assert ended.stdout == b""
    assert ended.stderr.startswith(b"bork-agent: ")
    assert ended.stderr.count(b"\n") == 1


def test_what_ssh_asks_a_forced_command_for_is_not_looked_at(client: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_ORIGINAL_COMMAND", f"bork-agent serve --read / --write / ; touch {client}/trap")
    with RealAgent("--read", client / "open") as agent:
        agent.greeted().say(frame(PLAN, speaker.plan(client / "shut")))
        ended = agent.finish()
    assert_one_line(ended)
    assert not (client / "trap").exists()


# ---- what the kernel sees ------------------------------------------------------------------------------------------

OUTSIDE_ALLOWED = ("/etc/passwd", "/etc/group", "/proc/", "/sys/", "/dev/null")


@pytest.mark.needs("strace")
def test_the_kernel_sees_nothing_opened_outside_the_roots_and_nothing_started(client: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    calls = "trace=%file,%process,%network,write"
    with RealAgent(
        "--read", client / "open", before=["strace", "-f", "-y", "-e", calls, "-s", "4096", "-o", log]
    ) as agent:
        agent.greeted().say(frame(PLAN, speaker.plan(client / "open")))
        ended = agent.finish(hang_up=False)
    assert ended.code == 0, ended.said
    assert b"x" * 1000 in read_by(ended)
    lines = log.read_text().splitlines()
    greeted = next(number for number, text in enumerate(lines) if "BORKA1" in text)
    started = [text for text in lines if re.search(r"\b(execve|execveat|fork|vfork)\(", text)]
    assert len(started) == 1, "itself"
    assert not [text for text in lines if re.search(r"\b(socket|connect|bind|sendto)\(", text)]
    inside = f"{client}/open"
    seen = 0
    for text in lines[greeted:]:
        if not re.match(r"\d+ +(open|openat|openat2|creat)\(", text):
            continue
        seen += 1
        assert not re.search(r"O_(WRONLY|RDWR|CREAT|TRUNC|TMPFILE)", text), text
        opened = re.search(r"= \d+<(?P<path>[^>]*)>", text)
        # A directory above is opened to be looked through (O_PATH), never to be read.
        if opened and "O_PATH" not in text:
            path = opened["path"]
            assert path == inside or path.startswith((f"{inside}/", *OUTSIDE_ALLOWED)), text
        if opened and "O_PATH" in text:
            assert f"{inside}/".startswith(opened["path"].rstrip("/") + "/") or opened["path"].startswith(inside), text
    assert seen > 4


@pytest.mark.needs("strace")
def test_a_link_in_the_tree_is_never_opened(client: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with RealAgent("--read", client / "open", before=["strace", "-f", "-y", "-e", "trace=%file", "-o", log]) as agent:
        agent.greeted().say(frame(PLAN, speaker.plan(client / "open")))
        assert agent.finish(hang_up=False).code == 0
    assert not [text for text in log.read_text().splitlines() if "secret" in text and "openat" in text]


def test_the_fences_of_the_kernel_are_up_during_a_backup(busy: Path) -> None:
    """No new privileges, a filter of system calls, no capability that changes anything; and what it says of itself."""
    with RealAgent("--read", busy / "open", "--rate", "100000") as agent:
        assert agent.line.take(len(speaker.MAGIC)) == speaker.MAGIC
        said = speaker.unpack(agent.line.receive().body)
        agent.say(frame(PLAN, speaker.plan(busy / "open")))
        agent.line.receive()
        tasks = [path / "status" for path in Path(f"/proc/{agent.child.pid}/task").iterdir()]
        statuses = [
            dict(line.split(":\t", 1) for line in path.read_text().splitlines() if ":\t" in line) for path in tasks
        ]
        agent.child.kill()
    assert b"seccomp" in said[5]
    assert len(statuses) > 3
    allowed = 1 << 2 | 1 << 3 | 1 << 21  # CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_SYS_ADMIN (trusted attributes)
    for status in statuses:
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2"
        assert int(status["CapEff"], 16) & ~allowed == 0
        assert int(status["CapPrm"], 16) & ~allowed == 0


def test_a_socket_or_a_pipe_in_the_tree_is_not_opened(client: Path) -> None:
    os.mkfifo(client / "open" / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(client / "open")
        try:
            server.bind("socket")
        finally:
            os.chdir(here)
        with RealAgent("--read", client / "open") as agent:
            agent.greeted().say(frame(PLAN, speaker.plan(client / "open")))
            ended = agent.finish(hang_up=False)
    assert ended.code == 0, ended.said
    assert b"open/pipe" in b" ".join(entry[0] for entry in entries_of(ended))


def test_nothing_is_written_anywhere(client: Path, tmp_path: Path, bork: Bork) -> None:
    """Not even in its own home, nor in a directory for temporary files."""
    before = tree(tmp_path)
    with RealAgent("--read", client / "open", cwd=tmp_path) as agent:
        agent.greeted().say(frame(PLAN, speaker.plan(client / "open")))
        assert agent.finish(hang_up=False).code == 0
    assert tree(tmp_path) == before
