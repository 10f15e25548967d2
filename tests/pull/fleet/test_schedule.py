"""When a host is due, also around failures, clock changes and clocks that were wrong."""

import time
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from bork.pull.fleet.schedule import Schedule, is_due, previous
from bork.pull.fleet.state import Good, HostState

HOUR, DAY = 3600, 86400
NOW = 1_795_746_605.0  # 2026-11-27T02:30:05Z
HOURLY = Schedule(every_s=HOUR)


def state(good_before_s: float | None = None, started_before_s: float | None = None) -> HostState:
    """A host whose last good pull, and last pull at all, began so long before NOW."""
    good = None if good_before_s is None else Good("a", NOW - good_before_s, NOW, 1, 1, 1, 1)
    started = started_before_s if started_before_s is not None else good_before_s
    return HostState(started=None if started is None else NOW - started, good=good)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (state(), True),
        (state(HOUR / 2), False),
        (state(HOUR - 30), True),  # a timer that fires every hour, half a minute early
        (state(HOUR + 1), True),
        (state(-2 * DAY), True),  # noted by a clock that was two days ahead
        (state(None, 10), False),  # failed a moment ago
        (state(None, HOUR), True),
        (state(5 * HOUR, 10), False),
        (state(5 * HOUR, 2 * HOUR), True),
        (state(5 * HOUR, -2 * DAY), True),
    ],
)
def test_a_host_is_due_so_long_after_the_last_good_pull(known: HostState, expected: bool) -> None:
    assert is_due(HOURLY, known, HOUR, NOW) is expected


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> ZoneInfo:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    return ZoneInfo("Europe/Berlin")


def test_a_time_of_day_is_local(berlin: ZoneInfo) -> None:
    now = datetime(2026, 7, 1, 12, 0, tzinfo=berlin).timestamp()
    assert previous(now, [150]) == datetime(2026, 7, 1, 2, 30, tzinfo=berlin).timestamp()
    assert previous(now, [13 * 60]) == datetime(2026, 6, 30, 13, 0, tzinfo=berlin).timestamp()
    assert previous(now, [150, 11 * 60]) == datetime(2026, 7, 1, 11, 0, tzinfo=berlin).timestamp()


def test_every_day_has_its_pull_also_when_clocks_change(berlin: ZoneInfo) -> None:
    """A timer every quarter of an hour, over two years: one pull a day, and one more where an hour comes twice."""
    for at in (0, 150, 165, 23 * 60 + 59):
        schedule, pulls = Schedule(at=(at,)), 0
        known = HostState()
        now = datetime(2026, 1, 1, 0, 0, 30, tzinfo=berlin).timestamp() - 60
        for _ in range(4 * 24 * 730):
            if is_due(schedule, known, HOUR, now):
                assert known.started is None or now - known.started <= 25.5 * HOUR
                pulls += 1
                known = HostState(started=now, good=Good("a", now, now, 1, 1, 1, 1))
            now += 900
        assert 730 <= pulls <= 733, at


def test_the_longest_pause_decides_what_is_fresh() -> None:
    assert Schedule(every_s=5).longest_pause_s() == 5
    assert Schedule(at=(60,)).longest_pause_s() == DAY
    assert Schedule(at=(22 * 60, 60)).longest_pause_s() == 21 * HOUR


@pytest.fixture(autouse=True)
def restored_zone() -> object:
    yield
    time.tzset()
