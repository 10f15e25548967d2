"""A key as a page to be printed: the text of the key file to be typed, and the same as a QR code to be scanned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bork.crypto import keyfile, paper, qrcode
from bork.errors import KeyInvalid

if TYPE_CHECKING:
    from bork.repository.layout import RepositoryId

_QUIET = 4  # modules around a code that must stay light
_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Bork key {repository_id}</title>
<style>
body {{ font-family: sans-serif; max-width: 19cm; margin: 1cm auto }}
pre {{ font-size: 11pt; line-height: 1.4 }}
svg {{ width: 9cm; height: 9cm }}
</style>
<h1>Bork key backup</h1>
<p>Repository {repository_id}</p>
<p>To restore the key, scan the code into a file and use <code>bork key import REPOSITORY FILE</code>, or type the lines
below with <code>bork key import --paper REPOSITORY</code>. The passphrase is needed, too, and is not on this page.</p>
{code}
<pre>{text}</pre>
</html>
"""


def encode(repository_id: RepositoryId, data: bytes) -> str:
    """The page for a key object, in ASCII, without anything from elsewhere. Raises: KeyInvalid, if it is too long."""
    try:
        modules = qrcode.encode(keyfile.encode(repository_id, data).encode("ascii"))
    except ValueError as fault:
        raise KeyInvalid(fault) from None
    return _PAGE.format(
        repository_id=repository_id.hex(), code=_svg(modules), text=paper.encode(repository_id, data).strip()
    )


def _svg(modules: list[list[bool]]) -> str:
    size = len(modules) + 2 * _QUIET
    path = "".join(
        f"M{column + _QUIET},{row + _QUIET}h1v1h-1z"
        for row, cells in enumerate(modules)
        for column, dark in enumerate(cells)
        if dark
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {size}" shape-rendering="crispEdges">'
        f'<rect width="{size}" height="{size}" fill="#fff"/><path d="{path}"/></svg>'
    )
