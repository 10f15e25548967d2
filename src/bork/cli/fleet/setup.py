"""``bork pull --setup HOST [--apply]``: the key on stdout, and what it means on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bork.cli.fleet import program
from bork.pull.fleet import setup

if TYPE_CHECKING:
    from bork.cli.invocation import Invocation
    from bork.pull.fleet.hosts import Host


def run(invocation: Invocation, host: Host) -> None:
    key = setup.read_public_key(setup.public_key_path(host, invocation.environment.base_dir()))
    line = setup.authorized_line(host, key)
    if invocation.values.flag("apply"):
        _apply(invocation, host, key, line)
        return
    user, at, _ = host.destination.rpartition("@")
    account = f"the account {user}" if at else "the account that is logged in to"
    for text in (
        f"In ~/.ssh/authorized_keys of {account} on {host.name} the line lets this server read, and nothing else:",
        f"  it may read {', '.join(host.paths)} by {host.agent}, which has to be installed there;",
        "  it may not write, open a shell, or forward anything. For bork push use another key, when it is needed.",
        f'"bork pull --setup {host.name} --apply" puts it there, with your own login.',
    ):
        invocation.console.talk(text)
    invocation.console.result(f"{line}\n")


def _apply(invocation: Invocation, host: Host, key: setup.PublicKey, line: str) -> None:
    from bork.pull.fleet import installing  # late: only for --apply

    outcome = installing.install(host, key, line, program.rsh(invocation))
    text = {
        installing.ADDED: "the line was added",
        installing.THERE: "the line is there already",
        installing.REPLACED: "the line was put in place of an older one for the same key",
    }[outcome]
    invocation.console.result(f"{host.name}: {text}\n")
