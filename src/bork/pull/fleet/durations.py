"""Durations of the configuration: ``30min``, ``6h``, ``1d``, ``2w``; and of the day: ``02:30``."""

from __future__ import annotations

import re

_UNITS_S = {"min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
NUMBER_MAX = 10_000  # of any unit: more is a mistake


def parse_duration(text: str) -> int:
    """Seconds. Raises ValueError with a sentence. There is no ``m``: elsewhere in Bork that is a month."""
    match = re.fullmatch(r"([0-9]{1,5})(min|h|d|w)", text)
    if match is None or not 0 < int(match[1]) <= NUMBER_MAX:
        raise ValueError(f"{text!r} is no duration, such as 30min, 6h, 1d or 2w")
    return int(match[1]) * _UNITS_S[match[2]]


def parse_time_of_day(text: str) -> int:
    """Minutes since midnight. Raises ValueError with a sentence."""
    match = re.fullmatch(r"([01][0-9]|2[0-3]):([0-5][0-9])", text)
    if match is None:
        raise ValueError(f"{text!r} is no time of day, such as 02:30")
    return int(match[1]) * 60 + int(match[2])


def format_age(seconds: float) -> str:
    """The two largest units, for people: ``3 d 4 h``, ``12 min``."""
    minutes = max(0, int(seconds)) // 60
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
