"""Messages: taken apart at any cut, and never taken for another message."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bork.protocol import hello
from bork.protocol.codec import Malformed
from bork.protocol.hello import MAGIC, Hello, common_version
from bork.protocol.messages import BODY_MAX, CHECKED_MAX, DATA_MAX, HEADER_LENGTH, Inbox, Message, encode_start
from tests.protocol.test_codec import revived

VECTORS: dict[str, Any] = json.loads((Path(__file__).resolve().parents[2] / "vectors" / "protocol.json").read_text())
MESSAGES = [bytes.fromhex(vector["message"]) for vector in VECTORS["messages"]]


def receive(stream: bytes, *, piece: int = 1 << 30, **limits: int) -> list[Message]:
    """The messages in a stream that arrives in pieces."""
    inbox, found, at = Inbox(**limits), [], 0
    while at < len(stream):
        room = inbox.room()
        count = min(len(room), piece, len(stream) - at)
        room[:count] = stream[at : at + count]
        at += count
        if (message := inbox.filled(count)) is not None:
            found.append(Message(message.body, bytes(message.data)))
    return found


@pytest.mark.parametrize("vector", VECTORS["messages"], ids=lambda vector: vector["name"])
def test_the_vectors_are_the_messages(vector: dict[str, Any]) -> None:
    body, data = revived(vector["body"]), bytes.fromhex(vector["data"])
    assert isinstance(body, dict)
    assert (encode_start(body, data) + data).hex() == vector["message"]
    assert receive(bytes.fromhex(vector["message"])) == [Message(body, data)]


@given(st.integers(1, 40))
def test_messages_come_out_as_they_went_in_wherever_the_stream_is_cut(piece: int) -> None:
    assert receive(b"".join(MESSAGES), piece=piece) == [receive(each)[0] for each in MESSAGES]


@pytest.mark.parametrize("message", MESSAGES)
def test_no_prefix_is_a_message(message: bytes) -> None:
    for length in range(len(message)):
        assert receive(message[:length]) == []


@pytest.mark.parametrize("message", MESSAGES)
def test_a_flipped_bit_is_never_another_message(message: bytes) -> None:
    for bit in range(8 * len(message)):
        flipped = bytearray(message)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Malformed):
            receive(bytes(flipped))


@pytest.mark.parametrize("length", [CHECKED_MAX - 1, CHECKED_MAX, CHECKED_MAX + 1, 3 * CHECKED_MAX + 17])
def test_long_data_comes_whole(length: int) -> None:
    data = bytes(range(256)) * (length // 256) + bytes(length % 256)
    start = encode_start({"request": 1, "verb": "ping"}, data)
    (message,) = receive(start + data, piece=99_991)
    assert message.data == data
    if length <= CHECKED_MAX:
        with pytest.raises(Malformed, match="checksum"):
            receive(start + data[:-1] + b"x")


@pytest.mark.parametrize(
    ("body_length", "data_length"),
    [(0, 0), (BODY_MAX + 1, 0), (1, DATA_MAX + 1), (0xFFFFFFFF, 0), (1, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF)],
)
def test_lengths_beyond_the_limits_are_refused_by_the_header_alone(body_length: int, data_length: int) -> None:
    start = b"".join(each.to_bytes(4, "big") for each in (body_length, data_length, 0))
    header = start + zlib_crc(start)
    with pytest.raises(Malformed, match="bytes"):
        receive(header)


def zlib_crc(data: bytes) -> bytes:
    """CRC-32 as the standard describes it, bit by bit: the code uses a library."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
    return (crc ^ 0xFFFFFFFF).to_bytes(4, "big")


def test_a_claim_of_much_data_takes_no_memory() -> None:
    """Pages are the kernel's promise until something is written to them."""
    start = b"".join(each.to_bytes(4, "big") for each in (1, DATA_MAX, 0))
    inboxes = [Inbox() for _ in range(100)]  # 12.5 GiB, if they were real
    for inbox in inboxes:
        inbox.room()[:HEADER_LENGTH] = start + zlib_crc(start)
        assert inbox.filled(HEADER_LENGTH) is None
        inbox.room()[:1] = b"\x80"
        assert inbox.filled(1) is None
        assert inbox.expected == DATA_MAX


def test_a_body_that_is_no_map_is_refused() -> None:
    body = b"\x93\x01\x02\x03"
    lengths = len(body).to_bytes(4, "big") + bytes(4) + zlib_crc(body)
    with pytest.raises(Malformed, match="map"):
        receive(lengths + zlib_crc(lengths) + body)


def test_a_message_that_breaks_a_limit_is_not_even_made() -> None:
    with pytest.raises(ValueError, match="too long"):
        encode_start({"x": bytes(BODY_MAX)}, b"")


# ---- hello -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs", "version"),
    [
        ((1, 1), (1, 1), 1),
        ((1, 1), (1, 3), 1),
        ((1, 3), (2, 5), 3),
        ((2, 5), (1, 3), 3),
        ((1, 1), (2, 3), None),
        ((2, 3), (1, 1), None),
    ],
)
def test_both_ends_find_the_same_version(ours: tuple[int, int], theirs: tuple[int, int], version: int | None) -> None:
    client, server = Hello("client", "a", *ours), Hello("server", "b", *theirs)
    assert common_version(client, server) == common_version(server, client) == version


def test_members_that_a_later_version_adds_to_its_hello_are_ignored() -> None:
    body = {**Hello("server", "bork 9").encode(), "shoe_size": 44}
    assert hello.decode(body) == Hello("server", "bork 9")


@pytest.mark.parametrize(
    "change",
    [
        {"role": "king"},
        {"role": None},
        {"program": 5},
        {"program": "x" * 201},
        {"versions": [1]},
        {"versions": [2, 1]},
        {"versions": [0, 1]},
        {"versions": [True, True]},
        {"versions": "1"},
        {"features": [1]},
        {"features": {}},
    ],
)
def test_a_hello_that_is_none_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        hello.decode({**Hello("server", "bork").encode(), **change})


def test_the_magic_shows_what_a_terminal_or_a_text_mode_does_to_it() -> None:
    assert len(MAGIC) == 8
    assert MAGIC.replace(b"\r\n", b"\n") != MAGIC
    assert MAGIC.replace(b"\n", b"\r\n") != MAGIC
    assert b"\x1a" in MAGIC
