"""Fixed fields, and the refusal that ends every reading. See docs/format/README.md."""

from collections.abc import Collection

ID_LENGTH = 32  # bytes of every BLAKE3 digest


class Refused(Exception):
    """The bytes are not what docs/format says. The message names the structure and the rule."""


class Unknown(Refused):
    """A value that the format reserves or does not define: a newer program may have written it."""


class Cursor:
    """Takes fields off the front of some bytes. Integers are little-endian."""

    def __init__(self, data: bytes, what: str) -> None:
        self.data, self.what, self.at = data, what, 0

    @property
    def left(self) -> int:
        """How many bytes have not been taken."""
        return len(self.data) - self.at

    def take(self, length: int) -> bytes:
        """The next bytes."""
        if length > self.left:
            raise Refused(f"{self.what} is truncated: {length - self.left} more bytes expected at offset {self.at}")
        self.at += length
        return self.data[self.at - length : self.at]

    def number(self, length: int) -> int:
        """The next integer of ``length`` bytes."""
        return int.from_bytes(self.take(length), "little")

    def known(self, field: str, length: int, values: Collection[int]) -> int:
        """The next integer, which must be one of ``values``."""
        value = self.number(length)
        if value not in values:
            raise Unknown(f"{self.what}: unknown {field} {value}")
        return value

    def expect(self, expected: bytes) -> None:
        """The next bytes must be these: a magic, or reserved zeros."""
        if self.take(len(expected)) != expected:
            raise Refused(f"{self.what}: {expected!r} expected at offset {self.at - len(expected)}")

    def varint(self) -> int:
        """LEB128 below 2^35, in its shortest form."""
        value = 0
        for shift in range(0, 35, 7):
            byte = self.number(1)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if byte == 0 and shift:
                    break
                return value
        raise Refused(f"{self.what}: a varint is too long")

    def finish(self) -> None:
        """Nothing may be left."""
        if self.left:
            raise Refused(f"{self.what}: {self.left} bytes are left over")


def varint(value: int) -> bytes:
    """LEB128 of ``value``."""
    out = b""
    while value >= 0x80:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])
