"""Which archives a retention policy keeps, and why. Pure: times go in, decisions come out, and nothing is stored.

The rules are those of Borg 1.4, to the letter, since people have policies that they trust (``vectors/retention`` holds
what Borg decides). Each rule cuts the local time into periods and keeps the newest archive of each, up to a number of
archives. Rules are asked in the order of ``PERIODS``; what an earlier one keeps does not count for a later one. A rule
that finds fewer archives than it may keep also keeps the oldest, which can grow old this way until it is worth a year.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from types import MappingProxyType
from typing import NamedTuple

from bork.errors import CommandError

NS = 1_000_000_000
HOUR_NS = 3600 * NS
_CHECKPOINT = re.compile(r"\.checkpoint(?:\.\d+)?\Z")


class Candidate(NamedTuple):
    """An archive, as far as rules look at it."""

    name: str  # unique; decides the order among equal times, and what is a checkpoint
    time_ns: int  # since 1970, UTC


class Reason(NamedTuple):
    """Why an archive is kept: the ``number``-th that ``rule`` keeps."""

    rule: str
    number: int


class Verdict(NamedTuple):
    candidate: Candidate
    reason: Reason | None  # None: it is to go


_Local = time.struct_time


def _quarter_of_13_weeks(local: _Local) -> tuple[int, int]:
    year, week, _ = date(*local[:3]).isocalendar()
    return year, min((week - 1) // 13, 3)  # a 53rd week belongs to the last quarter


# The period that a local time lies in, for each rule, in the order in which the rules are asked.
PERIODS: dict[str, Callable[[_Local], tuple[int, ...]]] = {
    "secondly": lambda local: tuple(local[:6]),
    "minutely": lambda local: tuple(local[:5]),
    "hourly": lambda local: tuple(local[:4]),
    "daily": lambda local: tuple(local[:3]),
    "weekly": lambda local: tuple(date(*local[:3]).isocalendar()[:2]),
    "monthly": lambda local: tuple(local[:2]),
    "quarterly_13weekly": _quarter_of_13_weeks,
    "quarterly_3monthly": lambda local: (local.tm_year, (local.tm_mon - 1) // 3),
    "yearly": lambda local: (local.tm_year,),
}
WITHIN = "within"
CHECKPOINT = "checkpoint"  # no rule of the user: the newest checkpoint, while no complete archive is newer


class Policy(NamedTuple):
    """What to keep. ``counts``: for each rule of ``PERIODS`` a number of archives, 0 for none, negative for all."""

    within_h: int = 0  # everything of the last so many hours; 0: the rule is not used
    counts: Mapping[str, int] = MappingProxyType({})

    def require_rules(self) -> None:
        """Raises: CommandError, if it would keep nothing: nobody means that."""
        if self.within_h <= 0 and not any(self.counts.values()):
            raise CommandError(
                'At least one of the "keep-within", "keep-last", "keep-secondly", "keep-minutely", "keep-hourly", '
                '"keep-daily", "keep-weekly", "keep-monthly", "keep-13weekly", "keep-3monthly", or "keep-yearly" '
                "settings must be specified."
            )


def is_checkpoint(name: str) -> bool:
    """Whether a name is one that unfinished archives are given."""
    return _CHECKPOINT.search(name) is not None


def without_checkpoint(name: str) -> str:
    """The name that an unfinished archive was to have."""
    return _CHECKPOINT.sub("", name)


def decide(candidates: Iterable[Candidate], policy: Policy, now_ns: int) -> list[Verdict]:
    """A verdict on each archive, newest first; of equal times the one with the greater name counts as newer.

    Periods are those of the time zone of this process. Raises: CommandError, as ``Policy.require_rules``.
    """
    policy.require_rules()
    newest_first = sorted(candidates, key=_age, reverse=True)
    # Checkpoints are left out: one of them must not be kept in place of a complete archive.
    complete = [one for one in newest_first if not is_checkpoint(one.name)]
    reasons: dict[str, Reason] = {}
    if policy.within_h > 0:
        recent = [one for one in complete if one.time_ns > now_ns - policy.within_h * HOUR_NS]
        reasons.update((one.name, Reason(WITHIN, number)) for number, one in enumerate(recent, 1))
    for rule in PERIODS:
        _keep(complete, rule, policy.counts.get(rule, 0), reasons)
    if newest_first and is_checkpoint(newest_first[0].name):
        reasons[newest_first[0].name] = Reason(CHECKPOINT, 1)
    return [Verdict(one, reasons.get(one.name)) for one in newest_first]


def _age(candidate: Candidate) -> tuple[int, bytes]:
    return candidate.time_ns, candidate.name.encode("utf-8", "surrogateescape")


def _keep(newest_first: list[Candidate], rule: str, count: int, reasons: dict[str, Reason]) -> None:
    """Add the reasons of one rule."""
    if not newest_first or not count:
        return
    kept, last = 0, None
    for one in newest_first:
        period = PERIODS[rule](time.localtime(one.time_ns // NS))
        if period == last:
            continue
        last = period
        if one.name not in reasons:
            kept += 1
            reasons[one.name] = Reason(rule, kept)
            if kept == count:
                return
    if kept < count and newest_first[-1].name not in reasons:
        reasons[newest_first[-1].name] = Reason(f"{rule}[oldest]", kept + 1)
