"""The state of the fleet as a file for the textfile collector of Prometheus' node_exporter.

Names, units and types follow its conventions: base units (seconds, bytes), times as seconds since 1970, no metric
without a value. What a host has no value for has no line, so that an alert on absence works.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from bork.errors import OutputFault
from bork.pull.fleet import state

if TYPE_CHECKING:
    from bork.pull.fleet.hosts import Host
    from bork.pull.fleet.status import HostStatus

Value = float | int | bool | None


class Metric(NamedTuple):
    name: str
    help: str
    value: Callable[[HostStatus], Value]


def _of_good(key: str) -> Callable[[HostStatus], Value]:
    return lambda status: None if status.known.good is None else getattr(status.known.good, key)


def _duration(status: HostStatus) -> Value:
    good = status.known.good
    return None if good is None else round(good.end - good.start, 3)


def _success(status: HostStatus) -> Value:
    if status.is_at_work or not status.known.outcome:
        return None
    return status.known.outcome in (state.OK, state.WARNING)


METRICS = (
    Metric("last_success_timestamp_seconds", "When the last pull that made an archive began.", _of_good("start")),
    Metric("last_success_duration_seconds", "How long the last pull that made an archive took.", _duration),
    Metric("last_start_timestamp_seconds", "When the last pull began, good or not.", lambda one: one.known.started),
    Metric("last_end_timestamp_seconds", "When the last pull ended, good or not.", lambda one: one.known.ended),
    Metric("success", "Whether the last pull, and retention after it, went well: 1 or 0.", _success),
    Metric("failures", "Pulls without an archive since the last good one.", lambda one: one.known.failures),
    Metric("last_exit_code", "Exit code of the last command for the host.", lambda one: one.known.exit_code),
    Metric("archive_original_size_bytes", "Size of the files in the last archive.", _of_good("original_size")),
    Metric("archive_compressed_size_bytes", "The same, compressed.", _of_good("compressed_size")),
    Metric("archive_deduplicated_size_bytes", "What of it was new in the repository.", _of_good("deduplicated_size")),
    Metric("archive_files", "Number of files in the last archive.", _of_good("files")),
    Metric("archive_change_bytes", "How much larger it is than the one before.", lambda one: one.change_bytes),
    Metric("max_age_seconds", "How old the last archive may become.", lambda one: one.host.max_age_s),
    Metric("overdue", "Whether it is older: 1 or 0.", lambda one: one.is_overdue),
    Metric("paused", "Whether the configuration pauses the host: 1 or 0.", lambda one: one.host.paused),
)
PREFIX = "bork_pull_"


def render(hosts: Sequence[HostStatus], now: float) -> str:
    """The text, in the order of the names of the hosts."""
    lines: list[str] = []
    for metric in METRICS:
        values = [(status.host, metric.value(status)) for status in sorted(hosts, key=lambda one: one.host.name)]
        lines += _head(metric.name, metric.help)
        lines += [
            f"{PREFIX}{metric.name}{_labels(host)} {_number(value)}" for host, value in values if value is not None
        ]
    return "\n".join([*lines, *_head("status_timestamp_seconds", "When this was written."), _line(now), ""])


def _head(name: str, text: str) -> list[str]:
    return [f"# HELP {PREFIX}{name} {text}", f"# TYPE {PREFIX}{name} gauge"]


def _line(now: float) -> str:
    return f"{PREFIX}status_timestamp_seconds {_number(now)}"


def _labels(host: Host) -> str:
    return f'{{host="{escape(host.name)}",repository="{escape(host.repository)}"}}'


def _number(value: float | bool) -> str:
    return str(int(value)) if isinstance(value, bool) else repr(value)


def escape(text: str) -> str:
    """A value of a label."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def write(path: str, text: str) -> None:
    """Put the file in place of the old one, whole; anybody may read it. Raises: OutputFault.

    The collector reads all of ``*.prom`` at any moment, so the temporary file has another ending.
    """
    temp = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{os.getpid()}.tmp")
    try:
        fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with open(fd, "w", encoding="utf-8", errors="replace") as file:
                file.write(text)
                os.fchmod(fd, 0o644)
            os.replace(temp, path)
        except BaseException:
            os.unlink(temp)
            raise
    except OSError as error:
        raise OutputFault(path, error.strerror) from None
