"""The rules of prune: what Borg 1.4.5 decides in the same places, and what holds for every policy."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bork.cli.commands.prune import COMMAND
from bork.cli.parser import Values, parse
from bork.errors import CommandError
from bork.operations import prune
from bork.operations.prune import PruneOptions
from bork.operations.retention import PERIODS, Candidate, Policy, Verdict, decide, is_checkpoint

VECTORS = Path(__file__).resolve().parent.parent.parent / "vectors" / "retention" / "decisions.json"
HOUR_NS = 3600 * 10**9
DAY_NS = 24 * HOUR_NS
NOW_NS = 20_000 * DAY_NS


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tests may set TZ; afterwards it is again what it was."""
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


# ---- against Borg ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One call of ``borg prune --dry-run --list``, and what it kept."""

    series: str
    zone: str
    now_ns: int
    options: str
    kept: dict[str, str] = field(hash=False)
    order: tuple[str, ...] | None = field(hash=False, default=None)  # what matched; None: all of the series


@cache
def vectors() -> tuple[dict[str, dict[str, int]], tuple[Case, ...]]:
    data = json.loads(VECTORS.read_text())
    cases = (Case(**{**case, "order": tuple(case["order"]) if "order" in case else None}) for case in data["cases"])
    return data["series"], tuple(cases)


def options_of(words: str) -> PruneOptions:
    """As the command line makes them."""
    values: Values = parse(COMMAND, words.split())
    counts = {rule: values.number(rule) for rule in PERIODS}
    glob, prefix = values.optional("glob_archives"), values.optional("prefix")
    return PruneOptions(Policy(values.number("within"), counts), glob, prefix)


def kept(verdicts: list[Verdict]) -> dict[str, str]:
    return {each.candidate.name: f"{each.reason.rule} #{each.reason.number}" for each in verdicts if each.reason}


def test_the_table_of_decisions_of_borg_has_every_rule_and_zone() -> None:
    _, cases = vectors()
    assert len(cases) > 200
    reasons = {reason.partition(" ")[0] for case in cases for reason in case.kept.values()}
    assert reasons >= {*PERIODS, "within", "checkpoint", "daily[oldest]", "yearly[oldest]"}
    assert len({case.zone for case in cases}) >= 6


def test_every_decision_and_its_reason_is_that_of_borg(monkeypatch: pytest.MonkeyPatch) -> None:
    series, cases = vectors()
    for case in cases:
        monkeypatch.setenv("TZ", case.zone)
        time.tzset()
        options = options_of(case.options)
        candidates = [
            Candidate(name, time_ns) for name, time_ns in series[case.series].items() if prune._matches(name, options)
        ]
        verdicts = decide(candidates, options.policy, case.now_ns)
        place = (case.series, case.zone, case.options)
        assert kept(verdicts) == case.kept, place
        if case.order is not None:
            assert tuple(verdict.candidate.name for verdict in verdicts) == case.order, place


# ---- what holds for every policy ---------------------------------------------------------------------------------

candidates_of = st.lists(
    st.builds(
        Candidate,
        st.text("abc", min_size=1, max_size=4).map(lambda name: name + "x")
        | st.text("abc", min_size=1, max_size=2).map(lambda name: name + ".checkpoint"),
        # Around now, in the far past (before 1970, too), and in the future.
        st.integers(-5, 5).map(lambda days: NOW_NS + days * DAY_NS // 3) | st.integers(-(2**62), 2**62),
    ),
    unique_by=lambda candidate: candidate.name,
    max_size=25,
)
policies = st.builds(
    Policy,
    st.integers(0, 100),
    st.dictionaries(st.sampled_from(sorted(PERIODS)), st.integers(-1, 5), max_size=4),
).filter(lambda policy: policy.within_h > 0 or any(policy.counts.values()))


@given(candidates_of, policies)
def test_every_archive_gets_one_verdict_and_the_newest_comes_first(candidates: list[Candidate], policy: Policy) -> None:
    verdicts = decide(candidates, policy, NOW_NS)
    assert sorted(verdict.candidate for verdict in verdicts) == sorted(candidates)
    times = [verdict.candidate.time_ns for verdict in verdicts]
    assert times == sorted(times, reverse=True)


@given(candidates_of, policies, st.randoms(use_true_random=False))
def test_the_order_in_which_archives_are_listed_decides_nothing(
    candidates: list[Candidate], policy: Policy, random: Random
) -> None:
    shuffled = list(candidates)
    random.shuffle(shuffled)
    assert decide(shuffled, policy, NOW_NS) == decide(candidates, policy, NOW_NS)


@given(candidates_of, policies)
def test_no_rule_keeps_more_than_it_may_and_each_number_is_given_once(
    candidates: list[Candidate], policy: Policy
) -> None:
    numbers: dict[str, list[int]] = {}
    for verdict in reversed(decide(candidates, policy, NOW_NS)):
        if verdict.reason is not None:
            numbers.setdefault(verdict.reason.rule.removesuffix("[oldest]"), []).append(verdict.reason.number)
    for rule, given_numbers in numbers.items():
        assert sorted(given_numbers) == list(range(1, len(given_numbers) + 1)), rule
        count = policy.counts.get(rule, 0)
        assert count < 0 or rule in ("within", "checkpoint") or len(given_numbers) <= count


@given(candidates_of, policies)
def test_some_complete_archive_is_always_kept_unless_only_its_age_is_asked_for(
    candidates: list[Candidate], policy: Policy
) -> None:
    complete = [candidate for candidate in candidates if not is_checkpoint(candidate.name)]
    if complete and any(policy.counts.values()):
        assert any(reason and not is_checkpoint(name.name) for name, reason in decide(candidates, policy, NOW_NS))


@given(candidates_of, policies)
def test_pruning_again_at_once_prunes_nothing(candidates: list[Candidate], policy: Policy) -> None:
    first = [verdict.candidate for verdict in decide(candidates, policy, NOW_NS) if verdict.reason is not None]
    assert [verdict.candidate for verdict in decide(first, policy, NOW_NS) if verdict.reason is None] == []


@given(candidates_of, policies, st.integers(0, 24))
def test_an_archive_that_cannot_be_read_never_makes_another_one_go(
    candidates: list[Candidate], policy: Policy, number: int
) -> None:
    """``prune`` leaves out damaged heads, and relies on this."""
    complete = [candidate for candidate in candidates if not is_checkpoint(candidate.name)]
    without = [candidate for at, candidate in enumerate(complete) if at != number]
    before = {verdict.candidate for verdict in decide(complete, policy, NOW_NS) if verdict.reason is not None}
    after = {verdict.candidate for verdict in decide(without, policy, NOW_NS) if verdict.reason is not None}
    assert before & set(without) <= after


@given(candidates_of, st.integers(1, 5))
def test_a_negative_number_keeps_whatever_any_number_keeps(candidates: list[Candidate], count: int) -> None:
    for rule in PERIODS:
        some = decide(candidates, Policy(counts={rule: count}), NOW_NS)
        everything = decide(candidates, Policy(counts={rule: -1}), NOW_NS)
        for one, other in zip(some, everything, strict=True):
            is_oldest = one.reason is not None and one.reason.rule.endswith("[oldest]")
            assert one.reason is None or is_oldest or other.reason == one.reason


@pytest.mark.parametrize(
    "policy", [Policy(), Policy(0, {"daily": 0}), Policy(-1), Policy(0, dict.fromkeys(PERIODS, 0))]
)
def test_a_policy_that_keeps_nothing_is_an_error(policy: Policy) -> None:
    with pytest.raises(CommandError, match="At least one"):
        decide([Candidate("a", NOW_NS)], policy, NOW_NS)


# ---- clocks that jump --------------------------------------------------------------------------------------------


def test_archives_from_the_future_count_as_the_newest_and_are_within_every_interval() -> None:
    candidates = [Candidate("future", NOW_NS + 900 * DAY_NS), Candidate("now", NOW_NS), Candidate("old", 0)]
    assert kept(decide(candidates, Policy(1), NOW_NS)) == {"future": "within #1", "now": "within #2"}
    assert kept(decide(candidates, Policy(counts={"daily": 1}), NOW_NS)) == {"future": "daily #1"}


def test_a_clock_that_is_set_back_keeps_what_it_made_before() -> None:
    candidates = [Candidate(str(day), NOW_NS - day * DAY_NS) for day in range(5)]
    years_ago = NOW_NS - 4000 * DAY_NS
    assert len(kept(decide(candidates, Policy(1), years_ago))) == 5


def test_the_interval_is_open_at_its_end() -> None:
    candidates = [Candidate("in", NOW_NS - HOUR_NS + 1), Candidate("out", NOW_NS - HOUR_NS)]
    assert kept(decide(candidates, Policy(1), NOW_NS)) == {"in": "within #1"}


def test_the_hour_that_comes_twice_in_autumn_is_one_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    twice_s = 1761440400  # 2025-10-26 01:00 UTC: the second 02:00 of that night
    candidates = [Candidate("first", (twice_s - 1800) * 10**9), Candidate("second", (twice_s + 1800) * 10**9)]
    assert kept(decide(candidates, Policy(counts={"hourly": -1}), NOW_NS)) == {"second": "hourly #1"}


def test_a_day_is_that_of_the_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    candidates = [Candidate(f"{hour:02}", hour * HOUR_NS) for hour in (1, 9, 17)]
    for zone_name, names in (("UTC", {"17"}), ("Asia/Tokyo", {"17", "09"}), ("America/Los_Angeles", {"17", "01"})):
        monkeypatch.setenv("TZ", zone_name)
        time.tzset()
        assert set(kept(decide(candidates, Policy(counts={"daily": -1}), NOW_NS))) == names, zone_name
