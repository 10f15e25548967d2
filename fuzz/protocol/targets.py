"""What must hold for every input: one function each, True for what is accepted, False for what is refused.

An input is refused with the typed error of its decoder and with nothing else; what is accepted is exactly what would
be sent. Whatever else happens is a broken promise, and comes out as it was raised.
"""

from collections.abc import Callable, Mapping

from bork.errors import BorkError, InternalError
from bork.protocol import hello
from bork.protocol.codec import Malformed, decode, encode
from bork.protocol.faults import decode_error, encode_error
from bork.protocol.messages import Inbox, Message, encode_start
from bork.protocol.verbs import VERBS, UnknownVerb, check_answer, parse_request, request_body
from fuzz.protocol.client import client
from fuzz.protocol.server import server

Target = Callable[[bytes], bool]


def codec(data: bytes) -> bool:
    """Bytes are one value or none."""
    try:
        value = decode(data)
    except Malformed:
        return False
    assert encode(value) == data
    return True


def stream(data: bytes) -> bool:
    """Messages out of a stream, wherever it is cut: those of it as a whole, and they are encoded as they came."""
    whole, pieces = _received(data, len(data) or 1), _received(data, 1 + len(data) % 7)
    assert whole == pieces
    messages, is_refused = whole
    again = b"".join(encode_start(message.body, message.data) + bytes(message.data) for message in messages)
    assert data.startswith(again)
    return bool(messages) and not is_refused


def _received(data: bytes, piece: int) -> tuple[list[Message], bool]:
    inbox, at = Inbox(), 0
    found: list[Message] = []
    while at < len(data):
        room = inbox.room()
        count = min(len(room), piece, len(data) - at)
        assert count
        room[:count] = data[at : at + count]
        at += count
        try:
            message = inbox.filled(count)
        except Malformed:
            return found, True
        if message is not None:
            found.append(Message(message.body, bytes(message.data)))
    return found, False


def greeting(data: bytes) -> bool:
    """A hello: what we do not know is ignored, what we know is as we would say it."""
    try:
        value = decode(data)
        if not isinstance(value, dict):
            return False
        theirs = hello.decode(value)
    except Malformed:
        return False
    assert theirs.encode().items() <= value.items()
    version = hello.common_version(hello.Hello("server", "x"), theirs)
    assert version in (None, 1)
    return True


def request(data: bytes) -> bool:
    """A request, and how much data it has: ``[data length: 4]``, and the body."""
    try:
        value = decode(data[4:])
        if not isinstance(value, dict):
            return False
        found = parse_request(Message(value, _Long(int.from_bytes(data[:4], "big")).view()))
    except (Malformed, UnknownVerb):
        return False
    assert request_body(*found) == value
    assert VERBS[found.verb].takes.keys() == found.arguments.keys()
    return True


class _Long:
    """Data of a length that is never there."""

    def __init__(self, length: int) -> None:
        self._length = length % (1 << 20)

    def view(self) -> memoryview:
        return memoryview(_ZEROS)[: self._length]


_ZEROS = bytes(1 << 20)


def answer(data: bytes) -> bool:
    """An answer to each verb: ``[which verb: 1][data length: 4]``, and the body. An error is one that can be shown."""
    try:
        value = decode(data[5:])
        if not isinstance(value, dict):
            return False
        value.pop("answer", None)
        if "error" in value:
            _error_can_be_shown(decode_error(value))
        else:
            check_answer([*VERBS][data[0] % len(VERBS)], value, int.from_bytes(data[1:5], "big"))
    except Malformed:
        return False
    return True


def _error_can_be_shown(error: BorkError) -> None:
    assert not isinstance(error, InternalError)
    assert error.msgid
    shown = str(error) + error.advice
    assert len(shown) < 50_000
    again = decode_error(encode_error(error))
    assert type(again) is type(error)


TARGETS: Mapping[str, Target] = {
    "codec": codec,
    "stream": stream,
    "hello": greeting,
    "request": request,
    "answer": answer,
    "server": server,
    "client": client,
}
