"""Which paths of which client: ``root@client:/etc``, ``ssh://root@client:2222/etc``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from bork.errors import CommandError
from bork.storage.remote.command import Server

if TYPE_CHECKING:
    from collections.abc import Sequence

_HOST = r"(?:(?P<user>[^@:/]+)@)?(?P<host>(?!\[)[^:/]+(?<!\])|\[[0-9a-fA-F:.]+\])"
_SCP = rf"(?!ssh://){_HOST}:(?P<path>.*)\Z"
_URL = rf"ssh://{_HOST}(?::(?P<port>\d+))?(?P<path>/.*)\Z"


class Client(NamedTuple):
    """A host, and paths there as the user gave them; a path that is not absolute begins in the home directory."""

    server: Server
    paths: tuple[str, ...]

    @property
    def name(self) -> str:
        """How archives and messages call it: what the user of this machine calls it, never what it says of itself."""
        host, port = self.server.host, self.server.port
        return host if port is None else f"[{host}]:{port}"


def parse(sources: Sequence[str]) -> Client:
    """Raises: CommandError, for anything but paths of one client."""
    found = [_parse(source) for source in sources]
    servers = {server for server, _ in found}
    if len(servers) != 1:
        raise CommandError("a pull is from one client: run it once for each, or see --all")
    return Client(servers.pop(), tuple(path for _, path in found))


def _parse(source: str) -> tuple[Server, str]:
    match = re.match(_URL if source.startswith("ssh://") else _SCP, source, re.DOTALL)
    if match is None:
        raise CommandError(f"not a path of a client: {source!r} (what is wanted is [USER@]HOST:PATH)")
    parts = match.groupdict()
    path = parts["path"]
    if "\0" in path:
        raise CommandError(f"not a path: {source!r}")
    port = int(parts["port"]) if parts.get("port") else None
    return Server(parts["host"].strip("[]"), parts["user"], port), path or "."
