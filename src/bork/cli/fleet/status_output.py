"""The fleet for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bork.cli.output.text import printable
from bork.cli.sizes import format_size
from bork.cli.times import format_time, iso
from bork.pull.fleet.durations import format_age

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bork.pull.fleet.state import Good
    from bork.pull.fleet.status import HostStatus

_HEAD = ("host", "last good archive", "age", "size", "change", "new", "")
_RIGHT = (2, 3, 4, 5)  # columns of numbers
NS = 1_000_000_000


def table(hosts: Sequence[HostStatus], *, iec: bool) -> str:
    """One line a host, the worst first."""
    rows = [_HEAD, *(_row(status, iec=iec) for status in hosts)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    return "".join(f"{_line(row, widths)}\n" for row in rows)


def _line(row: tuple[str, ...], widths: Sequence[int]) -> str:
    cells = (
        cell.rjust(width) if column in _RIGHT else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join(cells).rstrip()


def _row(status: HostStatus, *, iec: bool) -> tuple[str, ...]:
    good = status.known.good
    words = ["OVERDUE"] if status.is_overdue else []
    if status.error:
        words.append(f"{status.condition}: {printable(status.error)}")
    elif status.condition != "never" or not words:
        words.append(status.condition)
    if good is None or status.age_s is None:
        return status.host.name, "never", "", "", "", "", " ".join(words)
    change = status.change_bytes
    return (
        status.host.name,
        format_time(int(good.start) * NS, "%Y-%m-%d %H:%M"),
        format_age(status.age_s),
        format_size(good.original_size, iec=iec),
        "" if change is None else f"{'+' if change >= 0 else ''}{format_size(change, iec=iec)}",
        format_size(good.deduplicated_size, iec=iec),
        " ".join(words),
    )


def document(hosts: Sequence[HostStatus], now: float) -> dict[str, object]:
    """What ``--json`` prints. Times as everywhere in Bork: local, without a zone; ages in seconds."""
    return {
        "time": _iso(now),
        "overdue": sum(status.is_overdue for status in hosts),
        "hosts": [_host(status) for status in hosts],
    }


def _host(status: HostStatus) -> dict[str, object]:
    host, known = status.host, status.known
    return {
        "name": host.name,
        "destination": host.destination,
        "repository": host.repository,
        "condition": status.condition,
        "error": status.error or None,
        "exit_code": known.exit_code,
        "failures": known.failures,
        "last_start": _iso(known.started),
        "last_end": _iso(known.ended),
        "last_good": _good(known.good, status.age_s),
        "change": status.change_bytes,
        "max_age": host.max_age_s,
        "overdue": status.is_overdue,
        "due": status.is_due,
    }


def _good(good: Good | None, age_s: float | None) -> dict[str, object] | None:
    if good is None:
        return None
    return {
        "archive": good.archive,
        "start": _iso(good.start),
        "age": round(age_s or 0.0, 3),
        "duration": round(good.end - good.start, 3),
        "original_size": good.original_size,
        "compressed_size": good.compressed_size,
        "deduplicated_size": good.deduplicated_size,
        "nfiles": good.files,
    }


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else iso(int(seconds * NS))
