"""Ask a host what ``--check`` wants to know: a handshake with its agent, and a pull that only looks at the roots."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence

from bork.pull import client as clients
from bork.pull.fleet import commands
from bork.pull.fleet.checking import Probe
from bork.pull.fleet.child import parse_record
from bork.pull.line import connect

TIMEOUT_S = 300.0
_ROOT = r"re:^[^.]|^\.."  # all that is below /, whose own path is "."


class AgentProber:
    """A ``Prober``. ``ship``: whether the agent may be sent; ``program``: the words in front of ``pull``."""

    def __init__(self, program: Sequence[str], rsh: str, variables: Mapping[str, str], *, ship: bool) -> None:
        self._program = program
        self._rsh = rsh
        self._variables = variables
        self._ship = ship

    def __call__(self, destination: str, paths: Sequence[str], ssh_options: Sequence[str]) -> Probe:
        said: list[str] = []
        rsh = self._unattended(ssh_options)
        server = clients.parse([f"{destination}:/"]).server
        line = connect(server, rsh, said.append, ship=self._ship)
        try:
            hello = line.hello
        finally:
            line.close()
        return Probe(
            agent=f"bork-agent {hello.program}, uid {hello.uid}",
            problems=self._look(destination, paths, rsh),
            reads_all=hello.reads_all,
        )

    def _unattended(self, ssh_options: Sequence[str]) -> str:
        """As for a pull by a timer: ssh that would ask somebody fails."""
        words = commands.ssh_words(ssh_options, self._rsh)
        if os.path.basename(words[0]) == "ssh":
            words += ["-o", "BatchMode=yes"]
        return shlex.join(words)

    def _look(self, destination: str, paths: Sequence[str], rsh: str) -> tuple[str, ...]:
        """Walk the roots and nothing below them. What the agent cannot do there, one line each."""
        words = ["pull", "--dry-run", "--log-json", f"--rsh={rsh}", *(f"--exclude={_below(path)}" for path in paths)]
        if not self._ship:
            words.append("--no-ship")
        words += ["--", *(f"{destination}:{path}" for path in paths), "/nowhere::check"]
        try:
            done = subprocess.run(
                [*self._program, *words],
                env={**self._variables, "BORK_EXIT_CODES": "modern"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=TIMEOUT_S,
                check=False,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired:
            return (f"no answer for {TIMEOUT_S:.0f} seconds",)
        except OSError as error:
            return (f"{self._program[0]}: {error.strerror}",)
        records = [parse_record(one) for one in done.stderr.splitlines() if one.strip()]
        problems = [
            str(one.get("message"))
            for one in records
            if one["type"] == "log_message" and one.get("levelname") in ("WARNING", "ERROR", "CRITICAL")
        ]
        if done.returncode != 0 and not problems:
            problems = [f"it ended with exit code {done.returncode}"]
        return tuple(problems) if done.returncode != 0 else ()


def _below(path: str) -> str:
    """A pattern for everything in a directory, but not the directory."""
    stored = os.path.normpath(path).lstrip("/")
    return f"re:^{re.escape(stored)}/." if stored else _ROOT
