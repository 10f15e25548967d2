"""The command lines of the children: words for ``execve``, none of which passes a shell of this machine."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from bork.pull.fleet import names

if TYPE_CHECKING:
    from bork.pull.fleet.hosts import Host

SSH = "ssh"
PULL, PRUNE, COMPACT = "pull", "prune", "compact"

# What names a passphrase. If the configuration does, the environment of this process does not.
_PASSPHRASE = ("PASSPHRASE", "PASSCOMMAND", "PASSPHRASE_FD")
_DESCRIPTOR = "BORK_PASSPHRASE_FD"


class Step(NamedTuple):
    """One child. ``exclusive``: nothing else with the same text runs at the same time."""

    stage: str
    words: tuple[str, ...]
    exclusive: str = ""


def pull(host: Host, rsh: str, *, show_progress: bool) -> Step:
    """``rsh``: the command that the options of the host are added to."""
    words = [PULL, "--log-json", "--json", "--quick-stats"]
    if show_progress:
        words.append("--progress")
    if host.ssh_options or rsh != SSH:
        words.append(f"--rsh={ssh(host, rsh)}")
    words += [*host.options, "--", *host.sources(), f"{host.repository}::{host.archive}"]
    return Step(PULL, tuple(words))


def prune(host: Host) -> Step:
    words = [PRUNE, "--log-json", f"--glob-archives={host.glob}"]
    if host.by_arrival:
        words.append("--by-arrival")
    words += [f"{rule}={number}" for rule, number in host.keep]
    return Step(PRUNE, (*words, "--", host.repository))


def compact(host: Host) -> Step:
    return Step(COMPACT, (COMPACT, "--log-json", "--", host.repository), exclusive=names.place(host.repository))


def ssh(host: Host, rsh: str) -> str:
    """The command that connects, as one text for ``--rsh``."""
    return shlex.join(ssh_words(host.ssh_options, rsh))


def ssh_words(options: Sequence[str], rsh: str) -> list[str]:
    return [*shlex.split(rsh), *(word for option in options for word in ("-o", option))]


def environment(host: Host, variables: Mapping[str, str], passphrase_fd: int | None) -> dict[str, str]:
    """The variables of a child. Nobody is there to be asked: neither it nor ssh may open a window."""
    result = {**variables, "BORK_EXIT_CODES": "modern", "SSH_ASKPASS_REQUIRE": "never"}
    if host.passcommand is not None or passphrase_fd is not None:
        for name in _PASSPHRASE:
            result.pop(f"BORK_{name}", None)
            result.pop(f"BORG_{name}", None)
    if host.passcommand is not None:
        result["BORK_PASSCOMMAND"] = host.passcommand
    elif passphrase_fd is not None:
        result[_DESCRIPTOR] = str(passphrase_fd)
    return result
