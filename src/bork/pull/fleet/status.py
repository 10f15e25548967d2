"""How the fleet is, from what the last runs have noted: no host and no repository is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bork.pull.fleet import state
from bork.pull.fleet.schedule import FUTURE_S, is_due

if TYPE_CHECKING:
    from bork.pull.fleet.hosts import Fleet, Host
    from bork.pull.fleet.state import HostState, StateDirectory

PAUSED, NEVER = "paused", "never"


class HostStatus(NamedTuple):
    """One host at one moment."""

    host: Host
    known: HostState
    age_s: float | None  # of the content of the last good archive; None: there is none
    is_overdue: bool  # older than max-age allows
    is_due: bool  # bork pull --due would pull it now
    is_at_work: bool  # a pull of it is running

    @property
    def condition(self) -> str:
        """One word for the last run: ok, warning, error, running, never, paused."""
        if self.host.paused:
            return PAUSED
        if self.is_at_work:
            return state.RUNNING
        if self.known.outcome == state.RUNNING:
            return state.ERROR  # it was killed, or the machine was switched off
        if not self.known.outcome:
            return NEVER if self.known.good is None else state.OK  # its repository has told us
        return self.known.outcome

    @property
    def error(self) -> str:
        """What went wrong in the last run; empty: nothing."""
        if self.known.outcome == state.RUNNING and not self.is_at_work:
            return "it was ended before it could say how it went"
        return self.known.error

    @property
    def change_bytes(self) -> int | None:
        """How much larger the last good archive is than the one before."""
        good, previous = self.known.good, self.known.previous
        return None if good is None or previous is None else good.original_size - previous.original_size


def survey(fleet: Fleet, states: StateDirectory, now: float) -> list[HostStatus]:
    """All hosts, the worst first: overdue, then failed, then by age. ``now``: seconds since 1970."""
    hosts = [of_host(host, states, now) for host in fleet.hosts]
    return sorted(hosts, key=_badness)


def of_host(host: Host, states: StateDirectory, now: float) -> HostStatus:
    known = states.load(host.name, host.repository)
    age_s = None if known.good is None else now - known.good.start
    is_in_time = age_s is not None and -FUTURE_S <= age_s <= (host.max_age_s or 0)
    return HostStatus(
        host=host,
        known=known,
        age_s=age_s,
        is_overdue=host.max_age_s is not None and not host.paused and not is_in_time,
        is_due=not host.paused and host.schedule is not None and is_due(host.schedule, known, host.retry_s, now),
        is_at_work=states.is_at_work(host.name),
    )


def due(fleet: Fleet, states: StateDirectory, now: float) -> list[Host]:
    """What ``bork pull --due`` pulls, the longest without a good archive first."""
    hosts = [status for status in survey(fleet, states, now) if status.is_due and not status.is_at_work]
    return [status.host for status in sorted(hosts, key=lambda status: -_age(status))]


def _badness(status: HostStatus) -> tuple[bool, bool, float, str]:
    return not status.is_overdue, status.condition != state.ERROR, -_age(status), status.host.name


def _age(status: HostStatus) -> float:
    return float("inf") if status.age_s is None else status.age_s
