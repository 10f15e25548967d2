"""The rows of the table: what is measured, on which tree, and what is aimed at."""

from dataclasses import dataclass
from enum import Enum


class Action(Enum):
    """What is done to the tree or the repository."""

    FIRST = "first backup"
    UNCHANGED = "second backup, nothing changed"
    CHANGED = "backup after 1 % changed"
    REREAD = "backup that reads all, all known"
    RESTORE = "restore of all"
    ONE = "restore of one file"
    LIST = "list"
    CHECK = "check of all data"
    FREE = "half of the archives deleted, and their space freed"


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    key: str  # for --only
    title: str
    action: Action
    workload: str
    faster: float | None = None  # wall, best peer / bork: at least
    leaner: float | None = None  # CPU, bork / best peer: at most


ROWS = (
    Row("first-large", "first backup, large files", Action.FIRST, "large", 2.5, 0.6),
    Row("first-small", "first backup, 100k small files", Action.FIRST, "small", 3.0, 0.5),
    Row("first-usr", "first backup, copy of /usr", Action.FIRST, "usr"),
    Row("unchanged", "unchanged second backup, 100k files", Action.UNCHANGED, "small", 5.0, 0.3),
    Row("changed", "1 % changed, 100k files", Action.CHANGED, "small", 3.0, 0.5),
    Row("reread-large", "full re-read, all known, large files", Action.REREAD, "large", 2.5, 0.5),
    Row("reread-small", "full re-read, all known, 100k files", Action.REREAD, "small", 2.5, 0.5),
    Row("restore-large", "restore of all, large files", Action.RESTORE, "large", 1.5, 0.6),
    Row("restore-small", "restore of all, 100k files", Action.RESTORE, "small", 2.0, 0.6),
    Row("one", "one file out of 100k", Action.ONE, "small", 3.0, 0.4),
    Row("list", "list of 100k files", Action.LIST, "small", 3.0, 0.4),
    Row("check-large", "check --verify-data, large files", Action.CHECK, "large", 2.0, 0.6),
    Row("check-small", "check --verify-data, 100k files", Action.CHECK, "small", 2.0, 0.6),
    Row("free-large", "delete 2 of 4 archives and compact, large files", Action.FREE, "large", 3.0, 0.5),
    Row("free-small", "delete 2 of 4 archives and compact, 100k files", Action.FREE, "small", 3.0, 0.5),
)


def in_running_order(keys: set[str]) -> list[Row]:
    """The chosen rows; those that need the small tree changed come last, for it stays changed."""
    return sorted((row for row in ROWS if row.key in keys), key=lambda row: row.action is Action.CHANGED)
