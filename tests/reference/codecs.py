"""Payload to plaintext. See docs/format/object.md, "Codecs"."""

import lzma
import zlib

import lz4.block  # type: ignore[import-untyped]  # lz4 brings no types
import zstandard

from tests.reference.binary import Refused

NONE, LZ4, ZSTD, ZLIB, LZMA = 0, 1, 2, 3, 4


def decompress(codec: int, payload: bytes, length: int) -> bytes:
    """The plaintext, which has exactly ``length`` bytes and needs the whole payload."""
    try:
        plain = payload if codec == NONE else _DECODERS[codec](payload, length)
    except (lz4.block.LZ4BlockError, zstandard.ZstdError, zlib.error, lzma.LZMAError, EOFError, ValueError) as fault:
        raise Refused(f"payload of codec {codec}: {fault}") from None
    if len(plain) != length:
        raise Refused(f"payload of codec {codec}: {len(plain)} bytes instead of {length}")
    return plain


def _lz4(payload: bytes, length: int) -> bytes:
    return bytes(lz4.block.decompress(payload, uncompressed_size=length))


def _zstd(payload: bytes, length: int) -> bytes:
    return zstandard.ZstdDecompressor().decompress(payload, max_output_size=length, allow_extra_data=False)


def _zlib(payload: bytes, length: int) -> bytes:
    decoder = zlib.decompressobj()
    plain = decoder.decompress(payload, length + 1)
    return _whole(plain, decoder.eof, decoder.unused_data)


def _lzma(payload: bytes, length: int) -> bytes:
    decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ)
    plain = decoder.decompress(payload, length + 1)
    return _whole(plain, decoder.eof, decoder.unused_data)


def _whole(plain: bytes, at_end: bool, unused: bytes) -> bytes:
    if not at_end or unused:
        raise ValueError("the stream ends before the payload does, or after it")
    return plain


_DECODERS = {LZ4: _lz4, ZSTD: _zstd, ZLIB: _zlib, LZMA: _lzma}
