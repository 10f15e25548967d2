"""QR codes (ISO/IEC 18004) for texts in byte mode, error correction level M, so that a printed key can be scanned.

Always with mask 0: the standard wants the mask that looks best, and readers accept each of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

# Level M, by version 1 to 40 (ISO/IEC 18004, table 9): check bytes in a block, and number of blocks.
_CHECK_BYTES = (10, 16, 26, 18, 24, 16, 18, 22, 22, 26, 30, 22, 22, 24, 24, 28, 28, 26, 26, 26, 26, *(28,) * 19)
_BLOCKS = (
    *(1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8, 9, 9, 10, 10, 11, 13, 14, 16, 17, 17, 18, 20, 21, 23, 25, 26, 28, 29),
    *(31, 33, 35, 37, 38, 40, 43, 45, 47, 49),
)
_BYTE_MODE = 0b0100
_LEVEL_M_MASK_0 = 0b00_000
_PADDING = (0xEC, 0x11)


def encode(data: bytes) -> list[list[bool]]:
    """Rows of modules, True is dark, without the quiet zone. Raises: ValueError, above 2331 bytes."""
    for version in range(1, 41):
        grid = _Grid(version)
        capacity = _data_length(version, grid.free)
        length_bits = 8 if version < 10 else 16
        if 4 + length_bits + 8 * len(data) <= 8 * capacity:
            bits = f"{_BYTE_MODE:04b}{len(data):0{length_bits}b}" + "".join(f"{byte:08b}" for byte in data)
            grid.fill(_with_checks(_padded(bits, capacity), version))
            return grid.modules
    raise ValueError(f"{len(data)} bytes are too many for a QR code")


def _data_length(version: int, free: int) -> int:
    return free // 8 - _CHECK_BYTES[version - 1] * _BLOCKS[version - 1]


def _padded(bits: str, capacity: int) -> bytes:
    bits += "0" * min(4, 8 * capacity - len(bits))
    bits += "0" * (-len(bits) % 8)
    data = int(bits, 2).to_bytes(len(bits) // 8, "big")
    return data + bytes(_PADDING[at % 2] for at in range(capacity - len(data)))


def _with_checks(data: bytes, version: int) -> bytes:
    """Data and check bytes of all blocks, interleaved. The later blocks are one byte longer if they must."""
    count, checks = _BLOCKS[version - 1], _CHECK_BYTES[version - 1]
    short, longer = divmod(len(data), count)
    blocks, at = [], 0
    for number in range(count):
        length = short + (number >= count - longer)
        blocks.append(data[at : at + length])
        at += length
    remainders = [_remainder(block, checks) for block in blocks]
    columns = [bytes(block[row] for block in blocks if row < len(block)) for row in range(short + 1)]
    columns += [bytes(remainder[row] for remainder in remainders) for row in range(checks)]
    return b"".join(columns)


def _multiply(a: int, b: int) -> int:
    """In GF(2^8) modulo x^8 + x^4 + x^3 + x^2 + 1."""
    product = 0
    for bit in range(7, -1, -1):
        product = (product << 1) ^ ((product >> 7) * 0x11D)
        product ^= ((b >> bit) & 1) * a
    return product


def _remainder(data: bytes, length: int) -> bytes:
    """The Reed-Solomon check bytes of a block."""
    divisor, root = [0] * (length - 1) + [1], 1
    for _ in range(length):
        for at in range(length):
            divisor[at] = _multiply(divisor[at], root) ^ (divisor[at + 1] if at + 1 < length else 0)
        root = _multiply(root, 2)
    result = [0] * length
    for byte in data:
        factor = byte ^ result.pop(0)
        result.append(0)
        result = [value ^ _multiply(coefficient, factor) for value, coefficient in zip(result, divisor, strict=True)]
    return bytes(result)


@dataclass(slots=True)
class _Grid:
    """The square: function patterns first, then the zigzag of the data."""

    version: int
    size: int = 0
    modules: list[list[bool]] = field(default_factory=list)
    reserved: list[list[bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.size = 17 + 4 * self.version
        self.modules = [[False] * self.size for _ in range(self.size)]
        self.reserved = [[False] * self.size for _ in range(self.size)]
        for at in range(self.size):
            self._set(6, at, at % 2 == 0)
            self._set(at, 6, at % 2 == 0)
        for row, column in ((3, 3), (3, self.size - 4), (self.size - 4, 3)):
            self._square(row, column, 4, {0, 1, 3})
        positions = self._alignments()
        for row in positions:
            for column in positions:
                if (row, column) not in ((6, 6), (6, positions[-1]), (positions[-1], 6)):
                    self._square(row, column, 2, {0, 2})
        self._format()
        self._version()

    @property
    def free(self) -> int:
        """Modules that are left for data."""
        return sum(not module for row in self.reserved for module in row)

    def _set(self, row: int, column: int, dark: bool) -> None:
        self.modules[row][column] = dark
        self.reserved[row][column] = True

    def _square(self, row: int, column: int, radius: int, dark: set[int]) -> None:
        """Concentric squares around a module; ``dark``: the distances from it that are dark."""
        for down in range(-radius, radius + 1):
            for right in range(-radius, radius + 1):
                if 0 <= row + down < self.size and 0 <= column + right < self.size:
                    self._set(row + down, column + right, max(abs(down), abs(right)) in dark)

    def _alignments(self) -> list[int]:
        if self.version == 1:
            return []
        count = self.version // 7 + 2
        step = (self.version * 8 + count * 3 + 5) // (count * 4 - 4) * 2
        return [6, *sorted(self.size - 7 - at * step for at in range(count - 1))]

    def _format(self) -> None:
        """Level and mask, with 10 check bits, twice; and the module that is always dark."""
        check = _LEVEL_M_MASK_0
        for _ in range(10):
            check = (check << 1) ^ ((check >> 9) * 0x537)
        bits = (_LEVEL_M_MASK_0 << 10 | check) ^ 0x5412
        upright = [*range(6), 7, 8, *range(self.size - 7, self.size)]
        level = [*range(self.size - 1, self.size - 9, -1), 7, *range(5, -1, -1)]
        for at in range(15):
            dark = bool(bits >> at & 1)
            self._set(upright[at], 8, dark)
            self._set(8, level[at], dark)
        self._set(self.size - 8, 8, True)

    def _version(self) -> None:
        """The version, with 12 check bits, twice; from version 7 on."""
        if self.version < 7:
            return
        check = self.version
        for _ in range(12):
            check = (check << 1) ^ ((check >> 11) * 0x1F25)
        bits = self.version << 12 | check
        for at in range(18):
            dark = bool(bits >> at & 1)
            self._set(at // 3, self.size - 11 + at % 3, dark)
            self._set(self.size - 11 + at % 3, at // 3, dark)

    def fill(self, data: bytes) -> None:
        """Two columns at a time from the right, up and down in turn; what is left over stays light."""
        bits = "".join(f"{byte:08b}" for byte in data)
        at, upwards = 0, True
        for right in [*range(self.size - 1, 6, -2), 5, 3, 1]:
            rows = range(self.size - 1, -1, -1) if upwards else range(self.size)
            for row in rows:
                for column in (right, right - 1):
                    if not self.reserved[row][column]:
                        dark = at < len(bits) and bits[at] == "1"
                        self.modules[row][column] = dark != ((row + column) % 2 == 0)
                        at += 1
            upwards = not upwards
