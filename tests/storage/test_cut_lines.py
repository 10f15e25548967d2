"""What a server says is cut, flipped, or stops, at every byte of a small backup: no archive too early, and no hang.

A server's answers are recorded once, and played back to a client that does the same again. What the client is told must
be what was recorded, or an error of one line; it may take an archive for stored only if the server has said so.
"""

import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bork.errors import BorkError, StorageError
from bork.repository.session import SessionRecord
from bork.storage.base import Look, Range
from bork.storage.names import ObjectName
from bork.storage.remote import connection
from bork.storage.remote.connection import Settings
from bork.storage.remote.store import RemoteStore
from tests.server.conftest import make
from tests.server.served import name_of

PACK, INDEX = (ObjectName(name_of(*each)) for each in (("packs", b"the pack"), ("indexes", b"the index")))
HEAD, SESSION = ObjectName("archives/" + "cd" * 32), ObjectName("sessions/" + "ee" * 32)
WAIT_S = 0.02  # the time-outs of the client here
ENDED_S = 10.0  # those of a message, of an answer and of the end, and what a busy machine adds

# Between a client and a real server: keeps what the server says.
RECORDER = """
import os, subprocess, sys
child = subprocess.Popen(sys.argv[2:], stdout=subprocess.PIPE)
with open(sys.argv[1], "wb") as file:
    while data := os.read(child.stdout.fileno(), 65536):
        file.write(data)
        while data:
            data = data[os.write(1, data):]
sys.exit(child.wait())
"""


@dataclass
class Told:
    """What the client knows when it ends."""

    read: list[object] = field(default_factory=list)
    is_stored: bool = False
    error: BorkError | None = None


def back_up(path: Path, command: list[str], **limits: float) -> Told:
    told = Told()
    settings = Settings(command, "bork of a test", lambda _: None, **limits)  # type: ignore[arg-type]  # its times
    store = None
    try:
        store = RemoteStore.open("ssh://server/repo", os.fspath(path), settings)
        told.read.append([sorted(each) for each in store.look([Look("config", True), Look("keys", True), Look("gc")])])
        record = SessionRecord("writer", 1).encode()
        hold, shown = store.hold_and_look(SESSION, record, [Look("archives", True), Look("packs")])
        told.read.append([sorted(each) for each in shown])
        for name, content in ((PACK, b"the pack"), (INDEX, b"the index")):
            store.put_if_absent(name, content)
        told.read.append(store.get_ranges([Range(PACK, 4, 4)]))
        told.read.append(sorted(store.list("archives")))
        told.is_stored = store.put_while_held(hold, HEAD, b"the head")
    except StorageError as error:
        told.error = error
    finally:
        if store is not None:
            store.close()
    return told


@dataclass
class Recording:
    path: Path
    length: int
    truth: Told
    needed: int  # bytes of it, before which the server has not said that the archive is stored


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    directory = tmp_path_factory.mktemp("recorded")
    repository, path = make(directory / "r"), directory / "answers"
    serve = [sys.executable, "-m", "bork", "serve"]
    truth = back_up(repository, [sys.executable, "-c", RECORDER, str(path), *serve])
    assert truth.error is None
    assert truth.is_stored
    data = path.read_bytes()
    # The last but one message says that the archive is stored, and the last one that the session is released.
    starts = [
        at for at in range(len(data)) if data[at : at + 6] == b"\x82\xa6answ" or data[at : at + 6] == b"\x81\xa6answ"
    ]
    return Recording(path, len(data), truth, starts[-1] - 16)


class Player:
    """In place of the command that connects: says what was recorded, and then ends, or says nothing more."""

    def __init__(self, data: bytes, *, stalls: bool) -> None:
        self.stdout, self._says = os.pipe()
        self._takes, self.stdin = os.pipe()  # has room for all that the client says
        self._open = {self.stdout, self._takes, self.stdin, self._says}
        self.stderr: int | None = None
        assert os.write(self._says, data) == len(data)
        if not stalls:
            self._close(self._says)

    def _close(self, *fds: int) -> None:
        for fd in self._open.intersection(fds):
            os.close(fd)
        self._open.difference_update(fds)

    def listen(self) -> None:
        """It says nothing on stderr."""

    linger = listen

    def ended_because(self) -> str:
        return "the recording has ended"

    def close_input(self) -> None:
        self._close(self.stdin)

    def end(self) -> None:
        self._close(*self._open)


def played(
    recording: Recording, monkeypatch: pytest.MonkeyPatch, length: int, flipped: int = -1, *, stalls: bool = False
) -> Told:
    said = bytearray(recording.path.read_bytes()[:length])
    if flipped >= 0:
        said[flipped] ^= 1 << flipped % 8
    monkeypatch.setattr(connection, "Child", lambda *_: Player(bytes(said), stalls=stalls))
    started = time.monotonic()
    told = back_up(Path("/repo"), ["nothing"], answer_s=WAIT_S, stall_s=WAIT_S, end_s=WAIT_S)
    assert time.monotonic() - started < ENDED_S
    known = recording.truth.read
    assert all(ours == theirs for ours, theirs in zip(told.read, known, strict=False)), (length, flipped)
    if told.error is not None:
        assert "\n" not in str(told.error)
        assert len(str(told.error)) < 700
    return told


def test_a_line_that_ends_anywhere_is_an_error_until_the_archive_is_stored(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    for length in range(recording.length + 1):
        told = played(recording, monkeypatch, length)
        assert told.is_stored == (length >= recording.needed), length
        assert (told.error is None) == told.is_stored, length


def test_a_bit_that_flips_anywhere_is_noticed(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    for at in range(recording.needed):
        told = played(recording, monkeypatch, recording.length, at)
        assert told.error is not None, at
        assert not told.is_stored, at


def test_a_line_that_stalls_anywhere_is_given_up_in_time(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    for length in range(recording.length + 1):
        told = played(recording, monkeypatch, length, stalls=True)
        assert told.is_stored == (length >= recording.needed), length
        if told.is_stored:
            continue  # what is left is the end of the session, which is given up in time
        assert told.error is not None, length
        expected = ("did not answer for 0 seconds", "a message has begun and does not go on")
        assert any(each in str(told.error) for each in expected), (length, str(told.error))
