"""Messages of any body, with the checksums that let them through to the decoders behind."""

import struct
import zlib
from collections.abc import Mapping

from bork.protocol.codec import Value, encode


def sealed(body: bytes, value: Mapping[str, Value] | None, data: bytes = b"") -> bytes:
    """A message with ``body``, or with the encoding of ``value``; it need not be one that anybody would send."""
    body = body if value is None else encode(dict(value))
    start = struct.pack(">III", len(body), len(data), zlib.crc32(data, zlib.crc32(body)))
    return start + struct.pack(">I", zlib.crc32(start)) + body + data
