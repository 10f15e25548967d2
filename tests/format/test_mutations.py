"""What Python code decodes, with everything that can be wrong: an error of ours, or exactly what would be written."""

import base64
import json
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from bork.archive import generation, head
from bork.archive.generation import Generation
from bork.core import digest
from bork.crypto import keyfile, paper
from bork.errors import BorkError
from bork.repository import config, session
from bork.repository.layout import HeadId, PackId, RepositoryId, SessionId
from bork.repository.session import SessionRecord
from tests.format.mutations import changed_bytes, changed_json, changed_text, mended

VECTORS = Path(__file__).resolve().parents[2] / "vectors"
THOROUGH = settings(max_examples=600, deadline=None)

CONFIGS = [text.encode() for text in json.loads((VECTORS / "configs.json").read_text())["accepted"]]
HEADS = [text.encode() for text in json.loads((VECTORS / "heads.json").read_text())["canonical"]]
HEADS.append(HEADS[0].replace(b'["gear",18,22,20]', b'["fixed",4096,512]').replace(b'"roots":[]', b'"roots":["2f61"]'))
KEYS = [bytes.fromhex(case["object"]) for case in json.loads((VECTORS / "keys.json").read_text())["cases"]]
ID = RepositoryId(bytes(range(32)))
SESSIONS = [
    SessionRecord("writer", 0, host="here", process=7, start_ns=1).encode(),
    SessionRecord("compactor", 3, waiting=True).encode(),
]
GENERATIONS = [
    Generation(5).encode(),
    Generation(
        5,
        {PackId(bytes([number]) * 32): number for number in (1, 2, 5)},
        frozenset({SessionId(b"s" * 32), SessionId(b"t" * 32)}),
        frozenset({HeadId(b"h" * 32)}),
    ).encode(),
]


def with_checksum(data: bytes) -> bytes:
    """A config whose last line fits the lines before it."""
    lines = data.split(b"\n")[:-2]
    body = b"".join(line + b"\n" for line in lines)
    return body + f"checksum = {digest(body).hex()}\n".encode()


def assert_plain(error: BorkError) -> None:
    """One line that can be shown to a person, of a documented kind."""
    assert str(error)
    assert all(character.isprintable() or character > "\ud7ff" for character in str(error))
    assert len(str(error)) < 1000


@THOROUGH
@given(mended(changed_bytes(CONFIGS), with_checksum))
def test_a_config_is_refused_or_is_what_would_be_written(data: bytes) -> None:
    try:
        read = config.decode(data, "somewhere")
    except BorkError as error:
        assert_plain(error)
    else:
        assert read.encode() == data


@THOROUGH
@given(changed_bytes(HEADS) | changed_json(HEADS))
def test_a_head_is_refused_or_is_what_would_be_written(data: bytes) -> None:
    try:
        read = head.decode(data, "somewhere")
    except BorkError as error:
        assert_plain(error)
    else:
        assert read.encode() == data
        assert all(type(value) is int for value in read.stats._asdict().values())
        assert [type(value) for value in read.chunker] == [str] + [int] * (len(read.chunker) - 1)
        assert all(type(text) is str for text in (read.name, read.hostname, read.comment, *read.command_line))


@THOROUGH
@given(changed_bytes(SESSIONS) | changed_json(SESSIONS))
def test_a_session_is_unknown_or_is_what_would_be_written(data: bytes) -> None:
    read = session.decode(data)
    assert read == session.UNKNOWN or read.encode() == data
    assert all(type(value) is type(getattr(session.UNKNOWN, name)) for name, value in read._asdict().items())


@THOROUGH
@given(changed_bytes(GENERATIONS), st.integers(0, 6))
def test_a_generation_is_refused_or_is_what_would_be_written(data: bytes, number: int) -> None:
    try:
        read = generation.decode(number, data)
    except BorkError as error:
        assert_plain(error)
    else:
        assert read._replace(number=number).encode() == data
        assert all(0 < first <= number for first in read.condemned.values())


@THOROUGH
@given(changed_text([keyfile.encode(ID, key).encode() for key in KEYS]))
def test_a_key_file_is_refused_or_is_written_the_same_but_for_its_blanks(text: str) -> None:
    try:
        owner, data = keyfile.decode(text, "somewhere")
    except BorkError as error:
        assert_plain(error)
    else:
        assert keyfile.encode(owner, data).split()[:2] == text.split()[:2]
        assert base64.b64encode(data).decode() == "".join(text.strip().partition("\n")[2].split())


@THOROUGH
@given(changed_text([paper.encode(ID, key).encode() for key in KEYS]))
def test_a_paper_key_is_refused_or_is_the_key(text: str) -> None:
    try:
        data = paper.decode(text, "somewhere", ID)
    except BorkError as error:
        assert_plain(error)
    else:
        assert data in KEYS
