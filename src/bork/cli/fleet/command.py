"""``bork pull --all``, ``--due``, ``--host``, ``--check`` and ``--setup``: what is asked, and who does it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bork.cli import values
from bork.cli.options import Option
from bork.errors import CommandError

if TYPE_CHECKING:
    from bork.cli.invocation import Invocation
    from bork.pull.fleet.hosts import Fleet, Host

CONFIG = Option(("--config",), "config", "the configuration of the hosts (default: ~/.config/bork/pull.toml)", "FILE")
OPTIONS = (
    Option(("--all",), "all_hosts", "pull all hosts of the configuration that are not paused"),
    Option(("--due",), "due_hosts", "pull the hosts that are due by their schedule: for a timer"),
    Option(("--host",), "one_host", "pull this host of the configuration now (can be given several times)", "HOST",
           repeats=True),
    Option(("--jobs",), "jobs", "pull N hosts at the same time (default: as configured, else 4)", "N", values.positive),
    Option(("--check",), "check_host", "try all that a pull of HOST needs, and write nothing", "HOST"),
    Option(("--setup",), "setup_host", "show the line of authorized_keys that lets this server read HOST", "HOST"),
    Option(("--apply",), "apply", "with --setup: put the line there, over ssh"),
    CONFIG,
)  # fmt: skip
_MODES = {
    "all_hosts": "--all",
    "due_hosts": "--due",
    "one_host": "--host",
    "check_host": "--check",
    "setup_host": "--setup",
}


def is_wanted(invocation: Invocation) -> bool:
    """Whether the command line is about the configured hosts, and not about one pull."""
    return any(invocation.values.get(dest) for dest in (*_MODES, "config", "jobs", "apply"))


def run(invocation: Invocation) -> None:
    """Sets the exit code: 0 all is well, 1 with warnings, 2 if it failed for a host."""
    given = invocation.values
    modes = [option for dest, option in _MODES.items() if given.get(dest)]
    if not modes:
        invocation.fail(f"one of {', '.join(_MODES.values())} has to be given")
    if len(modes) > 1:
        invocation.fail(f"{' and '.join(modes)} exclude each other")
    if given.flag("apply") and modes != ["--setup"]:
        invocation.fail("--apply needs --setup")
    if given.get("jobs") is not None and modes[0] in ("--check", "--setup"):
        invocation.fail(f"--jobs and {modes[0]} exclude each other")
    if any(given.get(positional.dest) for positional in invocation.command.positionals):
        invocation.fail(f"{modes[0]} takes hosts, paths and repositories from the configuration, not from arguments")
    fleet = load(invocation)
    match modes[0]:
        case "--check":
            from bork.cli.fleet import checking  # late: each mode pays for itself

            checking.run(invocation, find(fleet, given.text("check_host")))
        case "--setup":
            from bork.cli.fleet import setup  # late: as above

            setup.run(invocation, find(fleet, given.text("setup_host")))
        case _:
            from bork.cli.fleet import running  # late: as above

            running.run(invocation, fleet)


def load(invocation: Invocation) -> Fleet:
    """The configuration. Raises: PullConfigInvalid."""
    from bork.cli.fleet.values import CHECKS  # late: only for who has hosts
    from bork.pull.fleet import config

    environment = invocation.environment
    path = invocation.values.optional("config") or os.path.join(environment.config_dir(), "pull.toml")
    return config.load(path, environment.base_dir(), CHECKS)


def find(fleet: Fleet, name: str) -> Host:
    host = fleet.find(name)
    if host is None:
        raise CommandError(f"there is no host {name!r} in {fleet.path}")
    return host
