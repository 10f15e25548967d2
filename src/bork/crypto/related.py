"""The secret that two repositories share whose chunks have the same ids: what ``key export-related-secrets`` writes.

::

    BORK RELATED SECRETS v1
    <64 hex digits: the id secret> <16 hex digits: the first 8 bytes of its BLAKE3>

It is not sealed: who has it can find out whether a repository holds content that he knows. It opens nothing.
"""

from __future__ import annotations

import re

from bork.core import digest
from bork.errors import NotABorkKeyFile

MARK = "BORK RELATED SECRETS v1"
LENGTH_MAX = 4096  # characters; the text has 105
_BODY = re.compile(r"([0-9a-f]{64}) ([0-9a-f]{16})", re.ASCII)


def encode(secret: bytes) -> str:
    """The text."""
    return f"{MARK}\n{secret.hex()} {digest(secret)[:8].hex()}\n"


def decode(text: str, path: str) -> bytes:
    """The secret, 32 bytes. ``path`` is for messages. Raises: NotABorkKeyFile."""
    first, _, rest = text.strip().partition("\n")
    if first.strip() != MARK:
        raise NotABorkKeyFile(path, f'it does not begin with "{MARK}"')
    body = _BODY.fullmatch(rest.strip())
    if body is None or digest(bytes.fromhex(body[1]))[:8].hex() != body[2]:
        raise NotABorkKeyFile(path, "its second line is damaged")
    return bytes.fromhex(body[1])
