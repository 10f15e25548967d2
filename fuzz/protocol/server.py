"""A whole `bork serve` over a repository in memory, and a client that may say anything after its hello."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from bork.core import digest
from bork.errors import BorkError, ConnectionBrokenWithHint, RPCServerOutdated, UnexpectedRPCDataFormatFromClient
from bork.protocol.codec import Malformed, Value, decode
from bork.protocol.faults import decode_error
from bork.protocol.hello import MAGIC, Hello
from bork.protocol.messages import Inbox, Message
from bork.protocol.verbs import UnknownVerb, check_answer, parse_request
from bork.server.guarded import GuardedStore
from bork.server.policy import Policy
from bork.server.serve import serve
from bork.storage.memory import MemoryStore, Objects
from bork.storage.names import ObjectName
from fuzz.protocol.frames import split
from fuzz.protocol.sealing import sealed

PACK = digest(b"pack").hex()
KEPT = {
    ObjectName(f"packs/{PACK[:2]}/{PACK}"): b"pack",
    ObjectName(f"indexes/{digest(b'index').hex()}"): b"index",
    ObjectName("archives/" + "ab" * 32): b"head",
    ObjectName("gc/" + "0" * 15 + "1"): b"generation",
}
GREETING = MAGIC + sealed(b"", Hello("client", "fuzz").encode())


class _Opener:
    """Gives out one repository in memory, whatever the path."""

    def __init__(self, objects: Objects, policy: Policy) -> None:
        self._objects, self._policy = objects, policy

    def open(self, asked: bytes) -> GuardedStore:
        assert 0 < len(asked) <= 4096
        return GuardedStore(MemoryStore(self._objects), self._policy)

    def create(self, asked: bytes, *, make_parent_dirs: bool) -> GuardedStore:
        assert isinstance(make_parent_dirs, bool)
        return self.open(asked)


@contextmanager
def _file(content: bytes) -> Iterator[int]:
    """A descriptor that is always ready, and at its end when ``content`` is."""
    fd = os.memfd_create("fuzz")
    try:
        os.write(fd, content)
        os.lseek(fd, 0, os.SEEK_SET)
        yield fd
    finally:
        os.close(fd)


def server(data: bytes) -> bool:
    """``[1: append-only or not]``, and frames. The server ends in one of its ways, and has answered as its page says.

    In an append-only session all that was there before is there as it was.
    """
    frames = list(split(data[1:]))
    append_only = data[:1] < b"\x80"
    objects = Objects(KEPT)
    opener = _Opener(objects, Policy(append_only=append_only))
    ending: BorkError | None = None
    with _file(GREETING + b"".join(sealed(body, None, more) for body, more in frames)) as come, _file(b"") as gone:
        with mock.patch("bork.server.serve.Opener", return_value=opener):
            try:
                serve(come, gone, Policy(), program="fuzz")
            except (UnexpectedRPCDataFormatFromClient, RPCServerOutdated, ConnectionBrokenWithHint) as error:
                ending = error
        os.lseek(gone, 0, os.SEEK_SET)
        said = os.read(gone, os.fstat(gone).st_size)
    assert "\n" not in str(ending)
    if append_only:
        assert objects.items() >= KEPT.items()
    _check_answers(said, frames)
    return ending is None and bool(frames)


def _check_answers(said: bytes, frames: list[tuple[bytes, bytes]]) -> None:
    """Every answer is one that a client takes."""
    verbs = dict(_requests(frames))
    assert said.startswith(MAGIC)
    messages = _messages(said[len(MAGIC) :])
    assert messages[0].body["role"] == "server"
    for message in messages[1:]:
        members: dict[str, Value] = dict(message.body)
        number = members.pop("answer")
        assert isinstance(number, int)
        if "error" in members:
            assert isinstance(decode_error(members), BorkError)
        else:
            check_answer(verbs[number], members, message.data_length())


def _requests(frames: list[tuple[bytes, bytes]]) -> Iterator[tuple[int, str]]:
    last = 0
    for body, more in frames:
        try:
            value = decode(body)
            if not isinstance(value, dict):
                return
            found = parse_request(Message(value, more))
        except UnknownVerb:
            continue
        except Malformed:
            return
        if found.id <= last:
            return
        last = found.id
        yield found.id, found.verb


def _messages(data: bytes) -> list[Message]:
    inbox, found, at = Inbox(), [], 0
    while at < len(data):
        room = inbox.room()
        count = min(len(room), len(data) - at)
        room[:count] = data[at : at + count]
        at += count
        if (message := inbox.filled(count)) is not None:
            found.append(message)
    assert inbox.is_empty
    return found
