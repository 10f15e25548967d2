"""``bork`` with a ``pull`` that knows the blind way alone: what the tests of that way start."""

import os
import sys
from types import ModuleType

from bork.cli import blind, commands, execute, location, placeholders
from bork.cli.commands import create
from bork.cli.create_options import CREATE
from bork.cli.invocation import Invocation
from bork.cli.main import main
from bork.cli.options import Command, Positional
from bork.storage.remote.command import Server

COMMAND = Command(
    "pull",
    "Fetch from a client that encrypts",
    (Positional("words", "HOST:PATH", "text", "what to fetch, and the archive", "*"),),
    CREATE.options + blind.OPTIONS,
    CREATE.groups,
)


def run(invocation: Invocation) -> None:
    *sources, target = invocation.values.texts("words")
    parsed = [location.parse(source, default_repository=lambda: None) for source in sources]
    first = parsed[0]
    assert first is not None
    assert first.host is not None
    names = placeholders.of_client(invocation.environment, first.host, first.user)
    wanted = location.parse(
        target, default_repository=lambda: None, replace=lambda text: placeholders.replace(text, names)
    )
    assert wanted is not None
    assert wanted.archive is not None
    invocation.values["paths"] = [each.path for each in parsed if each is not None]
    options = create._options(invocation, wanted.archive, None, None)
    blind.pull(
        invocation,
        Server(first.host, first.user, first.port),
        wanted,
        options,
        rsh=invocation.values.optional("rsh") or invocation.environment.get("RSH") or "ssh",
        program=invocation.values.optional("remote_path") or invocation.environment.get("REMOTE_PATH") or "bork",
    )


_load = execute.load


def load(command: str) -> ModuleType:
    return sys.modules[__name__] if command == "pull" else _load(command)


if __name__ == "__main__":
    commands.COMMANDS["pull"] = "fetch"
    execute.load = load
    os.environ.pop("PYTHONPATH", None)
    sys.exit(main())
