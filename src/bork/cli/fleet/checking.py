"""``bork pull --check HOST``: one line for each thing that was tried."""

from __future__ import annotations

import copy
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from bork.cli import location as locations
from bork.cli.environment import Environment
from bork.cli.fleet import program
from bork.cli.output.text import printable
from bork.errors import CommandError
from bork.pull.fleet import checking, commands
from bork.pull.fleet.child import open_passphrase
from bork.pull.fleet.state import StateDirectory

if TYPE_CHECKING:
    from bork.cli.invocation import Invocation
    from bork.cli.location import Location
    from bork.pull.fleet.checking import Finding, Prober
    from bork.pull.fleet.hosts import Host


def run(invocation: Invocation, host: Host, probe: Prober | None = None) -> None:
    """``probe``: how the host is asked."""
    if host.client_encrypts:
        raise CommandError(f"{host.name} has client-encrypts: --check asks an agent, and there is none")
    location = locations.parse(host.repository, default_repository=lambda: None)
    if location is None:
        raise CommandError(f"{host.repository!r} is no location of a repository")
    good = StateDirectory(invocation.environment.state_dir()).load(host.name, host.repository).good
    findings: list[Finding] = []
    for finding in checking.check(
        host,
        probe or _prober(invocation, host),
        lambda: _open(invocation, host, location),
        location.absolute_path() if location.is_local else None,
        0 if good is None else good.deduplicated_size,
    ):
        findings.append(finding)
        invocation.console.result(f"{finding.subject:<11} {finding.level:<8} {printable(finding.text)}\n")
        invocation.console.out.flush()  # some steps take their time
    invocation.exit_code = checking.worst(findings)


def _prober(invocation: Invocation, host: Host) -> Prober:
    from bork.pull.fleet.probing import AgentProber  # late: with the engine

    variables = invocation.environment.variables
    return AgentProber(
        program.words(invocation), program.rsh(invocation), variables, ship="--no-ship" not in host.options
    )


def _open(invocation: Invocation, host: Host, location: Location) -> str:
    """Open the repository as a child would, with the passphrase of the host."""
    from bork.operations.opening import open_repository  # late: reach and rights are told without the engine

    try:
        passphrase = open_passphrase(host)
    except OSError as error:
        raise CommandError(error.strerror) from None
    as_child = copy.copy(invocation)
    as_child.environment = Environment(commands.environment(host, invocation.environment.variables, passphrase))
    try:
        # Without a session nothing is put into the repository.
        with open_repository(as_child.access(location)._replace(bypass_lock=True)) as opened:
            return f"{opened.repository.location} opens ({opened.mode.name})"
    finally:
        if passphrase is not None:
            with suppress(OSError):
                os.close(passphrase)  # unless who has read it has closed it
