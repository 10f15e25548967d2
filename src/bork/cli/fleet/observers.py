"""How a run of many hosts looks: lines, a live board on a terminal, or records for a program.

Whatever a child says may come from its host. No control character of it reaches the terminal.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bork.cli.output.console import LEVELS
from bork.cli.output.text import printable
from bork.cli.sizes import format_size
from bork.pull.fleet import state
from bork.pull.fleet.durations import format_age
from bork.pull.fleet.events import SKIPPED

if TYPE_CHECKING:
    from bork.cli.output.console import Console
    from bork.pull.fleet.events import HostResult

REDRAW_S = 0.2

Record = dict[str, Any]


class Records:
    """``--log-json``: one stream, in which each object has a ``host``."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def started(self, host: str, stage: str) -> None:
        self._console.record({"type": "host_started", "host": host, "stage": stage, "time": time.time()})

    def record(self, host: str, record: Record) -> None:
        self._console.record({**record, "host": host})

    def ended(self, result: HostResult) -> None:
        record: dict[str, object] = {"type": "host_ended", "host": result.host, "outcome": result.outcome}
        record |= {"stage": result.stage, "exit_code": result.exit_code, "error": result.error or None}
        if (good := result.good) is not None:
            record |= {"archive": good.archive, "duration": round(good.end - good.start, 3), "nfiles": good.files}
            record |= {"original_size": good.original_size, "deduplicated_size": good.deduplicated_size}
        self._console.record({**record, "time": time.time()})

    def tick(self) -> None:
        pass


class Lines:
    """Where nobody watches: warnings and errors with the host in front; with ``--verbose`` also what went well."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told: set[tuple[str, str]] = set()  # errors that were shown

    def started(self, host: str, stage: str) -> None:
        self._console.log("info", f"{host}: {stage}")

    def record(self, host: str, record: Record) -> None:
        if record["type"] != "log_message":
            return
        level, text = str(record.get("levelname", "")).lower(), str(record.get("message", ""))
        if level == "error":
            self._told.add((host, text))
        msgid = record.get("msgid")
        self._console.log(
            level if level in LEVELS else "warning",
            f"{host}: {printable(text)}",
            msgid=msgid if isinstance(msgid, str) else None,
        )

    def ended(self, result: HostResult) -> None:
        level, text = self.sentence(result)
        self._console.log(level, f"{result.host}: {text}")

    def sentence(self, result: HostResult) -> tuple[str, str]:
        """The level and the text of the last line about a host."""
        if result.outcome == SKIPPED:
            return "warning", f"left out: {result.error}"
        if result.outcome == state.ERROR:
            is_told = any(host == result.host and text in result.error for host, text in self._told)
            return "error", f"{result.stage} failed" + ("" if is_told else f": {printable(result.error)}")
        return "info", _good(result) + (" (with warnings)" if result.outcome == state.WARNING else "")

    def tick(self) -> None:
        pass


def _good(result: HostResult) -> str:
    good = result.good
    if good is None:
        return "done"
    sizes = f"{format_size(good.original_size)}, {format_size(good.deduplicated_size)} new"
    return f"{printable(good.archive)}: {good.files} files, {sizes}, in {_duration(good.end - good.start)}"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else format_age(seconds)


@dataclass
class _Row:
    """A host that is at work."""

    stage: str
    began: float = field(default_factory=time.monotonic)
    text: str = ""

    def line(self) -> str:
        return f"{self.stage:<8}{self.text or _duration(time.monotonic() - self.began)}"


class Board(Lines):
    """A terminal: one live line for each host that is at work, and one that stays for each that is done."""

    def __init__(self, console: Console, width: int, total: int) -> None:
        super().__init__(console)
        self._width = width
        self._total = total
        self._done = 0
        self._rows: dict[str, _Row] = {}
        self._drawn = 0.0

    def started(self, host: str, stage: str) -> None:
        self._rows[host] = _Row(stage)

    def record(self, host: str, record: Record) -> None:
        super().record(host, record)
        row = self._rows.get(host)
        if row is not None and (text := progress_text(record)):
            row.text = text

    def ended(self, result: HostResult) -> None:
        self._rows.pop(result.host, None)
        self._done += 1
        level, text = self.sentence(result)
        if self._console.shows("warning" if level == "info" else level):
            self._console.talk(f"{result.host:<{self._width}}  {text}")

    def tick(self) -> None:
        now = time.monotonic()
        if now - self._drawn < REDRAW_S:
            return
        self._drawn = now
        lines = [f"{host:<{self._width}}  {row.line()}" for host, row in self._rows.items()]
        self._console.live_block([*lines, f"{self._done} of {self._total} hosts done"] if lines else [])


def progress_text(record: Record) -> str:
    """What a record of progress says, in a line; empty, if it is none. Its values may be anything."""
    if record.get("type") == "archive_progress":
        numbers = [record.get(key) for key in ("original_size", "deduplicated_size", "nfiles")]
        original, new, files = (one if isinstance(one, int) else 0 for one in numbers)
        path = printable(str(record.get("path", "")))
        return f"{format_size(original)}, {format_size(new)} new, {files} files  {path}" if "path" in record else ""
    if record.get("type") in ("progress_percent", "progress_message"):
        return printable(str(record.get("message") or ""))
    return ""
