"""The end at the server: start both programs, and say which of them was the reason if it did not work."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, NamedTuple, Protocol

from bork.errors import ClientFault, ClientLacksBork, CommandError, ConnectionClosedWithHint
from bork.protocol.preamble import encode_preamble
from bork.pull.blind import order as orders
from bork.pull.blind.join import Join
from bork.storage.local import LocalStore
from bork.storage.remote.command import remote_command

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bork.pull.blind.join import Ends
    from bork.pull.blind.order import Order
    from bork.storage.remote.command import Server

NOT_FOUND = 127  # exit code of a shell that finds no such program
SSH_FAILED = 255
FINE = frozenset((0, 1, *range(100, 127)))  # with warnings, in both numberings


class BlindPull(NamedTuple):
    """One run for one client."""

    client: Server
    rsh: str  # as of --rsh
    program: str  # Bork on the client, as of --remote-path
    bork: Sequence[str]  # the words that start Bork here
    environment: Mapping[str, str]  # of both programs
    repository: str  # absolute path
    order: Order


class Listener(Protocol):
    """What the two programs have to tell people."""

    def said_by_client(self, line: bytes) -> None:
        """A line of stderr: a JSON record of the client's Bork, or a word of ssh. Hostile."""

    def said_by_server(self, line: bytes) -> None:
        """A line of stderr of ``bork serve``."""

    def has_failed(self) -> bool:
        """Whether the client's Bork has said why it fails."""
        ...

    def last_words(self) -> str:
        """What was heard last and was no record: why ssh or a shell could not do it."""
        ...


def pull_blind(pull: BlindPull, listener: Listener) -> int:
    """Let the client store an archive (or make the repository). The exit code of its Bork, one of ``FINE``.

    Another one is returned only when the client has told the reason.
    Raises: CommandError, before anything is started; ClientLacksBork, ClientFault, ConnectionClosedWithHint.
    """
    client = remote_command(pull.client, pull.rsh, pull.program, "source")
    server = [*pull.bork, "serve", "--append-only", "--restrict-to-repository", pull.repository]
    try:
        preamble = encode_preamble(orders.encode(pull.order))
    except ValueError as problem:
        raise CommandError(f"this cannot be told to the client ({problem})") from None
    makes_archive = pull.order.encryption is None and not pull.order.options["dry_run"]
    before = _archives(pull.repository) if makes_archive else frozenset()
    joined = Join(client, server, pull.environment, listener.said_by_client, listener.said_by_server)
    ends = joined.run(preamble)
    code = _judge(pull, listener, ends)
    if code in FINE and makes_archive and not _archives(pull.repository) - before:
        said = f" and said: {words}" if (words := listener.last_words()) else ""
        raise ClientFault(
            pull.client.host, f"no archive has arrived, though its Bork ended with exit code {code}{said}"
        )
    return code


def _archives(path: str) -> frozenset[str]:
    """The names of the heads. They say nothing, but a new one is an archive."""
    store = LocalStore.open(path)
    try:
        return frozenset(name for name, _ in store.list("archives"))
    finally:
        store.close()


def _judge(pull: BlindPull, listener: Listener, ends: Ends) -> int:
    """The exit code of the client, if there is nothing to add to what it has said."""
    host, said = pull.client.host, listener.last_words()
    words = f" and said: {said}" if said else ""
    if ends.client in FINE or (ends.client > 0 and listener.has_failed() and not ends.server):
        return ends.client
    if ends.client == NOT_FOUND:
        raise ClientLacksBork(host, pull.program)
    if ends.client == SSH_FAILED or ends.client < 0:
        raise ConnectionClosedWithHint(f"ssh to {host} {_how(ends.client)}{words}")
    if ends.server:
        words += f"; bork serve on this machine {_how(ends.server)}"
    raise ClientFault(host, f"its Bork {_how(ends.client)}{words}")


def _how(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
