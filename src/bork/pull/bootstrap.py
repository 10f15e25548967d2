"""What a client's shell is asked to do: run the agent that is installed, or the one that we send.

Nothing of it comes from a configuration, an archive or another host: the text is the same for every client but for the
length and the checksum of the agent. A forced command replaces all of it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

ASK = b"BORK-SEND "  # what the shell says when it wants the agent; then the machine, and a line end

# Where Bork is a Python package, `bork-agent` may be a name without a program behind it.
_INSTALLED = 'p=$(command -v bork-agent) && "$p" --version >/dev/null 2>&1 && exec "$p" serve%OPTIONS%'
_ABSENT = 'echo "bork-agent is not installed on this client" >&2; exit 127'
# A file system may forbid programs (noexec), so each directory is tried with one that ends at once. The trap is for
# shells that are ended, and for a connection that is cut: it knows the directory before that exists, and lasts until
# the agent removes itself as its first deed. The end of its input, and not a signal, ends the agent.
_SENT = r"""
umask 077; d=
trap "rm -rf \"\$d\"" EXIT; trap "exit 1" HUP INT TERM PIPE
for t in "$XDG_RUNTIME_DIR" "$TMPDIR" /tmp /var/tmp "$HOME"; do
  [ -n "$t" ] && d=$(mktemp -u "$t/bork-agent.XXXXXXXX" 2>/dev/null) && mkdir "$d" 2>/dev/null || { d=; continue; }
  printf "#!/bin/sh\nexit 0\n" > "$d/agent" && chmod 700 "$d/agent" && "$d/agent" 2>/dev/null && break
  rm -rf "$d"; d=
done
[ -n "$d" ] || { echo "this client has no directory from which a program may run" >&2; exit 126; }
echo "BORK-SEND $(uname -m)"
head -c %LENGTH% | gzip -dc > "$d/agent"
s=$(sha256sum "$d/agent") && [ "${s%% *}" = %DIGEST% ] || { echo "the agent did not arrive whole" >&2; exit 1; }
trap "" HUP
exec "$d/agent" serve --remove-self%OPTIONS%
"""


class Agent(NamedTuple):
    """The program that is sent: ``data`` is packed with gzip, ``digest`` the SHA-256 of what comes out."""

    data: bytes
    digest: str
    machine: str


def agents() -> dict[str, Path]:
    """The agents that this installation has, by machine."""
    paths = sorted((Path(__file__).parent / "agents").glob("bork-agent-*.gz"))
    return {path.stem.removeprefix("bork-agent-"): path for path in paths}


def load(path: Path) -> Agent:
    """``path``: one of ``agents``. Cost: about 10 ms."""
    program = path.with_suffix("")
    return Agent(path.read_bytes(), hashlib.sha256(program.read_bytes()).hexdigest(), program.name.rsplit("-", 1)[1])


def command(agent: Agent | None, *, write: bool = False) -> str:
    """The command line for the client's shell. ``agent``: what may be sent; None: nothing. ``write``: for a restore."""
    if agent is None:
        script = f"{_INSTALLED}; {_ABSENT}"
    else:
        sent = _SENT.replace("%LENGTH%", str(len(agent.data))).replace("%DIGEST%", agent.digest)
        script = f"{_INSTALLED}\n{sent}"
    script = script.replace("%OPTIONS%", " --write /" if write else "")
    assert "'" not in script
    return f"exec sh -c '{script}'"
