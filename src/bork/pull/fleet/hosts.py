"""One host of the configuration, with everything that holds for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from bork.pull.fleet.schedule import Schedule


class Host(NamedTuple):
    """Names and paths have passed ``names``. Durations in seconds."""

    name: str
    destination: str  # [USER@]HOST
    paths: tuple[str, ...]  # of the host, absolute
    repository: str
    archive: str  # a pattern; {name} is replaced already
    glob: str  # matches the host's archives in the repository, and no others
    options: tuple[str, ...] = ()  # of bork pull, one word each
    ssh_options: tuple[str, ...] = ()  # Name=value
    schedule: Schedule | None = None  # None: only bork pull --all
    retry_s: int = 3600  # so long after a failure it is due again
    timeout_s: int = 86400  # for one command; what takes longer is ended
    max_age_s: int | None = None  # of the last good archive; None: it is never overdue
    keep: tuple[tuple[str, str], ...] = ()  # rule and number, as options of bork prune; empty: nothing is deleted
    by_arrival: bool = True
    compact: bool = False
    passcommand: str | None = None
    passphrase_file: str | None = None
    public_key: str | None = None  # path on this machine, of the key that --setup hands out
    agent: str = "bork-agent"  # the program on the host
    client_encrypts: bool = False
    paused: bool = False

    def sources(self) -> tuple[str, ...]:
        """The arguments of ``bork pull``."""
        return tuple(f"{self.destination}:{path}" for path in self.paths)


class Fleet(NamedTuple):
    """A whole configuration."""

    path: str
    hosts: tuple[Host, ...]  # in the order of the file
    jobs: int
    prometheus_file: str | None = None

    def find(self, name: str) -> Host | None:
        return next((host for host in self.hosts if host.name == name), None)
