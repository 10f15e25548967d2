"""The text form of a key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bork.crypto import keyfile
from bork.errors import NotABorkKeyFile
from bork.repository.layout import RepositoryId

ID = RepositoryId(bytes(range(32)))


@given(st.binary(min_size=1, max_size=1000))
def test_what_is_written_is_read(data: bytes) -> None:
    assert keyfile.decode(keyfile.encode(ID, data), "file") == (ID, data)


def test_the_first_line_says_whose_key_it_is_and_lines_are_short() -> None:
    lines = keyfile.encode(ID, bytes(200)).splitlines()
    assert lines[0] == f"BORK_KEY {ID.hex()}"
    assert max(len(line) for line in lines[1:]) == 64


def test_white_space_that_mail_programs_add_is_forgiven() -> None:
    text = keyfile.encode(ID, bytes(200)).replace("\n", " \r\n")
    assert keyfile.decode(f"\n\n{text}\n\n", "file") == (ID, bytes(200))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "BORK_KEY",
        "BORG_KEY " + "0" * 64 + "\nAAAA\n",
        "BORK_KEY " + "0" * 63 + "\nAAAA\n",
        "BORK_KEY " + "0" * 65 + "\nAAAA\n",
        "BORK_KEY " + "0" * 64 + "\n",
        "BORK_KEY " + "0" * 64 + "\nAAA\n",
        "BORK_KEY " + "0" * 64 + "\nAA!A\n",
        "BORK_KEY " + "0" * 64 + " AAAA\n",
        "BORK_KEY " + "0" * 64 + "\nAAAA=\n",
        "BORK_KEY " + "0" * 64 + "\nAB==\n",
    ],
)
def test_anything_else_is_refused_by_its_path(text: str) -> None:
    with pytest.raises(NotABorkKeyFile, match=r"/some/file"):
        keyfile.decode(text, "/some/file")


@given(st.text())
def test_arbitrary_text_is_refused(text: str) -> None:
    with pytest.raises(NotABorkKeyFile):
        keyfile.decode(text, "file")
