"""Times are shown as Borg shows them, in local time and without a zone."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bork.cli import times

NS = 1_000_000_000


@pytest.fixture(autouse=True)
def zone(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """UTC, as the environment of every test says; and so again when the test has changed it."""
    time.tzset()
    yield
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()


def test_text_has_a_weekday_and_no_zone() -> None:
    assert times.format_time(1795421534 * NS) == "Mon, 2026-11-23 08:12:14"


def test_json_has_six_digits_and_no_zone() -> None:
    assert times.iso(1795421534 * NS + 999_999_999) == "2026-11-23T08:12:14.000000"


@pytest.mark.usefixtures("berlin")
def test_times_are_local() -> None:
    assert times.iso(1795421534 * NS) == "2026-11-23T09:12:14.000000"


@pytest.mark.parametrize("ns", [-1, -(10**18), 4_294_967_296 * NS])
def test_times_before_1970_and_after_2106_can_be_shown(ns: int) -> None:
    assert times.format_time(ns)


def test_a_format_of_strftime_is_used() -> None:
    assert f"{times.LocalTime(0):%Y/%m}" == "1970/01"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.00 seconds"),
        (0.007189, "0.01 seconds"),
        (1, "1.00 seconds"),
        (59.999, "60.00 seconds"),
        (60, "1 minutes 0.00 seconds"),
        (61.5, "1 minutes 1.50 seconds"),
        (3600, "1 hours 0.00 seconds"),
        (3661, "1 hours 1 minutes 1.00 seconds"),
        (86400, "1 days 0.00 seconds"),
        (90061.25, "1 days 1 hours 1 minutes 1.25 seconds"),
        (172800, "2 days 0.00 seconds"),
    ],
)
def test_durations_look_as_in_borg(seconds: float, text: str) -> None:
    assert times.format_duration(seconds) == text
