"""Records as text, in the words of Borg."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bork.cli.sizes import format_size

if TYPE_CHECKING:
    from bork.operations.events import ArchiveProgress, PercentProgress

_PERCENT = {
    "extract": "{percent:5.1f}% Extracting: {path}",
    "diff": "{percent:5.1f}% Comparing: {path}",
    "export-tar": "{percent:5.1f}% Processing: {path}",
    "check.packs": "Checking packs {percent:3.1f}%",
    "check.archives": "Checking archives {percent:3.1f}% {path}",
    "compact.mark": "Looking for what archives need {percent:3.1f}%",
    "compact.packs": "Compacting packs {percent:3.1f}%",
    "delete": "Deleting archives {percent:3.0f}%",
    "prune": "Pruning archives {percent:3.0f}%",
}
_ENDLESS = {
    "extract": "Extracting: {path}",
    "diff": "Comparing: {path}",
    "export-tar": "Processing: {path}",
    "check.packs": "Checking packs",
    "check.archives": "Checking archives {path}",
    "compact.mark": "Looking for what archives need",
    "compact.packs": "Compacting packs",
    "delete": "Deleting archives",
    "prune": "Pruning archives",
}


class TextRenderer:
    """Lines for a person."""

    def __init__(self, *, iec: bool = False) -> None:
        self._iec = iec

    def log(self, level: str, name: str, message: str, msgid: str | None) -> bytes:
        return encode(f"{message}\n")

    def question(self, kind: str, msgid: str, message: str, env_var: str | None) -> bytes:
        return encode(message if kind.startswith("prompt") else f"{message}\n")

    def archive_progress(self, progress: ArchiveProgress) -> tuple[str, str]:
        """(numbers, path): the line is cut in the path if the terminal is narrow."""
        sizes = (progress.original_size, progress.compressed_size, progress.deduplicated_size)
        original, compressed, deduplicated = (format_size(size, iec=self._iec) for size in sizes)
        return f"{original} O {compressed} C {deduplicated} D {progress.files} N ", one_line(progress.path)

    def percent_progress(self, progress: PercentProgress) -> tuple[str, str]:
        template = (_PERCENT if progress.total else _ENDLESS)[progress.operation]
        percent = 100 * progress.current / progress.total if progress.total else 0.0
        head, _, tail = template.partition("{path}")
        path = one_line(progress.path) if "{path}" in template else ""
        return head.format(percent=percent), path + tail


def encode(text: str) -> bytes:
    """Text as UTF-8, with ``?`` for what was not UTF-8 when it became text."""
    return text.encode("utf-8", "replace")


def one_line(path: bytes) -> str:
    """A path inside a line: no control character of it reaches the terminal."""
    text = path.decode("utf-8", "surrogateescape")
    return text if text.isprintable() else "".join(_printable(c) for c in text)


def _printable(character: str) -> str:
    if "\ud800" <= character <= "\udfff":
        return "?"
    return character if character.isprintable() or character > "\udfff" else ascii(character)[1:-1]


_CONTROL = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), "?")


def printable(text: str) -> str:
    """Text of an archive for a person: control characters, which could steer a terminal, and what is not UTF-8 become
    ``?``.
    """
    text = text.translate(_CONTROL)
    return text if text.isascii() else encode(text).decode()


def cells(text: str) -> int:
    """How many columns of a terminal ``text`` takes."""
    if text.isascii():
        return len(text)
    import unicodedata  # late: 1 MiB of tables, for names that are not ASCII on a terminal

    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "FW") for c in text)


def fit(text: str, columns: int) -> str:
    """``text`` in exactly ``columns`` columns: filled up with spaces, or with ``...`` for its middle."""
    width = cells(text)
    if width <= columns:
        return text + " " * (columns - width)
    if columns < 8:
        return "..."[:columns].ljust(columns)
    head, tail = text, text
    while cells(head) > columns // 2 - 3:
        head = head[:-1]
    while cells(tail) > columns - columns // 2:
        tail = tail[1:]
    cut = f"{head}...{tail}"
    return cut + " " * (columns - cells(cut))
