"""The events of an operation, on their way to the console."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bork.cli.item_warnings import ITEM_WARNINGS
from bork.cli.output.text import one_line

if TYPE_CHECKING:
    from bork.cli.exit_codes import Warnings
    from bork.cli.output.console import Console
    from bork.operations.events import LogLevel, Progress


class Sink:
    """The EventSink of one command. ``lines_to``: where listed lines go, stderr (``--list``) or stdout (``list``).

    ``data_to``: where content goes, if not to stdout.
    """

    def __init__(
        self,
        console: Console,
        warnings: Warnings,
        *,
        show_progress: bool = False,
        lines_to: Callable[[bytes], None] | None = None,
        data_to: Callable[[bytes], None] | None = None,
        problem_level: LogLevel = "warning",
        ignored_problems: frozenset[str] = frozenset(),
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        self._console = console
        self._warnings = warnings
        self._show_progress = show_progress
        self._lines_to = lines_to or console.list_lines
        self._data_to = data_to or self._to_stdout
        self._problem_level = problem_level
        self._ignored_problems = ignored_problems
        self._is_cancelled = is_cancelled

    def lines(self, data: bytes) -> None:
        self._lines_to(data)

    def data(self, data: bytes) -> None:
        self._data_to(data)

    def _to_stdout(self, data: bytes) -> None:
        self._console.out.holds_content = True
        self._console.out.write(data)

    def problem(self, kind: str, path: bytes, message: str) -> None:
        """A warning about one item, in Borg's words, remembered for the exit code."""
        if kind in self._ignored_problems:
            return
        self._warnings.add(kind)
        warning = ITEM_WARNINGS.get(kind)
        template = warning.message if warning else "{path}: {detail}"
        text = template.format(path=one_line(path), detail=message)
        self._console.log(self._problem_level, text, msgid=warning.msgid if warning else None)

    def progress(self, progress: Progress) -> None:
        if self._show_progress:
            self._console.progress(progress)

    def log(self, level: LogLevel, message: str, msgid: str | None = None) -> None:
        self._console.log(level, message, msgid=msgid)

    def cancelled(self) -> bool:
        return self._is_cancelled()
