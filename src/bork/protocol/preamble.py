"""What a server that pulls sends to the client before the protocol begins: one value, and then never anything else.

The client answers it by beginning the protocol, or by ending with a reason on its stderr. See docs/protocol.md.
"""

from __future__ import annotations

import os
import select
import struct
import time
from typing import TYPE_CHECKING

from bork.protocol.codec import Malformed, decode, encode
from bork.protocol.wire import Stalled

if TYPE_CHECKING:
    from bork.protocol.codec import Value

PREAMBLE_MAGIC = b"BORKPULL"
PREAMBLE_MAX = 1 << 20  # bytes of the value
PREAMBLE_S = 60.0  # that it may take to come
_LENGTH = struct.Struct(">I")


def encode_preamble(body: dict[str, Value]) -> bytes:
    """Raises: ValueError, if it is too long."""
    encoded = encode(body)
    if len(encoded) > PREAMBLE_MAX:
        raise ValueError(f"{len(encoded)} bytes, and {PREAMBLE_MAX} are allowed")
    return PREAMBLE_MAGIC + _LENGTH.pack(len(encoded)) + encoded


def read_preamble(fd: int, timeout_s: float = PREAMBLE_S) -> dict[str, Value]:
    """Take exactly the preamble from ``fd``, and no byte behind it. Raises: Malformed, Stalled."""
    deadline = time.monotonic() + timeout_s
    if _take(fd, len(PREAMBLE_MAGIC), deadline) != PREAMBLE_MAGIC:
        raise Malformed("no order of a server that pulls")
    (length,) = _LENGTH.unpack(_take(fd, _LENGTH.size, deadline))
    if length > PREAMBLE_MAX:
        raise Malformed(f"an order of {length} bytes")
    body = decode(_take(fd, length, deadline))
    if not isinstance(body, dict):
        raise Malformed("an order that is no map")
    return body


def _take(fd: int, length: int, deadline: float) -> bytes:
    taken = bytearray()
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    while len(taken) < length:
        if not poll.poll(max(0, round(1000 * (deadline - time.monotonic())))):
            raise Stalled("no order came from the server that pulls")
        try:
            data = os.read(fd, length - len(taken))
        except BlockingIOError:
            continue
        if not data:
            raise Malformed("half an order")
        taken += data
    return bytes(taken)
