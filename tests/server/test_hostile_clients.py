"""Clients that speak badly on purpose. Whatever they say, the repository keeps what it has, and the server ends with
one clear line, or goes on serving.
"""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bork.errors import ConnectionBrokenWithHint, RPCServerOutdated, UnexpectedRPCDataFormatFromClient
from bork.protocol.codec import encode
from bork.protocol.hello import MAGIC
from bork.protocol.messages import BODY_MAX, DATA_MAX
from bork.protocol.verbs import NAMES_MAX, RANGES_BYTES_MAX, RANGES_MAX, VERBS
from bork.repository.session import SessionRecord
from bork.server.policy import Policy
from tests.server.conftest import ARCHIVE, DEAD, make
from tests.server.served import HELLO, Served, is_one_line, message, name_of, opened, raw, request, tree

APPEND_ONLY = Policy(append_only=True)
PACK = name_of("packs", b"old")
HUGE = (1 << 63) - 1


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("hostile") / "repo")


# ---- before there is a connection --------------------------------------------------------------------------------

BEFORE: dict[str, bytes] = {
    "a web browser": b"GET / HTTP/1.1\r\nHost: server\r\n\r\n",
    "another ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "a client of Borg": encode({"i": 1, "m": "negotiate"}),
    "zeros": bytes(1000),
    "0xff": b"\xff" * 1000,
    "the magic in lower case": MAGIC.lower() + message(HELLO),
    "the magic without its carriage return": MAGIC.replace(b"\r\n", b"\n") + message(HELLO),
    "the magic twice": MAGIC + MAGIC,
    "a hello without the magic": message(HELLO),
    "a request in place of a hello": MAGIC + request(1, "open", path=b"/"),
    "a hello of a server": MAGIC + message({**HELLO, "role": "server"}),
    "a hello with data": MAGIC + message(HELLO, b"x"),
    "a hello too long": MAGIC + message({**HELLO, "more": "x" * 5000}),
    "a hello without versions": MAGIC + message({"features": [], "program": "x", "role": "client"}),
    "a hello with wrong versions": MAGIC + message({**HELLO, "versions": [3, 2]}),
    "a hello with a negative version": MAGIC + message({**HELLO, "versions": [-1, 1]}),
    "a hello that is an array": MAGIC + raw(encode([1, 2])),
    "a hello with a huge body": MAGIC + raw(b"", body=0xFFFFFFFF),
    "a hello with a wrong checksum": MAGIC + raw(encode(HELLO), checksum=1),
    "half of the magic": MAGIC[:4],
    "half of a hello": MAGIC + message(HELLO)[:20],
}


@pytest.mark.parametrize("what", BEFORE)
def test_what_is_no_hello_is_answered_with_one_line(repository: Path, what: str) -> None:
    before = tree(repository)
    with Served(Policy()) as served:
        served.send(BEFORE[what])
        ended = served.finish()
        assert isinstance(ended, UnexpectedRPCDataFormatFromClient), ended
        assert is_one_line(ended)
        *_, last = served.rest()
        assert (last.body["answer"], last.body["error"]) == (0, "UnexpectedRPCDataFormatFromClient")
    assert tree(repository) == before


@pytest.mark.parametrize("versions", [(2, 9), (1000, 1001)])
def test_a_client_of_another_version_is_told_so(versions: tuple[int, int]) -> None:
    with Served(Policy()) as served:
        served.send(MAGIC + message({**HELLO, "program": "bork 99", "versions": [*versions]}))
        hello, refusal = served.rest()
        assert hello.body["versions"] == [1, 1]
        assert refusal.body["error"] == "RPCServerOutdated"
        assert "bork 99" in str(refusal.body["message"])
        assert isinstance(served.finish(), RPCServerOutdated)


def test_a_client_that_says_nothing_and_goes_is_no_error() -> None:
    with Served(Policy()) as served:
        assert served.finish() is None


# ---- requests that break the protocol ----------------------------------------------------------------------------

BROKEN: dict[str, bytes] = {
    "no id": message({"verb": "ping"}),
    "id 0": request(0, "ping"),
    "a negative id": request(-1, "ping"),
    "an id of 64 bits": message({"request": (1 << 64) - 1, "verb": "ping"}),
    "an id that is true": message({"request": True, "verb": "ping"}),
    "an id that is text": message({"request": "1", "verb": "ping"}),
    "an id twice": request(5, "ping") + request(5, "ping"),
    "an id that goes back": request(9, "ping") + request(8, "ping"),
    "no verb": message({"request": 9}),
    "a verb that is bytes": message({"request": 9, "verb": b"ping"}),
    "a verb of 1000 letters": request(9, "x" * 1000),
    "an argument too many": request(9, "ping", more=1),
    "an argument too few": request(9, "get"),
    "an argument of another type": request(9, "get", name=7),
    "an answer": message({"answer": 1}),
    "an error": message({"answer": 1, "error": "NoSpace", "message": "", "values": []}),
    "a second hello": message(HELLO),
    "the magic": MAGIC,
    "another open": request(9, "open", path=b"/"),
    "another create": request(9, "create", path=b"/", make_parent_dirs=False),
    "data where there is none": request(9, "ping", b"x"),
    "data for a get": request(9, "get", b"x", name=ARCHIVE),
    "a session of 5000 bytes": request(9, "hold", bytes(5000), name="sessions/" + "0" * 64),
    "an empty name": request(9, "get", name=""),
    "a long name": request(9, "get", name="x" * 81),
    "a path as a name": request(9, "get", name="/etc/passwd"),
    "a path out of the store": request(9, "get", name="packs/../config"),
    "a name with a zero": request(9, "get", name=ARCHIVE[:-1] + "\0"),
    "a name in capitals": request(9, "get", name=ARCHIVE.upper()),
    "the temporary files": request(9, "get", name="tmp/reserve"),
    "a name of a directory": request(9, "get", name="packs"),
    "a pack in the wrong directory": request(9, "get", name="packs/00/" + PACK[9:]),
    "a put to a path": request(9, "put_if_absent", b"x", name="../../x"),
    "a put to tmp": request(9, "put_if_absent", b"x", name="tmp/publish.lock"),
    "a delete of tmp": request(9, "delete", name="tmp"),
    "a settle of a path": request(9, "settle", names=["/"]),
    "an arrival of a path": request(9, "arrivals", names=["/etc/passwd"]),
    "a list of tmp": request(9, "list", collection="tmp"),
    "a list of a path": request(9, "list", collection="packs/../.."),
    "a list of nothing": request(9, "list", collection=""),
    "names too many": request(9, "settle", names=[ARCHIVE] * (NAMES_MAX + 1)),
    "ranges too many": request(9, "get_ranges", ranges=[[ARCHIVE, 0, 1]] * (RANGES_MAX + 1)),
    "ranges too long": request(9, "get_ranges", ranges=[[ARCHIVE, 0, RANGES_BYTES_MAX], [ARCHIVE, 0, 1]]),
    "a range of 2**63 bytes": request(9, "get_ranges", ranges=[[ARCHIVE, 0, HUGE]]),
    "a range at a negative offset": request(9, "get_ranges", ranges=[[ARCHIVE, -1, 1]]),
    "a range of a negative length": request(9, "get_ranges", ranges=[[ARCHIVE, 0, -1]]),
    "a range without a length": request(9, "get_ranges", ranges=[[ARCHIVE, 0]]),
    "a range without a name": request(9, "get_ranges", ranges=[[1, 2, 3]]),
    "a range of a path": request(9, "get_ranges", ranges=[["../config", 0, 1]]),
    "ranges that are none": request(9, "get_ranges", ranges=7),
    "a body of nothing": raw(b""),
    "a body that is no map": raw(b"\x90"),
    "a body that is cut": raw(b"\x81\xa1a"),
    "a body with keys that do not ascend": raw(b"\x82\xa1b\x01\xa1a\x01"),
    "a body with a key twice": raw(b"\x82\xa1a\x01\xa1a\x01"),
    "a body nested a thousand times": raw(b"\x91" * 1000),
    "a body with a count of 2**32": raw(b"\xdf\xff\xff\xff\xff"),
    "a body with a float": raw(b"\x81\xa1a\xca\x00\x00\x00\x00"),
    "a body with an extension": raw(b"\x81\xa1a\xd4\x00\x00"),
    "a body too long": raw(b"", body=BODY_MAX + 1),
    "a body of 4 GiB": raw(b"", body=0xFFFFFFFF),
    "data too long": raw(b"\x80", data=DATA_MAX + 1),
    "data of 4 GiB": raw(b"\x80", data=0xFFFFFFFF),
    "a wrong checksum": raw(encode({"request": 9, "verb": "ping"}), checksum=0),
    "a wrong checksum of the header": raw(encode({"request": 9, "verb": "ping"}), own=0),
    "half a header": b"\0\0\0",
    "half a body": request(9, "ping")[:-3],
    "half an object": request(9, "put_if_absent", bytes(5000), name="archives/" + "1" * 64)[:-1],
    "half an object of many pages": request(9, "put_if_absent", bytes(2 << 20), name="archives/" + "1" * 64)[:-1],
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_request_ends_the_connection_and_changes_nothing(repository: Path, what: str) -> None:
    before = tree(repository)
    with opened(repository) as served:
        served.send(BROKEN[what])
        ended = served.finish()
        assert isinstance(ended, UnexpectedRPCDataFormatFromClient), ended
        assert is_one_line(ended)
        *_, last = served.rest()
        assert (last.body["answer"], last.body["error"]) == (0, "UnexpectedRPCDataFormatFromClient")
    assert tree(repository) == before


@pytest.mark.parametrize("verb", sorted(set(VERBS) - {"open", "create"}))
def test_nothing_can_be_asked_before_a_repository_is_open(verb: str) -> None:
    arguments: dict[str, Any] = {"name": ARCHIVE, "names": [ARCHIVE], "ranges": [], "collection": "packs"}
    arguments |= {"what": "packs", "contents": True, "holders": False, "session": DEAD, "content": bytes(32)}
    with Served(Policy()).greet() as served:
        served.send(request(1, verb, **{key: arguments[key] for key in VERBS[verb].takes}))
        assert isinstance(served.finish(), UnexpectedRPCDataFormatFromClient)


# ---- requests that are well formed, and refused ------------------------------------------------------------------

SESSION = "sessions/" + "ee" * 32
REFUSED: dict[str, tuple[str, bytes, dict[str, Any], str]] = {
    "a verb of the future": ("burn", b"", {}, "InvalidRPCMethod"),
    "a verb in capitals": ("GET", b"", {"name": ARCHIVE}, "InvalidRPCMethod"),
    "a range behind the end": ("get_ranges", b"", {"ranges": [[ARCHIVE, 1 << 40, 1]]}, "IntegrityError"),
    "a range that crosses the end": ("get_ranges", b"", {"ranges": [[ARCHIVE, 0, 5]]}, "IntegrityError"),
    "a range of what is missing": ("get_ranges", b"", {"ranges": [["keys/" + "0" * 64, 0, 1]]}, "ObjectMissing"),
    "what is missing": ("get", b"", {"name": "keys/" + "0" * 64}, "ObjectMissing"),
    "a pack with other bytes": ("put_if_absent", b"evil", {"name": name_of("packs", b"good")}, "IntegrityError"),
    "an empty pack": ("put_if_absent", b"", {"name": name_of("packs", b"good")}, "IntegrityError"),
    "a large pack with other bytes": (
        *("put_if_absent", bytes(2 << 20), {"name": name_of("packs", b"good")}),
        "IntegrityError",
    ),
    "a pack that is there": ("put_if_absent", b"old", {"name": PACK}, "ObjectExists"),
    "an archive that is there": ("put_if_absent", b"x", {"name": ARCHIVE}, "ObjectExists"),
    "a hold of an archive": ("hold", b"x", {"name": ARCHIVE}, "StorageFault"),
    "a release of what is not held": ("hold_release", b"", {"name": SESSION}, "ObjectMissing"),
    "an exclusive session": ("hold", SessionRecord("exclusive", 0).encode(), {"name": SESSION}, "ChangeRefused"),
    "an archive of 2 MiB": ("put_if_absent", bytes(2 << 20), {"name": "archives/" + "1" * 64}, "StorageFault"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_refused_request_leaves_the_connection_as_good_as_before(repository: Path, what: str) -> None:
    verb, data, arguments, error = REFUSED[what]
    before = tree(repository)
    with opened(repository, APPEND_ONLY) as served:
        assert served.refused(verb, data, **arguments) == error
        assert served.ask("get", name=ARCHIVE).data == b"head"
    assert tree(repository) == before


# ---- time --------------------------------------------------------------------------------------------------------


def drip(data: bytes) -> Iterator[bytes]:
    return (data[at : at + 1] for at in range(len(data)))


@pytest.mark.parametrize("start", [b"", MAGIC[:3], MAGIC, MAGIC + message(HELLO)[:10]])
def test_a_hello_that_does_not_come_is_not_waited_for(start: bytes) -> None:
    with Served(Policy(), hello_s=0.3, stall_s=0.3) as served:
        served.send(start)
        served.thread.join(10)
        assert isinstance(served.ended, ConnectionBrokenWithHint)
        assert is_one_line(served.ended)


def test_one_byte_at_a_time_does_not_hold_a_server() -> None:
    """Each byte comes in time; the message as a whole does not."""
    with Served(Policy(), hello_s=20, stall_s=0.5) as served:
        served.send(MAGIC)
        started = time.monotonic()
        for byte in drip(raw(bytes(4000))):
            served.send(byte)
            time.sleep(0.02)
            if not served.thread.is_alive():
                break
        assert time.monotonic() - started < 10
        assert isinstance(served.finish(), ConnectionBrokenWithHint)


def test_half_a_request_is_not_waited_for(repository: Path) -> None:
    before = tree(repository)
    with opened(repository, stall_s=0.3) as served:
        served.send(request(9, "put_if_absent", bytes(1 << 21), name="archives/" + "1" * 64)[: 1 << 20])
        served.thread.join(10)
        assert isinstance(served.ended, ConnectionBrokenWithHint)
    assert tree(repository) == before


def test_a_client_that_takes_no_answers_is_not_waited_for(repository: Path) -> None:
    with opened(repository, stall_s=0.5) as served:
        served.socket.settimeout(5)
        try:
            for number in range(2, 200_000):
                served.socket.sendall(request(number, "get", name=ARCHIVE))
        except (TimeoutError, OSError):
            pass
        served.thread.join(20)
        assert isinstance(served.ended, ConnectionBrokenWithHint)


def test_a_silent_client_is_given_up_in_the_end(repository: Path) -> None:
    with opened(repository, idle_s=0.3) as served:
        served.thread.join(10)
        assert isinstance(served.ended, ConnectionBrokenWithHint)


# ---- the process -------------------------------------------------------------------------------------------------


def process(*options: str, limit_bytes: int | None = None) -> subprocess.Popen[bytes]:
    def prepare() -> None:
        if limit_bytes:
            resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, limit_bytes))

    return subprocess.Popen(
        [sys.executable, "-m", "bork", "serve", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=prepare,  # noqa: PLW1509 (it only makes a system call)
    )


@pytest.mark.parametrize("what", ["data of 4 GiB", "half an object of many pages", "a body with a count of 2**32"])
def test_the_process_of_a_hostile_client_stays_small_and_ends_with_one_line(repository: Path, what: str) -> None:
    hello = MAGIC + message(HELLO) + request(1, "open", path=os.fsencode(repository))
    child = process(limit_bytes=300 << 20)
    _, said = child.communicate(hello + BROKEN[what], timeout=60)
    assert child.returncode == 2
    assert said.count(b"\n") == 1, said
    assert b"unexpected RPC data format from client" in said


def test_the_largest_message_fits_into_300_mib(tmp_path: Path) -> None:
    repository = make(tmp_path / "repo")
    content = bytes(DATA_MAX)
    parts = [MAGIC, message(HELLO), request(1, "open", path=os.fsencode(repository))]
    parts += [request(2, "put_if_absent", content, name=name_of("packs", content))]
    child = process(limit_bytes=300 << 20)
    _, said = child.communicate(b"".join(parts), timeout=100)
    assert (child.returncode, said) == (0, b"")
    assert (repository / name_of("packs", content)).stat().st_size == DATA_MAX


def test_a_client_that_hangs_up_leaves_no_words(repository: Path) -> None:
    child = process()
    out, said = child.communicate(MAGIC + message(HELLO), timeout=60)
    assert (child.returncode, said) == (0, b"")
    assert out.startswith(MAGIC)


def test_a_terminal_is_told_what_this_command_is_for() -> None:
    ours, theirs = os.openpty()
    done = subprocess.run([sys.executable, "-m", "bork", "serve"], stdin=theirs, capture_output=True, check=False)
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 2
    assert b"not with people" in done.stderr
