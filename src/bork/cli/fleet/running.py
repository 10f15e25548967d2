"""``bork pull --all``, ``--due`` and ``--host``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bork.cli import exit_codes
from bork.cli.fleet import command, program
from bork.cli.fleet.observers import Board, Lines, Records
from bork.errors import OutputFault
from bork.pull.fleet import metrics, runner, state, status
from bork.pull.fleet.state import StateDirectory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bork.cli.invocation import Invocation
    from bork.pull.fleet.events import HostResult, Observer
    from bork.pull.fleet.hosts import Fleet, Host


def run(invocation: Invocation, fleet: Fleet) -> None:
    states = StateDirectory(invocation.environment.state_dir())
    hosts = _hosts(invocation, fleet, states)
    given = invocation.values
    settings = runner.Settings(
        program=program.words(invocation),
        variables=invocation.environment.variables,
        rsh=program.rsh(invocation),
        jobs=given.number("jobs") or fleet.jobs,
        show_progress=_is_board(invocation) or given.flag("progress"),
        states=states,
    )
    try:
        results = runner.run(hosts, settings, _observer(invocation, hosts))
    finally:
        _write_metrics(invocation, fleet, states)
    _summarize(invocation, results)
    invocation.exit_code = max(_exit_code(results), invocation.warnings.exit_code(modern=False))


def _hosts(invocation: Invocation, fleet: Fleet, states: StateDirectory) -> list[Host]:
    given = invocation.values
    if given.flag("due_hosts"):
        return status.due(fleet, states, time.time())
    if given.flag("all_hosts"):
        return [host for host in fleet.hosts if not host.paused]
    return [command.find(fleet, name) for name in dict.fromkeys(given.texts("one_host"))]


def _is_board(invocation: Invocation) -> bool:
    return not invocation.console.log_json and invocation.console.is_terminal()


def _observer(invocation: Invocation, hosts: Sequence[Host]) -> Observer:
    console = invocation.console
    if console.log_json:
        return Records(console)
    width = max((len(host.name) for host in hosts), default=0)
    return Board(console, width, len(hosts)) if _is_board(invocation) else Lines(console)


def _summarize(invocation: Invocation, results: Sequence[HostResult]) -> None:
    failed = sorted(result.host for result in results if result.outcome == state.ERROR)
    if failed:
        names = ", ".join(failed[:10]) + (", ..." if len(failed) > 10 else "")
        invocation.console.log("error", f"{len(failed)} of {len(results)} hosts failed: {names}")


def _exit_code(results: Sequence[HostResult]) -> int:
    outcomes = {result.outcome for result in results}
    if state.ERROR in outcomes:
        return exit_codes.ERROR
    return exit_codes.SUCCESS if outcomes <= {state.OK} else exit_codes.WARNING


def _write_metrics(invocation: Invocation, fleet: Fleet, states: StateDirectory) -> None:
    """Also after an interruption. That nobody can watch is no reason to call a backup failed, but one for a warning."""
    if fleet.prometheus_file is None:
        return
    now = time.time()
    try:
        metrics.write(fleet.prometheus_file, metrics.render(status.survey(fleet, states, now), now))
    except OutputFault as fault:
        invocation.console.log("warning", str(fault))
        invocation.warnings.add_plain()
