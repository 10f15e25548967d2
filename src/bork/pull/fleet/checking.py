"""``bork pull --check HOST``: everything that a pull needs, tried without writing to the host or the repository."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from bork.errors import AgentFault, BorkError

if TYPE_CHECKING:
    from bork.pull.fleet.hosts import Host

SPACE_MIN_BYTES = 1 << 30  # less free than this deserves a word, whatever the archives need

Level = Literal["ok", "warning", "error"]


class Probe(NamedTuple):
    """What the other end has said."""

    agent: str  # program and version
    problems: tuple[str, ...] = ()  # with the roots, one line each
    reads_all: bool = True  # whether its user may read what belongs to others


class Prober(Protocol):
    """Begins a pull, asks, and goes away."""

    def __call__(self, destination: str, paths: Sequence[str], ssh_options: Sequence[str]) -> Probe:
        """``ssh_options``: ``Name=value``.

        Raises: AgentFault, if no agent there can be spoken with; BorkError, if the host cannot be reached.
        """
        ...


class Finding(NamedTuple):
    """One line: what was tried, and how it went."""

    subject: str  # reach, versions, rights, repository, space
    level: Level
    text: str


def check(
    host: Host, probe: Prober, open_repository: Callable[[], str], local_repository: str | None, needs_bytes: int = 0
) -> Iterator[Finding]:
    """Try one thing after the other; what depends on something that failed is left out.

    ``open_repository`` opens it with its key and says what it is; it raises BorkError. ``local_repository``: its path
    if it is on this machine. ``needs_bytes``: what the last archive has added.
    """
    yield from _check_host(host, probe)
    try:
        yield Finding("repository", "ok", open_repository())
    except BorkError as error:
        yield Finding("repository", "error", f"{error} {error.advice}".rstrip())
        return
    if local_repository is not None:
        yield _check_space(local_repository, needs_bytes)


def _check_host(host: Host, probe: Prober) -> Iterator[Finding]:
    try:
        seen = probe(host.destination, host.paths, host.ssh_options)
    except AgentFault as fault:
        yield Finding("reach", "ok", f"{host.destination} answers")
        yield Finding("versions", "error", f"{fault} {fault.advice}".rstrip())
        return
    except BorkError as error:
        yield Finding("reach", "error", f"{host.destination}: {error}")
        return
    yield Finding("reach", "ok", f"{host.destination} answers")
    yield Finding("versions", "ok", seen.agent)
    for problem in seen.problems:
        yield Finding("rights", "error", problem)
    if seen.problems:
        return
    if seen.reads_all:
        yield Finding("rights", "ok", f"{', '.join(host.paths)} can be read")
    else:
        yield Finding("rights", "warning", "the agent may not read all files: its user is not root and has no right to")


def _check_space(path: str, needs_bytes: int) -> Finding:
    try:
        status = os.statvfs(path)
    except OSError as error:
        return Finding("space", "error", f"{path}: {error.strerror}")
    free = status.f_bavail * status.f_frsize
    wanted = max(SPACE_MIN_BYTES, needs_bytes)
    text = f"{free / 1e9:.1f} GB free"
    if free < wanted:
        return Finding("space", "warning", f"{text}, and the last archive has added {needs_bytes / 1e9:.1f} GB")
    return Finding("space", "ok", text)


def worst(findings: Sequence[Finding]) -> int:
    """The exit code: 0 all is well, 1 something deserves a look, 2 a pull would fail."""
    levels: dict[str, int] = {"ok": 0, "warning": 1, "error": 2}
    return max((levels[finding.level] for finding in findings), default=0)
