"""Know again what was forgotten: the last archives of a host, as its repository has them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bork.pull.fleet import commands
from bork.pull.fleet.child import open_passphrase
from bork.pull.fleet.state import Good, HostState

if TYPE_CHECKING:
    from bork.pull.fleet.hosts import Host


class NotKnown(Exception):
    """The repository does not tell, for this reason."""


def ask(host: Host, program: Sequence[str], variables: Mapping[str, str], known: HostState) -> HostState:
    """``known`` with what the repository says of the last two archives. Raises NotKnown.

    When they began is taken from the archives; it is no newer than what this machine has noted itself.
    """
    words = [*program, "info", "--json", "--last=2", f"--glob-archives={host.glob}", "--", host.repository]
    passphrase = None
    try:
        passphrase = open_passphrase(host)
        done = subprocess.run(
            words,
            env=commands.environment(host, variables, passphrase),
            pass_fds=[] if passphrase is None else [passphrase],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=host.timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NotKnown("it takes too long") from None
    except OSError as error:
        raise NotKnown(error.strerror) from None
    finally:
        if passphrase is not None:
            os.close(passphrase)
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "backslashreplace").strip().splitlines()
        raise NotKnown(said[-1] if said else f"it ended with exit code {done.returncode}")
    try:
        archives = [_good(one) for one in json.loads(done.stdout)["archives"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise NotKnown("its answer cannot be understood") from None
    archives.sort(key=lambda good: good.start)
    good = archives[-1] if archives else None
    previous = archives[-2] if len(archives) > 1 else None
    return known._replace(repository=host.repository, good=good, previous=previous)


def _good(archive: dict[str, Any]) -> Good:
    start, end = (datetime.fromisoformat(archive[key]).timestamp() for key in ("start", "end"))
    stats = archive["stats"]
    sizes = (int(stats[key]) for key in ("original_size", "compressed_size", "deduplicated_size", "nfiles"))
    return Good(str(archive["name"]), start, end, *sizes)
