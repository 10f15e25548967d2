"""A key on paper: groups of hexadecimal digits with a check for each line, to be typed again in an emergency.

::

    BORK PAPER KEY v1
    id: 10 / 5fb9c1 8e0a3c f0d2ab / 25f62a 5a3d41 - 02
     1: 86961c bb83d4 e60a5a 3e9901 bb3f4e 52fa80 - 6d
     2: ...

The first line has the number of lines, the start of the repository id, and the start of the BLAKE3 of the key object;
what follows the dash is the first byte of the BLAKE3 of everything before it (line number, then bytes).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from bork.core import digest
from bork.errors import NotABorkKeyFile, RepoIdMismatch

if TYPE_CHECKING:
    from bork.repository.layout import RepositoryId

TITLE = "BORK PAPER KEY v1"
LINE_BYTES = 18
LINES_MAX = 4096
_ID_BYTES = 9
_WHOLE_BYTES = 6
_LINE = re.compile(r"([0-9]{1,4}):([0-9a-f]+)-([0-9a-f]{2})", re.ASCII)
_ID_LINE = re.compile(
    rf"id:([0-9]{{1,4}})/([0-9a-f]{{{2 * _ID_BYTES}}})/([0-9a-f]{{{2 * _WHOLE_BYTES}}})-([0-9a-f]{{2}})", re.ASCII
)


class Heading(NamedTuple):
    """What the line ``id:`` says."""

    lines: int
    repository_id_start: bytes  # 9
    whole_start: bytes  # 6


def encode(repository_id: RepositoryId, data: bytes) -> str:
    """The text for a key object, ready to be printed."""
    lines = [data[at : at + LINE_BYTES] for at in range(0, len(data), LINE_BYTES)]
    start, whole = repository_id[:_ID_BYTES], digest(data)[:_WHOLE_BYTES]
    heading = f"id: {len(lines):2d} / {_grouped(start)} / {_grouped(whole)} - {_check(len(lines), start + whole)}"
    body = [f"{number:2d}: {_grouped(line)} - {_check(number, line)}" for number, line in enumerate(lines, start=1)]
    title = "To restore the key use: bork key import --paper REPOSITORY"
    return "\n".join((title, "", TITLE, heading, *body, ""))


def parse_heading(line: str) -> Heading:
    """Read the line ``id:``. Spaces do not matter. Raises: ValueError, with what is wrong."""
    match = _ID_LINE.fullmatch(_squeezed(line))
    if match is None:
        raise ValueError("the line id: is not complete")
    heading = Heading(int(match[1]), bytes.fromhex(match[2]), bytes.fromhex(match[3]))
    if match[4] != _check(heading.lines, heading.repository_id_start + heading.whole_start):
        raise ValueError("the check of the line id: does not fit, look for a typing error")
    return heading


def parse_line(number: int, line: str) -> bytes:
    """Read line ``number``, counted from 1; its own number may be left out. Raises: ValueError, as above."""
    squeezed = _squeezed(line)
    match = _LINE.fullmatch(squeezed if ":" in squeezed else f"{number}:{squeezed}")
    if match is None or len(match[2]) % 2 or len(match[2]) > 2 * LINE_BYTES:
        raise ValueError(f"line {number} is not complete")
    if int(match[1]) != number:
        raise ValueError(f"line {number} was expected, and line {int(match[1])} found")
    data = bytes.fromhex(match[2])
    if match[3] != _check(number, data):
        raise ValueError(f"the check of line {number} does not fit, look for a typing error")
    return data


def assemble(heading: Heading, lines: list[bytes]) -> bytes:
    """The key object. Raises: ValueError."""
    data = b"".join(lines)
    if digest(data)[:_WHOLE_BYTES] != heading.whole_start:
        raise ValueError("each line is right, but not all of them together")
    return data


def decode(text: str, path: str, repository_id: RepositoryId) -> bytes:
    """The key object of a whole text. ``path`` is for messages. Raises: NotABorkKeyFile, RepoIdMismatch."""
    lines = [line for line in text.splitlines() if line.strip()]
    at = next((at for at, line in enumerate(lines) if line.strip().lower().startswith("id:")), None)
    if at is None:
        raise NotABorkKeyFile(path, "it has no line that begins with id:")
    try:
        heading = parse_heading(lines[at])
        if not repository_id.startswith(heading.repository_id_start):
            raise RepoIdMismatch
        body = lines[at + 1 :]
        if len(body) != heading.lines:
            raise ValueError(f"it has {len(body)} lines instead of {heading.lines}")
        return assemble(heading, [parse_line(number, line) for number, line in enumerate(body, start=1)])
    except ValueError as fault:
        raise NotABorkKeyFile(path, str(fault)) from None


def _grouped(data: bytes) -> str:
    return data.hex(" ", -3)


def _squeezed(line: str) -> str:
    return "".join(line.lower().split())


def _check(number: int, data: bytes) -> str:
    return digest(number.to_bytes(2, "big") + data)[:1].hex()
