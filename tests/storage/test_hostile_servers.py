"""Servers that speak badly on purpose. Whatever they say, the client ends with one clear line, and soon."""

import os
import struct
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bork.errors import (
    BorkError,
    ConnectionBrokenWithHint,
    ConnectionClosedWithHint,
    NoSpace,
    PathNotAllowed,
    RemoteFault,
    RPCServerOutdated,
    UnexpectedRPCDataFormatFromServer,
)
from bork.protocol.codec import encode
from bork.protocol.hello import MAGIC, Hello
from bork.protocol.messages import DATA_MAX
from bork.storage.base import Range
from bork.storage.remote.connection import Settings
from bork.storage.remote.store import RemoteStore
from tests.server.served import message, raw
from tests.storage.naming import archive, pack

HELLO = Hello("server", "bork of a test").encode()
START = MAGIC + message(HELLO)
OPEN = message({"answer": 1, "append_only": False})
Use = Callable[[RemoteStore], object]

# Sends the first part at once, and each other one when it has read a message more: the hello, then requests.
SERVER = """
import os, struct, sys, zlib
first, *answers = (zlib.decompress(bytes.fromhex(part)) for part in sys.argv[1].split(","))
def say(data):
    while data:
        data = data[os.write(1, data):]
say(first)
def read(length):
    data = b""
    while len(data) < length:
        data += os.read(0, min(length - len(data), 65536)) or sys.exit(9)
    return data
def message():
    body, data, *_ = struct.unpack(">IIII", read(16))
    read(body + data)
if answers:
    read(8)
    message()
for answer in answers:
    message()
    say(answer)
os.write(2, bytes.fromhex(sys.argv[3]))
os.execvp("sh", ["sh", "-c", sys.argv[2]])
"""


def server(*said: bytes, then: str = "cat >/dev/null", words: str = "") -> Settings:
    """Says what it is told to, whatever it is asked, and then does ``then``."""
    parts = ",".join(zlib.compress(part).hex() for part in said)
    command = [sys.executable, "-I", "-S", "-c", SERVER, parts, then, words.encode().hex()]
    return Settings(command, "test", lambda _: None, answer_s=20)


def fails(settings: Settings, use: Use = lambda store: store.get(archive("monday"))) -> BorkError:
    """The error that something with the store ends with."""
    started = time.monotonic()
    with pytest.raises(BorkError) as caught:  # noqa: PT012 (the connection is closed whatever happens)
        store = RemoteStore.open("ssh://server/repo", "/repo", settings)
        try:
            use(store)
        finally:
            store.close()
    assert time.monotonic() - started < 20
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700
    return caught.value


# ---- no hello ----------------------------------------------------------------------------------------------------

BEFORE: dict[str, tuple[bytes, type[BorkError]]] = {
    "a start-up file that prints": (b"Welcome to server!\n" + START, UnexpectedRPCDataFormatFromServer),
    "one blank": (b" " + START, UnexpectedRPCDataFormatFromServer),
    "a server of Borg": (encode({"i": 1, "r": {}}), UnexpectedRPCDataFormatFromServer),
    "text mode": (START.replace(b"\r\n", b"\n"), UnexpectedRPCDataFormatFromServer),
    "zeros": (bytes(100_000), UnexpectedRPCDataFormatFromServer),
    "an echo": (MAGIC + message(Hello("client", "x").encode()), UnexpectedRPCDataFormatFromServer),
    "an answer in place of a hello": (MAGIC + message({"answer": 1}), UnexpectedRPCDataFormatFromServer),
    "a hello too long": (MAGIC + message({**HELLO, "x": "x" * 9000}), UnexpectedRPCDataFormatFromServer),
    "a hello with data": (MAGIC + message(HELLO, b"x"), UnexpectedRPCDataFormatFromServer),
    "a hello of 4 GiB": (MAGIC + raw(b"", body=0xFFFFFFFF), UnexpectedRPCDataFormatFromServer),
    "a later version": (MAGIC + message({**HELLO, "versions": [7, 9]}), RPCServerOutdated),
    "a program with a long name": (
        MAGIC + message({**HELLO, "program": "x" * 1000}),
        UnexpectedRPCDataFormatFromServer,
    ),
}


@pytest.mark.parametrize("what", BEFORE)
def test_what_is_no_hello_is_told_as_it_is(what: str) -> None:
    said, error = BEFORE[what]
    assert type(fails(server(said))) is error


def test_what_a_start_up_file_prints_is_shown() -> None:
    assert "Welcome to server!" in str(fails(server(b"Welcome to server!\n")))


def test_a_later_server_names_itself() -> None:
    said = MAGIC + message({**HELLO, "program": "bork 99.1", "versions": [7, 9]})
    assert "bork 99.1, version 7 to 9" in str(fails(server(said)))


# ---- answers that are none ---------------------------------------------------------------------------------------

NAME = archive("monday")


def got(data: bytes = b"", **members: Any) -> bytes:  # noqa: ANN401  # any value of a message
    return message({"answer": 2, **members}, data)


def get_ranges(store: RemoteStore) -> object:
    return store.get_ranges([Range(NAME, 0, 3), Range(NAME, 5, 2)])


def listed(store: RemoteStore) -> object:
    return list(store.list("packs"))


def get(store: RemoteStore) -> object:
    return store.get(NAME)


ENTRY = struct.pack(">32sQ", bytes(32), 5)
ANSWERS: dict[str, tuple[bytes, Use]] = {
    "no id": (message({"nothing": 1}), get),
    "an id that is text": (message({"answer": "2"}), get),
    "an id that is true": (message({"answer": True}), get),
    "an id that was answered": (message({"answer": 1}), get),
    "an id of the future": (message({"answer": 3}), get),
    "a negative id": (message({"answer": -1}), get),
    "a request": (message({"request": 2, "verb": "get", "name": NAME}), get),
    "a member too many": (got(b"x", more=False), get),
    "a member too few": (got(), lambda store: store.is_held(NAME)),
    "a member of another type": (got(held=1), lambda store: store.is_held(NAME)),
    "data where there is none": (got(b"x", held=True), lambda store: store.is_held(NAME)),
    "free space of text": (got(free_bytes="many"), lambda store: store.free_space()),
    "negative free space": (got(free_bytes=-5), lambda store: store.free_space()),
    "more free space than there can be": (got(free_bytes=(1 << 64) - 1), lambda store: store.free_space()),
    "data for a put": (got(b"x"), lambda store: store.put_if_absent(NAME, b"head")),
    "ranges that are short": (got(b"1234"), get_ranges),
    "ranges that are long": (got(b"123456"), get_ranges),
    "ranges that are empty": (got(), get_ranges),
    "a list that is cut": (got(ENTRY[:-1], more=False), listed),
    "a list without an end": (got(ENTRY, more=True) + got(more=True), listed),
    "a list of too much": (got(ENTRY * 20_001, more=False), listed),
    "a list without members": (got(ENTRY), listed),
    "times of others": (got(times_ns=[1, 2]), lambda store: store.arrivals_ns([NAME])),
    "times that are none": (got(times_ns=["monday"]), lambda store: store.arrivals_ns([NAME])),
    "an error that is none": (got(error="NoSpace"), get),
    "an error with a message too long": (got(error="X", message="x" * 2001, values=[]), get),
    "an error with many values": (got(error="X", message="", values=[1] * 9), get),
    "an error with a value that is none": (got(error="X", message="", values=[[]]), get),
    "an error with a long value": (got(error="X", message="", values=["x" * 2001]), get),
    "an error and an answer": (got(error="NoSpace", message="", values=[], intact=True), get),
    "a wrong checksum": (raw(encode({"answer": 2}), checksum=1), get),
    "a wrong checksum of the header": (raw(encode({"answer": 2}), own=1), get),
    "a body that is no map": (raw(b"\x93\1\2\3"), get),
    "a body nested too deeply": (raw(b"\x91" * 100), get),
    "a body of 4 GiB": (raw(b"", body=0xFFFFFFFF), get),
    "data of 4 GiB": (raw(b"\x80", data=0xFFFFFFFF), get),
    "data just too long": (raw(b"\x80", data=DATA_MAX + 1), get),
    "a second hello": (message(HELLO), get),
    "noise": (b"Connection to server will be closed for maintenance!\r\n", get),
}


@pytest.mark.parametrize("what", ANSWERS)
def test_an_answer_that_is_none_ends_the_connection(what: str) -> None:
    said, use = ANSWERS[what]
    assert type(fails(server(START, OPEN, said), use)) is UnexpectedRPCDataFormatFromServer


def test_a_list_without_an_end_takes_no_memory_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bork.storage.remote.connection.LIST_MAX", 100 * len(ENTRY))
    pages = got(ENTRY * 10, more=True)
    assert type(fails(server(START, OPEN, pages * 11), listed)) is UnexpectedRPCDataFormatFromServer


@pytest.mark.parametrize(
    "opened", [{"append_only": 1}, {}, {"append_only": True, "more": 1}, {"append_only": None}, {"location": "/x"}]
)
def test_an_open_that_is_none_ends_the_connection(opened: dict[str, Any]) -> None:
    error = fails(server(START, message({"answer": 1, **opened})))
    assert type(error) is UnexpectedRPCDataFormatFromServer


# ---- errors ------------------------------------------------------------------------------------------------------


def test_errors_come_as_what_they_are_with_the_words_of_the_server() -> None:
    said = got(error="NoSpace", message="No space!", values=["/srv/repo", "put", NAME])
    error = fails(server(START, OPEN, said))
    assert (type(error), error.args) == (NoSpace, ("/srv/repo", "put", NAME))
    refused = message({"answer": 1, "error": "PathNotAllowed", "message": "", "values": ["/repo"]})
    assert type(fails(server(START, refused))) is PathNotAllowed


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("CancelledByUser", []),
        ("PassphraseWrong", []),
        ("ArchiveAlreadyExists", ["monday"]),
        ("KeyboardInterrupt", []),
        ("SystemExit", [0]),
        ("BorkError", ["x"]),
        ("OfTheFuture", ["x"]),
        ("NoSpace", []),
        ("NoSpace", ["a", "b", "c", "d"]),
    ],
)
def test_a_server_cannot_raise_whatever_it_likes(name: str, values: list[Any]) -> None:
    error = fails(server(START, OPEN, got(error=name, message="so it is", values=values)))
    assert type(error) is RemoteFault
    assert "so it is" in str(error)


def test_control_characters_of_a_server_reach_no_terminal() -> None:
    said = got(error="OfTheFuture", message="\x1b]0;owned\x07\nsecond line", values=[])
    text = str(fails(server(START, OPEN, said)))
    assert text.isprintable()


def test_last_words_end_everything_that_is_in_flight() -> None:
    words = message({"answer": 0, "error": "ConnectionBrokenWithHint", "message": "it is night", "values": ["x"]})
    assert "it is night" in str(fails(server(START, OPEN, words)))


# ---- the end -----------------------------------------------------------------------------------------------------


CUT = [
    (b"",),
    (START[:5],),
    (MAGIC,),
    (START[:-1],),
    (START,),
    (START, OPEN[:-1]),
    (START, OPEN),
    (START, OPEN, OPEN[:9]),
]


@pytest.mark.parametrize("said", CUT)
def test_a_connection_that_ends_names_its_cause(said: tuple[bytes, ...]) -> None:
    settings = server(*said, then="exit 255", words="ssh: no route to host\n")
    error = fails(settings)
    assert type(error) is ConnectionClosedWithHint
    assert "exit code 255" in str(error)
    assert "no route to host" in str(error)


def test_a_connection_that_a_signal_ends_names_it() -> None:
    assert "SIGKILL" in str(fails(server(START, OPEN, then="kill -9 $$")))


def test_a_program_that_is_not_there_is_named() -> None:
    error = fails(Settings(["/nonexistent/ssh", "host"], "test", lambda _: None))
    assert type(error) is ConnectionClosedWithHint
    assert "/nonexistent/ssh" in str(error)


@pytest.mark.parametrize("said", CUT)
def test_a_server_that_goes_silent_is_given_up(said: tuple[bytes, ...]) -> None:
    settings = server(*said)
    quick = Settings(settings.command, "test", lambda _: None, answer_s=1)
    assert type(fails(quick)) is ConnectionBrokenWithHint


def test_a_server_that_takes_nothing_is_given_up() -> None:
    settings = server(START, OPEN, then="exec sleep 60")._replace(stall_s=0.5)
    content = bytes(8 << 20)
    assert type(fails(settings, lambda store: store.put_if_absent(pack(content), content))) is ConnectionBrokenWithHint


def test_what_is_said_on_stderr_is_passed_on_line_by_line_and_bounded() -> None:
    lines: list[str] = []
    flood = "head -c 300000 /dev/zero | tr '\\0' x >&2; echo >&2; echo end >&2; exit 1"
    settings = server(START, OPEN, then=flood)
    fails(Settings(settings.command, "test", lines.append))
    assert lines[-1] == "end"
    assert max(map(len, lines)) <= 2000


def test_after_the_end_every_call_says_the_same_at_once() -> None:
    store = RemoteStore.open("ssh://server/repo", "/repo", server(START, OPEN, then="exit 3"))
    for _ in range(3):
        with pytest.raises(ConnectionClosedWithHint, match="exit code 3"):
            store.get(NAME)
    store.close()


def test_no_child_is_left() -> None:
    """One that ignores the end of its stdin, and SIGTERM, is killed."""
    settings = server(START, OPEN, then='trap "" TERM; while :; do sleep 0.1; done')
    store = RemoteStore.open("ssh://server/repo", "/repo", settings)
    started = time.monotonic()
    store.close()
    assert time.monotonic() - started < 15
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    assert [child for child in children if b"trap" in Path(f"/proc/{child}/cmdline").read_bytes()] == []
