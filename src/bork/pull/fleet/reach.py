"""Whether ssh gets into a host at all: the part of ``--check`` that needs no agent."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

from bork.errors import ConnectionClosedWithHint
from bork.pull.fleet import commands
from bork.pull.fleet.checking import Probe

TIMEOUT_S = 60.0
SSH_FAILED = 255  # ssh itself; every other code is of what ran there
WORDS_MAX = 300


class SSHProber:
    """A ``Prober`` that sees no versions and no rights. Under a forced command its ``true`` is not run: be it."""

    def __init__(self, rsh: str, variables: Mapping[str, str]) -> None:
        self._rsh = rsh
        self._variables = variables

    def __call__(self, destination: str, paths: Sequence[str], ssh_options: Sequence[str]) -> Probe:
        words = [*commands.ssh_words(ssh_options, self._rsh), "--", destination, "true"]
        try:
            done = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env=dict(self._variables),
                timeout=TIMEOUT_S,
                check=False,
                start_new_session=True,  # nobody is asked for a password: a pull could not ask, either
            )
        except subprocess.TimeoutExpired:
            raise ConnectionClosedWithHint(f"no answer for {TIMEOUT_S:.0f} seconds") from None
        except OSError as error:
            raise ConnectionClosedWithHint(f"{words[0]}: {error.strerror}") from None
        if done.returncode == SSH_FAILED or done.returncode < 0:
            said = done.stderr.decode("utf-8", "backslashreplace").strip().splitlines()
            raise ConnectionClosedWithHint((said[-1] if said else "ssh ended without a word")[:WORDS_MAX])
        return Probe(has_seen_paths=False)
