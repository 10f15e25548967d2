"""Include and exclude rules of the command line and of pattern files, for the plan of an engine.

Nothing is matched here. A rule is (action, style, text); of all rules, the first that matches an item decides.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import cast

from bork.errors import PatternInvalid
from bork.operations.selection import PathArgument, Pattern, PatternAction, PatternStyle

STYLES = ("fm", "sh", "re", "pp", "pf")
_ACTIONS = {"-": "-", "!": "!", "+": "+", "R": "R", "r": "R", "P": "P", "p": "P"}


class Rules:
    """What ``-e``, ``--exclude-from``, ``--pattern`` and ``--patterns-from`` add up to, in their order."""

    def __init__(self) -> None:
        self.patterns: list[Pattern] = []
        self.roots: list[str] = []

    def exclude(self, text: str) -> None:
        """``--exclude``: not even looked into, and ``fm:`` where no style is named."""
        style, rest = split_style(text, "fm")
        self.patterns.append(_pattern("!", style, rest))

    def exclude_from(self, path: str) -> None:
        for line in _lines(path):
            self.exclude(line)

    def add(self, command: str) -> None:
        """``--pattern``: one line as in a pattern file."""
        self._command(command, "sh")

    def add_from(self, path: str) -> None:
        """``--patterns-from``: a ``P`` line sets the style of the lines below it in this file."""
        style: PatternStyle = "sh"
        for line in _lines(path):
            style = self._command(line, style)

    def path_arguments(self, texts: list[str]) -> tuple[PathArgument, ...]:
        """Roots and PATH arguments of list, extract, ...: ``pp:`` where no style is named."""
        styled = (split_style(text, "pp") for text in self.roots + texts)
        return tuple(PathArgument(style, os.fsencode(text)) for style, text in styled)

    def _command(self, command: str, style: PatternStyle) -> PatternStyle:
        """Take one line; the style for the lines that follow."""
        if not command:
            raise PatternInvalid('""', "it is empty")
        action = _ACTIONS.get(command[0])
        if action is None:
            raise PatternInvalid(f'"{command}"', f"it must start with any of {', '.join(_ACTIONS)}")
        value = command[1:].lstrip()
        if not value:
            raise PatternInvalid(f'"{command}"', "it has no value behind its first letter")
        if action == "R":
            self.roots.append(value)
        elif action == "P":
            return _style(value, command)
        else:
            named, rest = split_style(value, style)
            self.patterns.append(_pattern(cast("PatternAction", action), named, rest))
        return style


def split_style(text: str, default: PatternStyle) -> tuple[PatternStyle, str]:
    """``sh:home/*`` is (``sh``, ``home/*``). Two letters or digits and a colon in front always name a style."""
    if len(text) > 2 and text[2] == ":" and text[:2].isalnum():
        style = _style(text[:2], text)
        _check_expression(style, text[3:])
        return style, text[3:]
    return default, text


def _style(name: str, whole: str) -> PatternStyle:
    if name not in STYLES:
        raise PatternInvalid(f'"{whole}"', f"there is no style {name}, the styles are {', '.join(STYLES)}")
    return cast("PatternStyle", name)


def _check_expression(style: str, text: str) -> None:
    if style == "re":
        try:
            re.compile(text)
        except re.error as error:
            raise PatternInvalid(f'"re:{text}"', error) from None


def _pattern(action: PatternAction, style: PatternStyle, text: str) -> Pattern:
    _check_expression(style, text)
    return Pattern(action, style, os.fsencode(text))


def _lines(path: str) -> Iterator[str]:
    """Lines that mean something: not blank, no comment, without white space around them."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            content = file.read()
    except OSError as error:
        raise PatternInvalid(f"file {path}", error.strerror or error) from None
    for line in content.split("\n"):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield stripped
