"""What stands in front of the protocol in a pull: all of it, nothing behind it, and nothing else."""

import os
from collections.abc import Callable, Iterator

import pytest

from bork.protocol.codec import Malformed
from bork.protocol.preamble import PREAMBLE_MAGIC, PREAMBLE_MAX, encode_preamble, read_preamble
from bork.protocol.wire import Stalled

BODY: dict[str, object] = {"archive": "a", "paths": [b"/etc", b"\xff"]}


Pipe = Callable[..., int]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """A descriptor to read ``data`` from; ``closed``: and then the end."""
    opened: list[int] = []

    def make(data: bytes, *, closed: bool = True) -> int:
        read_fd, write_fd = os.pipe()
        os.write(write_fd, data)
        opened.append(read_fd)
        if closed:
            os.close(write_fd)
        else:
            opened.append(write_fd)
        return read_fd

    yield make
    for fd in opened:
        os.close(fd)


def test_what_was_sent_is_read_and_no_byte_behind_it(pipe: Pipe) -> None:
    fd = pipe(encode_preamble({"archive": "a", "paths": [b"/etc", b"\xff"]}) + b"BORK")
    assert read_preamble(fd) == BODY
    assert os.read(fd, 100) == b"BORK"


def test_every_part_of_it_is_half_an_order(pipe: Pipe) -> None:
    whole = encode_preamble({"archive": "a"})
    for length in range(len(whole)):
        fd = pipe(whole[:length])
        with pytest.raises(Malformed):
            read_preamble(fd)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        PREAMBLE_MAGIC + b"\xff\xff\xff\xff",
        PREAMBLE_MAGIC + (PREAMBLE_MAX + 1).to_bytes(4, "big"),
        PREAMBLE_MAGIC + b"\0\0\0\1\xc0",
        PREAMBLE_MAGIC + b"\0\0\0\2\x80\x80",
    ],
)
def test_what_is_no_order_is_refused_before_it_is_read(pipe: Pipe, data: bytes) -> None:
    fd = pipe(data, closed=False)
    with pytest.raises(Malformed):
        read_preamble(fd, 5)


def test_a_server_that_sends_nothing_is_given_up(pipe: Pipe) -> None:
    fd = pipe(b"BORK", closed=False)
    with pytest.raises(Stalled):
        read_preamble(fd, 0.1)


def test_an_order_that_is_too_long_is_not_sent() -> None:
    with pytest.raises(ValueError, match="bytes"):
        encode_preamble({"comment": "x" * PREAMBLE_MAX})
