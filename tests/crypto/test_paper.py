"""A key on paper, and everything that can be typed wrongly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bork.crypto import paper
from bork.errors import NotABorkKeyFile, RepoIdMismatch
from bork.repository.layout import RepositoryId

ID = RepositoryId(bytes(range(32)))
KEY = bytes(range(170))


@given(st.binary(min_size=1, max_size=2000))
def test_what_is_printed_can_be_typed_again(data: bytes) -> None:
    assert paper.decode(paper.encode(ID, data), "input", ID) == data


def test_spaces_and_capitals_do_not_matter_nor_do_line_numbers() -> None:
    lines = paper.encode(ID, KEY).splitlines()
    at = next(at for at, line in enumerate(lines) if line.startswith("id:"))
    typed = [lines[at].upper(), *(line.partition(":")[2].replace(" ", "") for line in lines[at + 1 :])]
    assert paper.decode("\n".join(typed), "input", ID) == KEY


def test_no_line_is_longer_than_a_page_is_wide() -> None:
    assert max(len(line) for line in paper.encode(ID, KEY).splitlines()) <= 60


def digits(text: str) -> list[int]:
    """Where the hexadecimal digits of the key are, without the numbers of lines."""
    start = text.index("id:")
    return [at for at in range(start, len(text)) if text[at] in "0123456789abcdef" and text[at - 1 : at + 1] != "id"]


def test_no_single_wrong_digit_goes_unnoticed() -> None:
    text = paper.encode(ID, KEY)
    for at in digits(text):
        for digit in "0123456789abcdef":
            if digit != text[at]:
                with pytest.raises((NotABorkKeyFile, RepoIdMismatch)):
                    paper.decode(text[:at] + digit + text[at + 1 :], "input", ID)


def test_swapped_missing_and_repeated_lines_are_noticed() -> None:
    *head, one, two, three = paper.encode(ID, KEY).strip().splitlines()
    for lines in ([one, three, two], [one, two], [one, one, three], [one, two, three, three], [two, three]):
        with pytest.raises(NotABorkKeyFile):
            paper.decode("\n".join([*head, *lines]), "input", ID)


def test_a_wrong_line_is_named_by_its_number() -> None:
    line = paper.encode(ID, KEY).splitlines()[6]
    assert line.startswith(" 3:")
    with pytest.raises(ValueError, match="line 3 "):
        paper.parse_line(3, line[:-1] + ("0" if line[-1] != "0" else "1"))
    with pytest.raises(ValueError, match="line 4 was expected, and line 3 found"):
        paper.parse_line(4, line)


def test_the_key_of_another_repository_is_refused() -> None:
    with pytest.raises(RepoIdMismatch):
        paper.decode(paper.encode(ID, KEY), "input", RepositoryId(bytes(32)))


@given(st.text())
def test_arbitrary_text_is_refused(text: str) -> None:
    with pytest.raises(NotABorkKeyFile):
        paper.decode(f"id: {text}", "input", ID)
