"""The command that connects: ``ssh [-p PORT] [USER@]HOST bork serve``, or what ``--rsh`` puts in place of ``ssh``.

Nothing here passes a shell of this machine. Host and user are words of their own that cannot be taken for options; the
path of the repository is not part of the command at all, but a request.
"""

from __future__ import annotations

import shlex
from typing import NamedTuple

from bork.errors import CommandError

# What a shell or the configuration of ssh might give a meaning to (ProxyCommand with %h, Match exec).
_FORBIDDEN = frozenset("'`\"$\\;&<>|(){}!*?~#")


class Server(NamedTuple):
    """Where the other end is."""

    host: str
    user: str | None = None
    port: int | None = None


def connect_command(server: Server, rsh: str, remote_path: str, *options: str) -> list[str]:
    """The words to run. ``options`` are of ``bork serve``.

    Raises: CommandError, if a word could be taken for something else than it is.
    """
    words = ssh_words(server, rsh)
    if not remote_path or remote_path.startswith("-"):
        raise _no_program(remote_path)
    return [*words, remote_path, "serve", *options]


def remote_command(server: Server, rsh: str, program: str, *arguments: str) -> list[str]:
    """The words that run ``program`` on another host. Nothing of it means anything to the shell there.

    ``program`` may be several words, as ``sudo bork``, each of which is quoted. Raises: CommandError.
    """
    *words, destination = ssh_words(server, rsh)
    try:
        remote = shlex.split(program)
    except ValueError:
        remote = []
    if not remote or remote[0].startswith("-"):
        raise _no_program(program)
    return [*words, "--", destination, shlex.join([*remote, *arguments])]


def _no_program(text: str) -> CommandError:
    return CommandError(f"not the name of a program: {text!r} (--remote-path or BORK_REMOTE_PATH)")


def ssh_words(server: Server, rsh: str) -> list[str]:
    """The words up to and with the host. Raises: CommandError, as above."""
    try:
        words = shlex.split(rsh)
    except ValueError as problem:
        raise CommandError(f"the command of --rsh or BORK_RSH cannot be understood ({problem}): {rsh}") from None
    if not words:
        raise CommandError("the command of --rsh or BORK_RSH is empty")
    for what, text in (("host", server.host), ("user", server.user)):
        if text is not None:
            _check(what, text)
    if server.port is not None:
        if not 1 <= server.port <= 65535:
            raise CommandError(f"not a port: {server.port}")
        words += ["-p", str(server.port)]
    words.append(f"{server.user}@{server.host}" if server.user else server.host)
    return words


def _check(what: str, text: str) -> None:
    if text.startswith("-") or not text.isprintable() or any(c.isspace() or c in _FORBIDDEN for c in text) or not text:
        raise CommandError(f"not the name of a {what}: {text!r}")
