"""When a host is due: so long after the last good pull, or at times of the day."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bork.pull.fleet.state import HostState

DAY_S = 86400
SLACK_S = 60  # a timer that fires every hour, a moment early, still means every hour
FUTURE_S = 300  # a start that lies further ahead was noted by a clock that was wrong


class Schedule(NamedTuple):
    """One of these: ``every_s``, seconds between the starts of good pulls; ``at``, minutes since local midnight."""

    every_s: int = 0
    at: tuple[int, ...] = ()

    def longest_pause_s(self) -> int:
        """The longest time between two pulls when all goes well."""
        if self.every_s:
            return self.every_s
        times = sorted(self.at)
        gaps = (60 * (later - earlier) for earlier, later in itertools.pairwise(times))
        return max(DAY_S - 60 * (times[-1] - times[0]), *gaps, 0)

    def wanted_since(self, now: float) -> float:
        """A good pull that began at this time or later is enough for now. Seconds since 1970, as ``now``."""
        return now - self.every_s + SLACK_S if self.every_s else previous(now, self.at)


def previous(now: float, at: Sequence[int]) -> float:
    """The last time that was one of those, in the time zone of this process. Clock changes move it, and lose none."""
    today = time.localtime(now)
    moments = (
        time.mktime((today.tm_year, today.tm_mon, today.tm_mday - back, 0, minutes, 0, 0, 0, -1))
        for back in (0, 1)
        for minutes in at
    )
    return max(moment for moment in moments if moment <= now)


def is_due(schedule: Schedule, state: HostState, retry_s: int, now: float) -> bool:
    """Whether to pull now. After a failure not before ``retry_s`` is over: a timer does not hammer a dead host."""
    good = state.good.start if state.good is not None else None
    if good is not None and schedule.wanted_since(now) <= good <= now + FUTURE_S:
        return False
    has_failed = state.started is not None and (good is None or state.started > good)
    return not (has_failed and now - retry_s + SLACK_S < (state.started or 0) <= now + FUTURE_S)
