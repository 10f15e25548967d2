"""The text form of a key: key files, and what ``bork key export`` writes.

::

    BORK_KEY <repository id, 64 hex digits>
    <key object in base64, 64 characters a line>
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING

from bork.errors import NotABorkKeyFile
from bork.repository.layout import RepositoryId

if TYPE_CHECKING:
    from collections.abc import Iterator

MARK = "BORK_KEY"
LENGTH_MAX = 64 * 1024  # characters; a key file has about 350
_FIRST_LINE = re.compile(rf"{MARK} ([0-9a-f]{{64}})", re.ASCII)
_LINE_LENGTH = 64


def encode(repository_id: RepositoryId, data: bytes) -> str:
    """The text for a key object."""
    return "".join(line + "\n" for line in (f"{MARK} {repository_id.hex()}", *_wrapped(data)))


def _wrapped(data: bytes) -> Iterator[str]:
    text = base64.b64encode(data).decode("ascii")
    for at in range(0, len(text), _LINE_LENGTH):
        yield text[at : at + _LINE_LENGTH]


def owner(text: str) -> RepositoryId | None:
    """Whose key a text says it is; None if it is no key file."""
    match = _FIRST_LINE.fullmatch(text.partition("\n")[0].rstrip())
    return None if match is None else RepositoryId(bytes.fromhex(match[1]))


def decode(text: str, path: str) -> tuple[RepositoryId, bytes]:
    """The repository and the key object. ``path`` is for messages. White space around lines is forgiven.

    Raises: NotABorkKeyFile.
    """
    repository_id = owner(text.lstrip())
    if repository_id is None:
        raise NotABorkKeyFile(path, f'it does not begin with "{MARK}"')
    _, _, body = text.strip().partition("\n")
    joined = "".join(body.split())
    try:
        data = base64.b64decode(joined, validate=True)
        # The decoder forgives bits and padding behind the last byte; what was written has none.
        if base64.b64encode(data).decode("ascii") != joined:
            raise ValueError
    except (binascii.Error, ValueError):
        raise NotABorkKeyFile(path, "its base64 part is damaged") from None
    if not data:
        raise NotABorkKeyFile(path, "it ends after its first line")
    return repository_id, data
