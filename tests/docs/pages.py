"""Reading the pages: console blocks with their set-up, and the tables of a section."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
USAGE = ROOT / "docs" / "usage"

_BLOCK = re.compile(r"^<!-- setup\n(?P<setup>.*?)^-->$|^```console\n(?P<console>.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`]+)`")


class Command(NamedTuple):
    """One command of a page. ``output`` is None for a set-up, which is not shown and not compared."""

    line: int  # in the page
    text: str
    output: str | None


def commands(page: Path) -> list[Command]:
    """What a page runs, in its order: ``<!-- setup ... -->`` comments and the ``$ `` lines of console blocks."""
    text = page.read_text()
    found: list[Command] = []
    for block in _BLOCK.finditer(text):
        line = text.count("\n", 0, block.start()) + 2
        if block["setup"] is not None:
            found.append(Command(line, block["setup"], None))
        else:
            found.extend(_console(block["console"], line))
    return found


def _console(block: str, line: int) -> Iterator[Command]:
    """Lines that begin with ``> `` continue a command, as on a terminal."""
    words: list[str] = []
    output: list[str] = []
    start = line
    for number, text in enumerate(block.splitlines(), line):
        if text.startswith("$ "):
            if words:
                yield Command(start, "\n".join(words), "".join(output))
            start, words, output = number, [text[2:]], []
        elif text.startswith("> ") and words and not output:
            words.append(text[2:])
        else:
            output.append(f"{text}\n")
    if words:
        yield Command(start, "\n".join(words), "".join(output))


def matches(expected: str, actual: str) -> bool:
    """Whether an output is the one of the page. ``...`` stands for any text in a line; alone, for any lines."""
    lines = (
        r"(?:[^\n]*\n)*?" if line == "..." else re.escape(line.rstrip()).replace(r"\.\.\.", r"[^\n]*?") + r"[ ]*\n"
        for line in expected.splitlines()
    )
    if actual and not actual.endswith("\n"):
        actual += "\n"
    return re.fullmatch("".join(lines), actual) is not None


def section(page: Path, title: str) -> str:
    """The text below a heading, up to the next one of the same level or above."""
    text = page.read_text()
    start = re.search(rf"^(#+) {re.escape(title)}$", text, re.MULTILINE)
    assert start is not None, f"{page.name} has no section {title}"
    end = re.compile(rf"^#{{1,{len(start[1])}}} ", re.MULTILINE).search(text, start.end())
    return text[start.end() : end.start() if end else len(text)]


def rows(text: str) -> list[list[str]]:
    """The cells of all tables in a text, without their heads."""
    found: list[list[str]] = []
    for line in text.splitlines():
        if line.startswith("|---"):
            found.pop()  # what stands above the rule is the head
        elif line.startswith("|"):
            found.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return found


def first_codes(text: str) -> list[str]:
    """Every word in backticks in the first column of the tables of a text."""
    return [code for row in rows(text) for code in _CODE.findall(row[0])]
