"""The chunkers, byte by byte: slow, and the oracle of the fast ones. See docs/format/archive.md, "Chunkers"."""

from collections.abc import Iterator

from blake3 import blake3

WINDOW = 64


def gear_table(key: bytes) -> list[int]:
    """256 numbers of 64 bits: the extended output of keyed BLAKE3."""
    stream = blake3(b"gear table", key=key).digest(length=256 * 8)
    return [int.from_bytes(stream[at : at + 8], "little") for at in range(0, len(stream), 8)]


def gear_cuts(key: bytes, data: bytes, min_exponent: int, max_exponent: int, mask_bits: int) -> Iterator[int]:
    """Lengths of the chunks of one run of data."""
    table, start, state = gear_table(key), 0, 0
    shortest, longest, limit = 1 << min_exponent, 1 << max_exponent, 1 << 64 - mask_bits
    for end, byte in enumerate(data, start=1):
        state = ((state << 1) + table[byte]) % 2**64  # what is older than 64 bytes has left at the top
        length = end - start
        if (length > shortest and state < limit) or length == longest:
            yield length
            start = end
    if start < len(data):
        yield len(data) - start


def fixed_cuts(length: int, block: int, header: int) -> Iterator[int]:
    """Lengths of the chunks of one run of data: a header if there is one, then blocks."""
    if header and length:
        yield min(header, length)
        length -= min(header, length)
    while length:
        yield min(block, length)
        length -= min(block, length)
