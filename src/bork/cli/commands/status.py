"""``bork status``: how the hosts of ``bork pull --all`` are."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bork.cli import exit_codes
from bork.cli.fleet import command as fleets
from bork.cli.options import Command, Option, Positional

if TYPE_CHECKING:
    from bork.cli.invocation import Invocation
    from bork.pull.fleet.hosts import Host
    from bork.pull.fleet.state import StateDirectory

COMMAND = Command(
    "status",
    "Show when each host of the configuration was backed up last, and what is overdue",
    (Positional("hosts", "HOST", "text", "only these hosts of the configuration", "*"),),
    (
        fleets.CONFIG,
        Option(("--json",), "json", "format output as JSON"),
        Option(("--prometheus",), "prometheus", "write metrics of all hosts into FILE, for node_exporter", "FILE"),
        Option(("--refresh",), "refresh", "ask the repositories first, where what is known here was lost"),
    ),
    epilog="The exit code is 1 if a host is overdue: if its last good archive is older than max-age allows.",
)


def run(invocation: Invocation) -> None:
    fleet = fleets.load(invocation)
    given = invocation.values
    wanted = [fleets.find(fleet, name) for name in given.texts("hosts")] or list(fleet.hosts)
    # Late: a bad command line is answered without them.
    from bork.cli.fleet import status_output as output
    from bork.pull.fleet import metrics
    from bork.pull.fleet.state import StateDirectory
    from bork.pull.fleet.status import survey

    states = StateDirectory(invocation.environment.state_dir())
    if given.flag("refresh"):
        _refresh(invocation, wanted, states)
    now = time.time()
    hosts = survey(fleet, states, now)
    if path := given.optional("prometheus"):
        metrics.write(path, metrics.render(hosts, now))
    shown = [one for one in hosts if one.host in wanted]
    if given.flag("json"):
        invocation.console.result_json(output.document(shown, now), invocation.environment.json_indent())
    elif not path or given.texts("hosts"):
        invocation.console.result(output.table(shown, iec=invocation.console.iec))
    if any(one.is_overdue for one in shown):
        invocation.exit_code = exit_codes.WARNING


def _refresh(invocation: Invocation, hosts: list[Host], states: StateDirectory) -> None:
    """A repository that does not answer is a warning: what is known of it stays."""
    from bork.cli.fleet import program  # late: only for --refresh
    from bork.pull.fleet import refreshing

    states.prepare()
    for host in hosts:
        lock = states.lock_host(host.name)
        if lock is None:
            continue  # a pull is running, and will say it better
        with open(lock, "rb"):
            known = states.load(host.name, host.repository)
            try:
                known = refreshing.ask(host, program.words(invocation), invocation.environment.variables, known)
            except refreshing.NotKnown as reason:
                invocation.console.log("warning", f"{host.name}: {reason}")
                invocation.warnings.add_plain()
            else:
                states.save(host.name, known)
