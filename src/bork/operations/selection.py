"""Which items and which archives an operation is about, and how items are shown: options that several verbs share."""

from __future__ import annotations

from typing import Literal, NamedTuple, NewType

PatternAction = Literal["+", "-", "!"]  # include, exclude, exclude without looking below
PatternStyle = Literal["fm", "sh", "re", "pp", "pf"]
SortKey = Literal["timestamp", "archive", "name", "id"]
ArchiveName = NewType("ArchiveName", str)
ArchiveId = NewType("ArchiveId", bytes)  # 32: BLAKE3 of the stored head, its fingerprint


class Pattern(NamedTuple):
    """One rule; of all rules of a command the first that matches decides."""

    action: PatternAction
    style: PatternStyle
    text: bytes


class PathArgument(NamedTuple):
    """A PATH on the command line of ``list`` and ``extract``; one that matches nothing is reported."""

    style: PatternStyle
    text: bytes


class ItemLines(NamedTuple):
    """Ask the engine for one line for each item (``--list``). ``filter``: status letters to show, None for all."""

    format: Literal["text", "json"] = "text"
    filter: bytes | None = None

    def plan(self) -> dict[str, object]:
        return {"format": self.format, "filter": self.filter}


class ArchiveFilter(NamedTuple):
    """Which archives of a repository, and in which order. ``first`` and ``last``: 0 means all.

    ``glob`` and ``prefix`` exclude each other, as do ``first`` and ``last``: the command line sees to that.
    """

    glob: str | None = None
    prefix: str | None = None
    first: int = 0
    last: int = 0
    sort_by: tuple[SortKey, ...] = ("timestamp",)
    consider_checkpoints: bool = False  # also those with names that end in .checkpoint
