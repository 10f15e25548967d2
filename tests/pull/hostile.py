"""Agents that speak badly on purpose: ``python -m tests.pull.hostile CASE`` is run in place of the agent.

A case is a function of the :class:`Agent`, which has said hello and got its plan. ``/data`` is what was asked for, so
``data`` is the only root. What each case must lead to is with it.
"""

import os
import struct
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import zstandard

from tests.pull import speaker
from tests.pull.speaker import (
    DIRECTORY,
    FAULT,
    FILE,
    LZMA,
    MAGIC,
    OBJECT,
    PROGRESS,
    QUERY,
    SYMLINK,
    UNIT,
    Line,
    Plan,
    closed,
    done,
    frame,
    hello,
    item,
    object_of,
    pack,
    reference,
    slices,
    unit,
    varint,
)

SECRET = b"what another client has in the same repository\n" * 40
CONTENT = b"what this client has\n" * 40
ESCAPES = b"\x1b]0;owned\x07\x1b[2J\r\n\x9b31m\x7f\x00"
HUGE = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Case:
    """What an agent does, and what must come of it."""

    act: Callable[["Agent"], None]
    code: int  # exit code of ``bork pull``
    says: str  # a part of its line
    commits: bool  # whether there is an archive afterwards


CASES: dict[str, Case] = {}


def case(name: str, says: str, *, code: int = 2, commits: bool = False) -> Callable[[Callable[["Agent"], None]], None]:
    def add(act: Callable[[Agent], None]) -> None:
        assert name not in CASES
        CASES[name] = Case(act, code, says, commits)

    return add


class Agent:
    """The client's end of the line."""

    def __init__(self) -> None:
        self.line = Line(0, 1)

    def say(self, *parts: bytes) -> None:
        for part in parts:
            self.line.send(part)

    def plan(self) -> Plan:
        """Says who it is, and hears what it shall do."""
        self.say(MAGIC, frame(speaker.HELLO, hello()))
        return speaker.read_plan(self.line.receive().body)

    def leaves(self) -> None:
        """Hears all of the previous archive."""
        while self.line.receive().kind != speaker.LEAF_END:
            pass

    def linger(self) -> None:
        """Until the server hangs up."""
        self.line.rest()


def file_of(plan: Plan, content: bytes) -> bytes:
    """An item with one chunk."""
    parts = slices((plan.identify(content), 0, len(content)))
    return item(f10=len(content), f12=parts)


def chunk(plan: Plan, content: bytes) -> bytes:
    """A frame with one chunk."""
    return object_of([(plan.identify(content), len(content))], content)


ROOT = [b"data", item(DIRECTORY)]


@case("honest", "", code=0, commits=True)
def _(agent: Agent) -> None:
    plan = agent.plan()
    agent.say(chunk(plan, CONTENT), unit([ROOT, [b"data/file", file_of(plan, CONTENT)]], files=1), done(1))
    agent.linger()


# ---- before the plan -----------------------------------------------------------------------------------------------

EARLY: dict[str, tuple[bytes, str]] = {
    "nothing at all": (b"", "Connection closed"),
    "noise without end": (b"Welcome to this machine!\r\n" * 4000, "is no agent"),
    "escapes in the noise": (ESCAPES * 7000, "is no agent"),
    "half of the magic": (MAGIC[:5], "Connection closed"),
    "the magic alone": (MAGIC, "Connection closed"),
    "a web server": (b"HTTP/1.1 400 Bad Request\r\n\r\n", "Connection closed"),
    "no hello but a unit": (MAGIC + unit(), "does not say who it is"),
    "no hello but the end": (MAGIC + done(0), "does not say who it is"),
    "an unknown kind for a hello": (MAGIC + frame(99), "does not say who it is"),
    "a hello of 4 GiB": (MAGIC + frame(1, b"", length=0xFFFFFFFF), "does not say who it is"),
    "a hello that is cut": (MAGIC + frame(1, hello())[:-3], "Connection closed"),
    "an empty hello": (MAGIC + frame(1), "does not keep to the protocol"),
    "a hello of another version": (MAGIC + frame(1, hello(version=2)), "another version"),
    "a hello of version 2**64": (MAGIC + frame(1, hello(version=HUGE)), "another version"),
    "a hello that is a number": (MAGIC + frame(1, b"\x07"), "does not keep to the protocol"),
    "a hello with a field too many": (MAGIC + frame(1, hello(more=1)), "does not keep to the protocol"),
    "a hello with bytes behind it": (MAGIC + frame(1, hello() + b"\0"), "does not keep to the protocol"),
    "a hello with a long name": (MAGIC + frame(1, hello(hostname=b"x" * 256)), "does not keep to the protocol"),
    "a hello with a flag of 2": (MAGIC + frame(1, hello(reads_all=2)), "does not keep to the protocol"),
    "a hello with a wrong time": (MAGIC + frame(1, hello(nanoseconds=10**9)), "does not keep to the protocol"),
    "a hello with 2**32 directories": (
        MAGIC + frame(1, hello()[:10] + b"\xdd\xff\xff\xff\xff"),
        "does not keep to the protocol",
    ),
    "it wants a program for another machine": (b"BORK-SEND vax\n", "install bork-agent there"),
    "it wants a program for escapes": (b"BORK-SEND " + ESCAPES[:9] + b"\n", "install bork-agent there"),
}


def _early(data: bytes) -> Callable[[Agent], None]:
    return lambda agent: agent.say(data)


for _name, (_data, _says) in EARLY.items():
    case(_name, _says)(_early(_data))


@case("a hello full of escapes", "it counts its units wrong")
def _(agent: Agent) -> None:
    paths = [b"/" + ESCAPES + str(number).encode() for number in range(2000)]
    agent.say(MAGIC, frame(1, hello(program=ESCAPES, hostname=ESCAPES * 9, confinement=ESCAPES, read=paths)))
    agent.line.receive()
    agent.say(done(1))


@case("a clock of the year 292277026596", "it counts its units wrong")
def _(agent: Agent) -> None:
    agent.say(MAGIC, frame(1, hello(seconds=(1 << 63) - 1)))
    agent.line.receive()
    agent.say(done(1))


@case("a clock of a time before all time", "it counts its units wrong")
def _(agent: Agent) -> None:
    agent.say(MAGIC, frame(1, hello(seconds=-(1 << 63))))
    agent.line.receive()
    agent.say(done(1))


@case("it asks for the program twice", "is no agent")
def _(agent: Agent) -> None:
    machine = os.uname().machine.encode()
    agent.say(b"BORK-SEND " + machine + b"\n")
    agent.line.take(1 << 20)
    agent.say(b"BORK-SEND " + machine + b"\n" + b"x" * (65 << 10))
    agent.linger()


# ---- after the plan ------------------------------------------------------------------------------------------------

Said = Callable[[Plan], bytes]
GONE = "Connection closed"
PROTOCOL = "does not keep to the protocol"


def entry(path: bytes, body: bytes = b"") -> Said:
    return lambda _: unit([[path, body or item()]])


def body(data: bytes) -> Said:
    return lambda _: unit([[b"data/x", data]])


LATE: dict[str, tuple[Said, str]] = {
    # frames
    "an unknown kind": (lambda _: frame(99), PROTOCOL),
    "kind 0": (lambda _: frame(0), PROTOCOL),
    "a second hello": (lambda _: frame(1, hello()), PROTOCOL),
    "a plan of its own": (lambda _: frame(speaker.PLAN, speaker.plan("/")), PROTOCOL),
    "a leaf": (lambda _: frame(speaker.LEAF, closed(b"\x01\x01")), PROTOCOL),
    "the end of leaves": (lambda _: frame(speaker.LEAF_END), PROTOCOL),
    "an answer": (lambda _: frame(speaker.ANSWER, b"\xff"), PROTOCOL),
    "the words of a restore": (lambda _: frame(speaker.WANTED, b"\xff"), PROTOCOL),
    "a frame of 4 GiB": (lambda _: frame(UNIT, b"", length=0xFFFFFFFF), "longer than a frame of its kind"),
    "a query of a MiB": (lambda _: frame(QUERY, bytes(1 << 20)), "longer than a frame of its kind"),
    "a list of 2 MiB": (lambda _: frame(speaker.LIST, bytes(2 << 20)), "longer than a frame of its kind"),
    "progress of a MiB": (lambda _: frame(PROGRESS, bytes(1 << 20)), "longer than a frame of its kind"),
    "a frame that is cut": (lambda _: unit([ROOT])[:-2], GONE),
    "half of a head": (lambda _: unit([ROOT])[:3], GONE),
    "no end": (lambda _: unit([ROOT]), GONE),
    "text": (lambda _: b"Segmentation fault (core dumped)\n", PROTOCOL),
    # counts
    "the end counts too many": (lambda _: unit([ROOT]) + done(2), "counts its units wrong"),
    "the end counts too few": (lambda _: unit([ROOT]) + done(0), "counts its units wrong"),
    "the end is no number": (lambda _: frame(speaker.DONE), "counts its units wrong"),
    "the end has bytes behind it": (lambda _: unit([ROOT]) + frame(speaker.DONE, b"\1\0"), "counts its units wrong"),
    "more files than items": (lambda _: unit([ROOT], files=2), "more files than"),
    "2**64 files": (lambda _: unit([ROOT], files=HUGE), "more files than"),
    # compressed bodies
    "a unit of no bytes": (lambda _: frame(UNIT), PROTOCOL),
    "a unit of an unknown codec": (lambda _: frame(UNIT, b"\x63\x05hello"), PROTOCOL),
    "a unit that is shorter than it says": (lambda _: unit([ROOT], length=10_000), PROTOCOL),
    "a unit that is longer than it says": (lambda _: unit([ROOT], length=3), PROTOCOL),
    "a unit of a GiB": (lambda _: unit([ROOT], length=1 << 30), "too long"),
    "a bomb in a unit": (lambda _: frame(UNIT, bomb(20 << 20)), PROTOCOL),
    "a bomb in a list": (lambda _: frame(speaker.LIST, bomb(20 << 20)), "too long"),
    "a bomb that lies": (lambda _: frame(UNIT, b"\2\x05" + zstandard.compress(bytes(200 << 20))), PROTOCOL),
    "a unit that is no array": (lambda _: frame(UNIT, closed(b"\x07")), PROTOCOL),
    "a unit with bytes behind it": (lambda _: frame(UNIT, closed(pack([0, [], [], [], []]) + b"\0")), PROTOCOL),
    "a unit of four fields": (lambda _: frame(UNIT, closed(pack([0, [], [], []]))), PROTOCOL),
    "a unit of 2**32 entries": (lambda _: frame(UNIT, closed(b"\x95\x00\xdd\xff\xff\xff\xff")), PROTOCOL),
    # paths
    "a path of ..": (entry(b"data/../../etc/passwd"), PROTOCOL),
    "a path that begins with ..": (entry(b"../data"), PROTOCOL),
    "an absolute path": (entry(b"/data/x"), PROTOCOL),
    "a path of .": (entry(b"data/./x"), PROTOCOL),
    "a path with a double slash": (entry(b"data//x"), PROTOCOL),
    "a path with a slash at its end": (entry(b"data/x/"), PROTOCOL),
    "a path with a zero": (entry(b"data/\0x"), PROTOCOL),
    "a path of 66000 bytes": (entry(b"data/" + b"x" * 66_000), PROTOCOL),
    "a path that was not asked for": (entry(b"etc/passwd"), "not asked for"),
    "a path beside the root": (entry(b"data2"), "not asked for"),
    "the same path twice": (lambda _: unit([[b"data/x", item()], [b"data/x", item()]]), "not in order"),
    "paths out of order": (lambda _: unit([[b"data/y", item()], [b"data/x", item()]]), "not in order"),
    "units out of order": (lambda _: unit([[b"data/y", item()]]) + unit([[b"data/x", item()]]), "not in order"),
    "bytes in place of slashes": (lambda _: unit([[b"data-x", item()], [b"data/x", item()]]), "not asked for"),
    # items
    "an item of no bytes": (lambda _: unit([[b"data/x", b""]]), PROTOCOL),
    "an item that is text": (body(b"hello"), PROTOCOL),
    "an item of an unknown field": (body(item(f31=1)), PROTOCOL),
    "a socket": (body(item(0o140777)), PROTOCOL),
    "a mode of 32 bits": (body(item(0xFFFFFFFF)), PROTOCOL),
    "a directory with content": (body(item(DIRECTORY, f10=1)), PROTOCOL),
    "a link without a target": (body(item(SYMLINK)), PROTOCOL),
    "a size without content": (body(item(f10=5)), PROTOCOL),
    "a hole that is shorter than the file": (body(item(f10=9, f12=slices((bytes(32), 0, 5)))), PROTOCOL),
    "slices that are cut": (body(item(f10=5, f12=slices((bytes(32), 0, 5))[:-1])), PROTOCOL),
    "slices and lists": (body(item(f10=5, f12=slices((bytes(32), 0, 5)), f13=bytes(32))), PROTOCOL),
    "a time of 10**9 nanoseconds": (
        lambda _: unit([[b"data/x", pack({1: FILE, 2: 0, 3: 0, 6: [0, 10**9]})]]),
        PROTOCOL,
    ),
    "a name of 2000 bytes": (body(item(f4=b"x" * 2000)), PROTOCOL),
    "sizes of all disks": (
        lambda _: unit([[b"data/%d" % n, item(f10=HUGE, f13=b"\1" * 32)] for n in range(2)]),
        "longer than all disks",
    ),
    # content
    "a chunk that was never sent": (
        lambda plan: unit([[b"data/x", file_of(plan, CONTENT[:-1] + b"?")]]) + done(1),
        "did not send",
    ),
    "a chunk of another client": (
        lambda plan: unit([[b"data/x", file_of(plan, SECRET)]]) + done(1),
        "did not send",
    ),
    "a list that was never sent": (
        lambda plan: unit([[b"data/x", item(f10=5, f13=plan.identify(SECRET))]]) + done(1),
        "did not send",
    ),
    "chunks without end that were never sent": (lambda _: b"".join(map(named, range(600))), "does not send"),
    "a chunk under another id": (
        lambda plan: object_of([(plan.identify(SECRET), 5)], b"hello"),
        "not what its id says",
    ),
    "a chunk of no bytes": (lambda plan: object_of([(plan.identify(b""), 0)], b""), PROTOCOL),
    "an object of no chunks": (lambda _: object_of([], b""), PROTOCOL),
    "an object of 2**30 chunks": (lambda _: frame(OBJECT, b"\0" + varint(1 << 30)), PROTOCOL),
    "an object of more chunks than a pack can hold": (lambda plan: many_of(plan, 4_097), PROTOCOL),
    "an object of 65,536 chunks": (lambda plan: many_of(plan, 1 << 16), PROTOCOL),
    "an object that is longer compressed": (
        lambda plan: object_of([(plan.identify(b"x"), 1)], zlib.compress(b"x") + bytes(20 << 20), speaker.ZLIB),
        PROTOCOL,
    ),
    "an object of an unknown codec": (lambda plan: object_of([(plan.identify(b"x"), 1)], b"x", 99), PROTOCOL),
    "an object that is longer than it says": (lambda plan: object_of([(plan.identify(b"x"), 1)], b"xy"), PROTOCOL),
    "an object that is shorter than it says": (lambda plan: object_of([(plan.identify(b"x"), 9)], b"x"), PROTOCOL),
    "an object of 32 MiB": (
        lambda _: object_of([(bytes(32), 32 << 20)], zstandard.compress(bytes(32 << 20)), 2),
        PROTOCOL,
    ),
    "an object of 2**34 bytes": (lambda _: object_of([(bytes(32), 10), (bytes(32), (1 << 34) - 1)], b""), PROTOCOL),
    "a bomb of another codec": (lambda plan: object_of([(plan.identify(b"x"), 1)], b"\xfd7zXZ\0" * 9, LZMA), PROTOCOL),
    "a list of half a slice": (lambda _: frame(speaker.LIST, closed(bytes(20))), PROTOCOL),
    "an empty list": (lambda _: frame(speaker.LIST, closed(b"")), PROTOCOL),
    # queries, credit, progress
    "a query of nothing": (lambda _: frame(QUERY), PROTOCOL),
    "a query that is cut": (lambda _: frame(QUERY, bytes(33)), PROTOCOL),
    "credit of nothing": (lambda _: frame(speaker.CREDIT), PROTOCOL),
    "credit with bytes behind it": (lambda _: frame(speaker.CREDIT, b"\1\1"), PROTOCOL),
    "progress that is no array": (lambda _: frame(PROGRESS, b"\1"), PROTOCOL),
    "progress of two fields": (lambda _: frame(PROGRESS, pack([1, 2])), PROTOCOL),
    # statuses and problems
    "a status that is an escape": (lambda _: unit(statuses=[[27, b"x", 0]]), PROTOCOL),
    "a status of 64 bits": (lambda _: unit(statuses=[[HUGE, b"x", 0]]), PROTOCOL),
    "a problem of an unknown kind": (lambda _: unit(problems=[[b"x", 99, b"x"]]), PROTOCOL),
    # the previous archive
    "an entry of no archive 0": (lambda _: unit([[0, 1]]), PROTOCOL),
    "an entry far behind the last": (lambda _: unit([[10_000, 1]]), "it was not sent"),
    "2**64 entries": (lambda _: unit([[1, HUGE]]), PROTOCOL),
    "no entries": (lambda _: unit([[1, 0]]), PROTOCOL),
    "entries twice": (lambda _: unit([[1, 1], [1, 1]]), PROTOCOL),
    "entries backwards": (lambda _: unit([[2, 1], [1, 1]]), PROTOCOL),
    "content of an entry of another size": (
        lambda _: unit([[b"data/x", item(f10=9, f13=reference(2))]]),
        "another size",
    ),
    "content of a directory": (lambda _: unit([[b"data/x", item(f10=len(CONTENT), f13=reference(1))]]), "another size"),
    "content of two entries": (
        lambda _: unit([[b"data/x", item(f10=len(CONTENT), f13=reference(2) + reference(2))]]),
        "mixes references",
    ),
    "content of an entry that is not there": (
        lambda _: unit([[b"data/x", item(f10=len(CONTENT), f13=reference(77))]]),
        "it was not sent",
    ),
    # faults
    "a fault": (lambda _: frame(FAULT, b"the disk is on fire"), "the disk is on fire"),
    "a fault full of escapes": (lambda _: frame(FAULT, ESCAPES * 50), "the agent: ?]0;owned?"),
    "a fault of two lines": (lambda _: frame(FAULT, b"bad\nArchive name: forged\n"), "bad?Archive name: forged?"),
    "a fault of nothing": (lambda _: frame(FAULT), "the agent: "),
    "a fault of a GiB": (lambda _: frame(FAULT, b"", length=1 << 30), "longer than a frame of its kind"),
}


def bomb(length: int) -> bytes:
    """A body that says the truth about its length, and is short."""
    return bomb_of(bytes(length))


def bomb_of(content: bytes) -> bytes:
    return b"\2" + varint(len(content)) + zstandard.compress(content)


def many_of(plan: Plan, count: int) -> bytes:
    """An object of that many chunks, all of them good."""
    return object_of([(plan.identify(b"four"), 4)] * count, b"four" * count)


def named(number: int) -> bytes:
    """A unit whose files name 250 chunks each."""
    ids = [b"%032d" % (number * 250 + index) for index in range(250)]
    return unit([[b"data/%06d" % number, item(f10=250, f12=slices(*((each, 0, 1) for each in ids)))]])


def _late(said: Said, *, goes: bool) -> Callable[[Agent], None]:
    def act(agent: Agent) -> None:
        agent.say(said(agent.plan()))
        if not goes:
            agent.linger()

    return act


for _name, (_said, _says) in LATE.items():
    case(_name, _says)(_late(_said, goes=_says == GONE))


# ---- what takes more than words ------------------------------------------------------------------------------------


@case("it is done before it begins", "", code=0, commits=True)
def _(agent: Agent) -> None:
    agent.plan()
    agent.say(done(0))


@case("it asks for a chunk of another client", "the answer was no")
def _(agent: Agent) -> None:
    plan = agent.plan()
    agent.leaves()
    # Its own is confirmed, the other's is not: both are in the repository.
    agent.say(frame(QUERY, plan.identify(CONTENT) + plan.identify(SECRET)))
    answer = agent.line.receive()
    agent.say(
        frame(
            FAULT, b"the answer was no" if answer == (speaker.ANSWER, b"\1") else b"the answer was %d" % answer.body[0]
        )
    )


@case("it repeats a query", "it has asked enough")
def _(agent: Agent) -> None:
    plan = agent.plan()
    agent.leaves()
    for _ in range(300):
        agent.say(frame(QUERY, plan.identify(CONTENT) * 4096))
        agent.line.receive()
    agent.say(frame(FAULT, b"it has asked enough"))


@case("escapes in paths, statuses and problems", "", code=1, commits=True)
def _(agent: Agent) -> None:
    agent.plan()
    name = ESCAPES.replace(b"\0", b"")
    entries = [ROOT, [b"data/" + name, item(f4=name, f5=name)]]
    problems = [[b"data/" + name, 1, ESCAPES * 3], [ESCAPES, 2, b"a\nb"]]
    agent.say(unit(entries, files=1, statuses=[[65, b"data/" + name, 0]], problems=problems), done(1))


@case("links that cannot be", "", code=0, commits=True)
def _(agent: Agent) -> None:
    agent.plan()
    links = [[7, 0], [7, 2], [7, 2], [7, 2], [HUGE, 0xFFFFFFFF]]
    agent.say(unit([ROOT], links=links, statuses=[[65, b"x", 1]] * 9), unit(links=links), done(2))


@case("progress that goes back and over", "", code=0, commits=True)
def _(agent: Agent) -> None:
    agent.plan()
    for count in (5, 3, HUGE, 0, HUGE):
        agent.say(frame(PROGRESS, pack([count, count, ESCAPES])))
    agent.say(unit([ROOT]), done(1))


@case("a line on stderr full of escapes", "counts its units wrong")
def _(agent: Agent) -> None:
    agent.plan()
    os.write(2, ESCAPES * 3 + b"\n")
    time.sleep(0.5)
    agent.say(done(7))


@case("it says more after the end", "", code=0, commits=True)
def _(agent: Agent) -> None:
    agent.plan()
    agent.say(unit([ROOT]), done(1), unit([[b"etc/passwd", item()]]), frame(99) * 1000)


@case("more than a million sets of links", "counts its units wrong")
def _(agent: Agent) -> None:
    agent.plan()
    for number in range(24):
        links = b"".join(struct.pack(">BBIB", 0x92, 0xCE, (1 << 30) + number * 50_000 + n, 2) for n in range(50_000))
        agent.say(frame(UNIT, closed(b"\x95\0\x90\xdc" + struct.pack(">H", 50_000) + links + b"\x90\x90")))
    agent.say(done(1))


@case("a chunk that is named a hundred million times before it comes", "did not send")
def _(agent: Agent) -> None:
    plan = agent.plan()
    again = frame(speaker.LIST, bomb_of(slices((plan.identify(b"x"), 0, 1)) * 16_384))
    for _ in range(6_000):
        agent.say(again)
    agent.say(unit([ROOT]), done(1))


@case("units of the longest item", "counts its units wrong")
def _(agent: Agent) -> None:
    agent.plan()
    long = [[b"user.%05d" % n, bytes(65_000)] for n in range(240)]
    attributes = [part for pair in long for part in pair]
    said = closed(pack([0, [[b"data/00", item(f16=attributes)]], [], [], []]))
    plain = speaker.opened(said)
    for number in range(12):
        agent.say(frame(UNIT, closed(plain.replace(b"data/00", b"data/%02d" % number))))
    agent.say(done(1))


# ---- cases that the server or the user ends ------------------------------------------------------------------------

ENDLESS: dict[str, Callable[[Agent], None]] = {}


def endless(name: str) -> Callable[[Callable[[Agent], None]], None]:
    def add(act: Callable[[Agent], None]) -> None:
        ENDLESS[name] = act

    return add


@endless("noise")
def _(agent: Agent) -> None:
    while True:
        agent.say(b"x")
        time.sleep(0.05)


@endless("progress")
def _(agent: Agent) -> None:
    agent.plan()
    for count in range(1 << 40):
        agent.say(frame(PROGRESS, pack([count, count, b"x" * 1000])))


@endless("items")
def _(agent: Agent) -> None:
    agent.plan()
    for number in range(1 << 30):
        entries = [[b"data/%010d" % (number * 1000 + n), item(f4=b"user %d" % n)] for n in range(1000)]
        agent.say(unit(entries, files=1000))


@endless("chunks")
def _(agent: Agent) -> None:
    plan = agent.plan()
    for number in range(1 << 30):
        data = [b"%d %d" % (number, n) for n in range(1000)]
        agent.say(object_of([(plan.identify(each), len(each)) for each in data], b"".join(data)))


@endless("problems")
def _(agent: Agent) -> None:
    agent.plan()
    for number in range(1 << 30):
        agent.say(unit(problems=[[b"data/%d" % number, 1, b"x" * 1000]] * 100))


@endless("words on stderr")
def _(agent: Agent) -> None:
    agent.plan()
    while True:
        os.write(2, b"x" * 100_000)


def silent(agent: Agent) -> None:
    """Says who it is, takes the plan, and nothing more."""
    agent.plan()
    time.sleep(1000)


def deaf(agent: Agent) -> None:
    """Never reads, but says that it lives."""
    agent.say(MAGIC, frame(speaker.HELLO, hello()))
    while True:
        agent.say(frame(PROGRESS, pack([0, 0, b""])), frame(speaker.CREDIT, varint(1 << 20)))
        time.sleep(0.05)


def main(name: str) -> None:
    acts = {name: each.act for name, each in CASES.items()} | ENDLESS | {"silent": silent, "deaf": deaf}
    try:
        acts[name](Agent())
    except (BrokenPipeError, EOFError):
        pass  # the server has heard enough


if __name__ == "__main__":
    main(sys.argv[1])
