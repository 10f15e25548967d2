"""Where everything that a person or a program reads goes out, and what of it is shown at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from bork.cli.output.streams import Err, Out
from bork.cli.output.text import TextRenderer, cells, encode, fit
from bork.operations.events import ArchiveProgress, PercentProgress, Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}

# Loggers are named as those of Borg: programs filter by them.
GENERAL = "borg.archiver"
LIST = "borg.output.list"
STATS = "borg.output.stats"
SHOW_RC = "borg.output.show-rc"
SHOW_VERSION = "borg.output.show-version"


class LineRenderer(Protocol):
    """What both renderers have in common."""

    def log(self, level: str, name: str, message: str, msgid: str | None) -> bytes: ...

    def question(self, kind: str, msgid: str, message: str, env_var: str | None) -> bytes: ...


class Console:
    """stdout and stderr of one command. ``shown``: loggers whose INFO messages appear whatever the level is."""

    def __init__(
        self,
        *,
        level: str = "warning",
        log_json: bool = False,
        iec: bool = False,
        shown: frozenset[str] = frozenset(),
        out: Out | None = None,
        err: Err | None = None,
    ) -> None:
        self.out = out or Out()
        self._err = err or Err()
        self._live_cells = 0  # columns of the line that progress has left on the terminal
        self._live_rows = 0  # the same of a block, in lines
        self.set_up(level=level, log_json=log_json, iec=iec, shown=shown)

    def set_up(self, *, level: str, log_json: bool, iec: bool, shown: frozenset[str]) -> None:
        """How everything from now on is shown."""
        self._level = LEVELS[level]
        self._shown = shown
        self.log_json = log_json
        self.iec = iec
        self._text = TextRenderer(iec=iec)
        self._renderer: LineRenderer = self._text
        if log_json:
            from bork.cli.output.json import JsonRenderer  # late: 8 ms that text does not need

            self._json = JsonRenderer()
            self._renderer = self._json

    # ---- talk: stderr --------------------------------------------------------------------------------------------

    def shows(self, level: str, name: str = GENERAL) -> bool:
        threshold = min(self._level, LEVELS["info"]) if name in self._shown else self._level
        return LEVELS[level] >= threshold

    def log(self, level: str, message: str, *, name: str = GENERAL, msgid: str | None = None) -> None:
        """One message of ``debug``, ``info``, ``warning``, ``error`` or ``critical``."""
        if self.shows(level, name):
            self.clear_live_line()
            self._err.write(self._renderer.log(level, name, message, msgid))

    def record(self, record: dict[str, object]) -> None:
        """An object of ``--log-json`` that is made elsewhere."""
        self._err.write(self._json.record(record))

    def log_lines(self, text: str, *, name: str) -> None:
        """An INFO block, one message for each line."""
        for line in text.split("\n"):
            self.log("info", line, name=name)

    def talk(self, message: str) -> None:
        """A line that belongs to a dialogue: shown on every level."""
        self.clear_live_line()
        self._err.write(self._renderer.log("warning", GENERAL, message, None))

    def question(self, kind: str, msgid: str, message: str, env_var: str | None = None) -> None:
        """``kind``: ``prompt``, ``prompt_retry``, ``env_answer``, ``invalid_answer``, ``accepted_false``, ..."""
        self.clear_live_line()
        self._err.write(self._renderer.question(kind, msgid, message, env_var))

    def list_lines(self, data: bytes) -> None:
        """Lines of ``--list``, rendered by an engine: text or JSON as ``log_json`` says."""
        self.clear_live_line()
        self._err.write_lines(data)

    def log_paths(self, data: bytes) -> None:
        """Lines of ``extract --list``: messages of their own for a program, plain lines for a person."""
        if not self.log_json:
            self.list_lines(data)
            return
        for line in data.decode("utf-8", "surrogateescape").split("\n")[:-1]:
            self.log("info", line, name=LIST)

    def prompt(self, text: str) -> None:
        """Ask for a line of stdin."""
        self.question("prompt", "", text)

    # ---- progress: a live line of stderr -------------------------------------------------------------------------

    def progress(self, progress: Progress) -> None:
        if self.log_json:
            self._err.write(self._json_progress(progress))
        elif progress.finished:
            self.clear_live_line()
        else:
            self._show(*self._text_progress(progress))

    def _json_progress(self, progress: Progress) -> bytes:
        if isinstance(progress, ArchiveProgress):
            return self._json.archive_progress(progress)
        return self._json.percent_progress(progress)

    def _text_progress(self, progress: Progress) -> tuple[str, str]:
        if isinstance(progress, ArchiveProgress):
            return self._text.archive_progress(progress)
        assert isinstance(progress, PercentProgress)
        return self._text.percent_progress(progress)

    def _show(self, numbers: str, path: str) -> None:
        """Overwrite the live line; where there is no terminal, a line of its own."""
        if not self._err.is_terminal():
            self._err.write(encode(f"{numbers}{path}\n"))
            return
        columns = self._err.columns()
        space = columns - cells(numbers)
        line = numbers + fit(path, space) if space >= 12 else fit(path, columns)
        self._live_cells = columns
        self._err.write(encode(f"{line}\r"))

    def is_terminal(self) -> bool:
        """Whether somebody looks at stderr."""
        return self._err.is_terminal()

    def live_block(self, lines: Sequence[str]) -> None:
        """Lines in place of those of the last call; what does not fit on the terminal is cut. Only for a terminal."""
        columns, rows = self._err.columns() - 1, max(1, self._err.rows() - 1)
        shown = [fit(line, columns) for line in lines[:rows]]
        back = f"\x1b[{self._live_rows}A\x1b[J" if self._live_rows else ""
        self._err.write(encode(back + "".join(f"{line}\n" for line in shown)))
        self._live_rows = len(shown)

    def clear_live_line(self) -> None:
        if self._live_rows:
            self._err.write(f"\x1b[{self._live_rows}A\x1b[J".encode("ascii"))
            self._live_rows = 0
        if self._live_cells:
            self._err.write(b" " * self._live_cells + b"\r")
            self._live_cells = 0

    # ---- results: stdout -----------------------------------------------------------------------------------------

    def result(self, text: str) -> None:
        """Text of the result, without a line end of its own."""
        self.out.write(encode(text))

    def result_verbatim(self, text: str) -> None:
        """The same with bytes that are not UTF-8 as they came, for who has asked for them."""
        self.out.write(text.encode("utf-8", "surrogateescape"))

    def result_json(self, data: object, indent: int | str | None) -> None:
        from bork.cli.output.json import document  # late: only --json needs it

        self.out.write(document(data, indent))
