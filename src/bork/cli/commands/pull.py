"""``bork pull``: make an archive of what is on another host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bork.cli import blind, created, paths, values
from bork.cli.agent_line import agent_line
from bork.cli.commands import create as local
from bork.cli.create_options import CREATE
from bork.cli.environment import Environment
from bork.cli.fleet import command as fleet
from bork.cli.options import Command, Group, Option, Positional

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bork.cli.invocation import Invocation
    from bork.operations.create import CreateOptions
    from bork.pull.client import Client

_PULL = (
    Option(
        ("--share-dedup",),
        "share_dedup",
        "let the client know which of its chunks the repository has from other clients: it sends less",
    ),
    Option(
        ("--download-ratelimit",),
        "download_ratelimit",
        "have the client send at most RATE kiByte/s (default: 0=unlimited)",
        "RATE",
        values.natural,
        0,
    ),
    Option(("--no-ship",), "no_ship", "never send the agent: the client has it installed"),
)
# Of create: what can only be on this machine.
_LOCAL = frozenset(
    (
        *("stdin_name", "stdin_user", "stdin_group", "stdin_mode", "content_from_command"),
        *("paths_from_stdin", "paths_from_command", "paths_delimiter", "sparse", "root"),
    )
)


def _of_create(options: tuple[Option, ...]) -> tuple[Option, ...]:
    return tuple(option for option in options if option.dest not in _LOCAL)


COMMAND = Command(
    "pull",
    "Create a new archive of what is on another host",
    (
        Positional("paths", "CLIENT:PATH", "path", "[USER@]HOST:PATH or ssh://[USER@]HOST[:PORT]/PATH", "*"),
        Positional("location", "ARCHIVE", "archive", "name of archive to create, as REPOSITORY::ARCHIVE", "?"),
    ),
    _of_create(CREATE.options),
    (
        Group("Pull options", _PULL),
        Group("Many hosts", fleet.OPTIONS),
        Group("Options of a pull where the client encrypts", blind.OPTIONS),
        *(Group(group.title, _of_create(group.options)) for group in CREATE.groups),
    ),
    epilog="""\
The client needs nothing but sshd: the agent is sent over the same connection, runs from a private file and removes
it. --rsh says how to reach the client. {hostname} and {user} are those that you name, not what the client says.""",
)


class _ClientEnvironment(Environment):
    """Placeholders speak of the client, as the user of this machine calls it: a client must not choose names."""

    def __init__(self, variables: Mapping[str, str], client: Client) -> None:
        super().__init__(variables)
        self._client = client

    def hostname(self) -> str:
        return self._client.server.host

    def fqdn(self) -> str:
        return self._client.server.host

    def username(self) -> str:
        return self._client.server.user or super().username()


def run(invocation: Invocation) -> None:
    if fleet.is_wanted(invocation):
        fleet.run(invocation)
        return
    from bork.pull import client as clients  # late: with the engine

    sources = invocation.paths()
    if not sources:
        invocation.fail("the following arguments are required: CLIENT:PATH")
    if invocation.rules.roots:
        invocation.fail("patterns with roots are for local backups: name the paths of the client")
    client = clients.parse(sources)
    invocation.environment = _ClientEnvironment(invocation.environment.variables, client)
    location, options = local.prepare(invocation)
    options = _of_client(options, client)
    if blind.is_wanted(invocation):
        blind.pull(invocation, client.server, location, options)
        return
    invocation.console.log("info", f'Pulling archive "{location.canonical()}::{location.archive}" from {client.name}')
    access = invocation.access(location)
    from bork.pull import pull  # late: a bad command line is answered without the engine
    from bork.pull.session import Connecting

    given = invocation.values
    wanted = pull.PullOptions(
        share_dedup=given.flag("share_dedup"), rate_bytes_s=1024 * given.number("download_ratelimit")
    )
    # At once where nobody is asked for two passphrases at the same time, that of ssh and that of the key.
    eager = any(invocation.environment.get(name) is not None for name in ("PASSPHRASE", "PASSCOMMAND", "PASSPHRASE_FD"))
    connecting = Connecting(lambda is_wanted: agent_line(invocation, client, is_wanted=is_wanted), eager=eager)
    outcome = pull.run(access, options, wanted, connecting, invocation.sink())
    if outcome.head is not None:
        created.show(invocation, access, outcome)


def _of_client(options: CreateOptions, client: Client) -> CreateOptions:
    from bork.operations.create import Root  # late: with the engine

    return options._replace(
        roots=tuple(Root(*paths.root(path)) for path in client.paths),
        hostname=client.name,
        username=client.server.user or "",
        cwd="",
    )
