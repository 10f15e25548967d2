"""Inputs that are several messages: lengths, bodies and data, without the checksums that no mutation could guess.

``[body length: 2][data length: 1][body][data]``, again and again; big-endian.
"""

from collections.abc import Iterable, Iterator

Frame = tuple[bytes, bytes]
HEAD = 3  # bytes


def join(frames: Iterable[Frame]) -> bytes:
    """The inverse of ``split``, for frames that have their lengths."""
    return b"".join(len(body).to_bytes(2, "big") + len(data).to_bytes(1, "big") + body + data for body, data in frames)


def split(data: bytes) -> Iterator[Frame]:
    """The last one may be cut short. Anything is a sequence of frames."""
    at = 0
    while at + HEAD <= len(data):
        length, more = int.from_bytes(data[at : at + 2], "big"), data[at + 2]
        at += HEAD
        yield data[at : at + length], data[at + length : at + length + more]
        at += length + more
