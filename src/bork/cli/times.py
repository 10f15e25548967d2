"""Times for people and for JSON: local time without a zone, as Borg shows it."""

from __future__ import annotations

import time
from datetime import datetime

_TEXT = "%a, %Y-%m-%d %H:%M:%S"
_ISO = "%Y-%m-%dT%H:%M:%S.%f"


def local(ns: int) -> datetime:
    """The second of ``ns`` since 1970 in local time. The fraction is dropped, not rounded."""
    return datetime(*time.localtime(ns // 1_000_000_000)[:6])  # noqa: DTZ001 (frontends parse times without a zone)


def format_time(ns: int, spec: str = "") -> str:
    return local(ns).strftime(spec or _TEXT)


def iso(ns: int) -> str:
    """``2026-11-23T08:12:14.000000``: always six digits and no zone, frontends parse it that way."""
    return local(ns).strftime(_ISO)


def format_duration(seconds: float) -> str:
    days, rest = divmod(seconds, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [f"{rest:.2f} seconds"]
    for value, unit in ((minutes, "minutes"), (hours, "hours"), (days, "days")):
        if value:
            parts.insert(0, f"{int(value)} {unit}")
    return " ".join(parts)


class LocalTime:
    """A time in a format string: ``{time}`` or ``{time:%Y}``."""

    def __init__(self, ns: int) -> None:
        self.ns = ns

    def __format__(self, spec: str) -> str:
        return format_time(self.ns, spec)

    def __str__(self) -> str:
        return format_time(self.ns)
