"""QR codes. They were compared with a reader of another origin when written; here a short reader of our own is used."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bork.crypto import qrcode, qrpage
from bork.crypto.keyfile import encode
from bork.errors import KeyInvalid
from bork.repository.layout import RepositoryId

LONGEST = 2331  # bytes, version 40 with level M (ISO/IEC 18004, table 7)


def read(modules: list[list[bool]]) -> bytes:
    """The content of a code of one block (versions 1 to 3), found by the rules of the standard."""
    size = len(modules)
    bits = ""
    columns = [*range(size - 1, 6, -2), 5, 3, 1]
    for number, right in enumerate(columns):
        for row in range(size - 1, -1, -1) if number % 2 == 0 else range(size):
            for column in (right, right - 1):
                if not is_function(row, column, size):
                    bits += "01"[modules[row][column] != ((row + column) % 2 == 0)]
    assert bits[:4] == "0100"
    length = int(bits[4:12], 2)
    return int(bits[12 : 12 + 8 * length], 2).to_bytes(length, "big")


def is_function(row: int, column: int, size: int) -> bool:
    """Finder patterns with format information, timing lines, and the one alignment pattern of versions 2 and 3."""
    finder = (row < 9 and (column < 9 or column >= size - 8)) or (row >= size - 8 and column < 9)
    alignment = size > 21 and abs(row - (size - 7)) <= 2 and abs(column - (size - 7)) <= 2
    return finder or alignment or row == 6 or column == 6


@given(st.binary(min_size=1, max_size=42))
@settings(max_examples=30)
def test_the_content_of_a_small_code_can_be_read(data: bytes) -> None:
    assert read(qrcode.encode(data)) == data


@pytest.mark.parametrize(("length", "size"), [(14, 21), (15, 25), (213, 57), (331, 69), (LONGEST, 177)])
def test_the_smallest_version_that_holds_the_data_is_chosen(length: int, size: int) -> None:
    modules = qrcode.encode(bytes(length))
    assert {len(modules), *map(len, modules)} == {size}


def test_data_that_no_code_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="2332"):
        qrcode.encode(bytes(LONGEST + 1))
    with pytest.raises(KeyInvalid):
        qrpage.encode(RepositoryId(bytes(32)), bytes(LONGEST))


def test_check_bytes_make_each_block_a_multiple_of_the_generator() -> None:
    """A Reed-Solomon code word has the powers of 2 as roots."""
    for data in (b"0123456789abcdef", bytes(range(1, 40))):
        word = [*data, *qrcode._remainder(data, 10)]
        for power in range(10):
            root, value = 1, 0
            for _ in range(power):
                root = qrcode._multiply(root, 2)
            for byte in word:
                value = qrcode._multiply(value, root) ^ byte
            assert value == 0


def test_the_page_has_the_code_and_the_lines_and_needs_nothing_from_elsewhere() -> None:
    page = qrpage.encode(RepositoryId(bytes(32)), bytes(170))
    assert page.isascii()
    assert "BORK PAPER KEY v1" in page
    assert page.count("h1v1h-1z") == sum(map(sum, qrcode.encode(encode(RepositoryId(bytes(32)), bytes(170)).encode())))
    assert "src=" not in page
    assert "<script" not in page
