"""How the process ends: the one place where errors and warnings become numbers.

Legacy (the default, as in Borg 1.4): 0 success, 1 warning, 2 error, 128+N signal. Modern (``BORK_EXIT_CODES=modern``):
3 to 99 say which error, 100 to 127 which warning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bork.cli.item_warnings import ITEM_WARNINGS

if TYPE_CHECKING:
    from bork.errors import BorkError

SUCCESS = 0
WARNING = 1
ERROR = 2
SIGNAL_BASE = 128


def of_error(error: BorkError, *, modern: bool) -> int:
    return error.exit_code if modern else ERROR


def of_signal(number: int) -> int:
    return SIGNAL_BASE + number


def classify(code: int) -> str:
    """The word of ``--show-rc``."""
    if code == SUCCESS:
        return "success"
    if code == WARNING or 100 <= code < SIGNAL_BASE:
        return "warning"
    return "signal" if code >= SIGNAL_BASE else "error"


class Warnings:
    """Collects what went wrong with single items, for the exit code at the end."""

    def __init__(self) -> None:
        self._codes: set[int] = set()

    def add(self, kind: str) -> None:
        """``kind``: a key of ``ITEM_WARNINGS``; another one counts as a plain warning."""
        warning = ITEM_WARNINGS.get(kind)
        self._codes.add(warning.exit_code if warning else WARNING)

    def add_plain(self) -> None:
        self._codes.add(WARNING)

    def exit_code(self, *, modern: bool) -> int:
        """One kind of warning has its own number; several kinds are just a warning: the log has the details."""
        if not self._codes:
            return SUCCESS
        return next(iter(self._codes)) if modern and len(self._codes) == 1 else WARNING
