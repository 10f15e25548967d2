"""``bork pull --setup HOST --apply``: put the line into the host's ``authorized_keys``, over ssh.

The remote shell runs a script that is the same for every host. What belongs to this host reaches it as data, on stdin,
and is nowhere evaluated.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bork.errors import CommandError, ConnectionClosedWithHint
from bork.pull.fleet import commands

if TYPE_CHECKING:
    from bork.pull.fleet.hosts import Host
    from bork.pull.fleet.setup import PublicKey

REPLY = "bork-setup: "
ADDED, THERE, REPLACED = "added", "there", "replaced"
TIMEOUT_S = 600.0  # somebody may have to type a password
WORDS_MAX = 300

# For any shell of POSIX, started by any login shell: it becomes one line without single quotes. A key that is in the
# file without a command that reads only is not touched: sshd would let it in by that line, so adding ours would
# restrict nothing. Appending is one write; replacing is a copy with the same mode and owner that is renamed.
_SCRIPT = r"""
umask 077; LC_ALL=C; export LC_ALL;
say() { echo "bork-setup: $1"; };
fail() { say "failed $1"; exit 1; };
IFS= read -r blob; IFS= read -r line;
if [ -z "$blob" ] || [ -z "$line" ]; then fail "to read the line"; fi;
dir="$HOME/.ssh"; file="$dir/authorized_keys"; lock="$dir/.bork-setup";
mkdir -p "$dir" || fail "to make $dir";
mkdir "$lock" 2>/dev/null || fail "since another setup is at work; if not, remove $lock";
trap "rmdir \"$lock\"" EXIT; trap "exit 1" HUP INT TERM;
if [ -L "$file" ]; then file=$(readlink -f "$file"); fi;
if [ -e "$file" ]; then :; else : > "$file" || fail "to make $file"; fi;
same=; old=; other=;
while IFS= read -r each || [ -n "$each" ]; do
  case "$each" in
    \#*) ;;
    "$line") same=1 ;;
    *"$blob"*) case "$each" in *command=*serve\ --read*) old=1 ;; *) other=1 ;; esac ;;
  esac;
done < "$file";
if [ -n "$other" ]; then say other;
elif [ -n "$old" ]; then
  new=$(mktemp "$file.XXXXXX") && cp -p "$file" "$new" || fail "to copy $file";
  {
    while IFS= read -r each || [ -n "$each" ]; do
      case "$each" in
        \#*) printf "%s\n" "$each" ;;
        *"$blob"*) ;;
        *) printf "%s\n" "$each" ;;
      esac;
    done < "$file";
    printf "%s\n" "$line";
  } > "$new" && mv -f "$new" "$file" || { rm -f "$new"; fail "to write $file"; };
  say replaced;
elif [ -n "$same" ]; then say there;
else
  end=; if [ -n "$(tail -c 1 "$file")" ]; then end=1; fi;
  printf "${end:+\n}%s\n" "$line" >> "$file" || fail "to write $file";
  say added;
fi
"""
SCRIPT = " ".join(line.strip() for line in _SCRIPT.strip().splitlines())

_NOT_OF_THE_ADMINISTRATOR = ("identityfile", "identitiesonly")


def command(host: Host, rsh: str) -> list[str]:
    """The words to run. The key that is being handed out is not the one to log in with."""
    options = [one for one in host.ssh_options if one.partition("=")[0].lower() not in _NOT_OF_THE_ADMINISTRATOR]
    return [*commands.ssh_words(options, rsh), "--", host.destination, f"exec /bin/sh -c {shlex.quote(SCRIPT)}"]


def install(host: Host, key: PublicKey, line: str, rsh: str) -> str:
    """ADDED, THERE or REPLACED. ssh may ask for a password on the terminal.

    Raises: ConnectionClosedWithHint; CommandError, if the key is there without a restriction.
    """
    words = command(host, rsh)
    said = _run(words, f"{key.blob}\n{line}\n".encode())
    replies = [one.removeprefix(REPLY) for one in said.splitlines() if one.startswith(REPLY)]
    reply = replies[-1] if replies else ""
    if reply in (ADDED, THERE, REPLACED):
        return reply
    if reply == "other":
        raise CommandError(
            f"{host.destination} lets this key in already, with another line: remove that one, "
            "or use a key of its own (public-key, and IdentityFile among the ssh-options)"
        )
    hint = reply or "what answers there is no shell, as if the key may do something else only"
    raise ConnectionClosedWithHint("".join(c if c.isprintable() else "?" for c in hint)[:WORDS_MAX])


def _run(words: Sequence[str], data: bytes) -> str:
    try:
        done = subprocess.run(words, input=data, stdout=subprocess.PIPE, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise ConnectionClosedWithHint(f"no answer for {TIMEOUT_S:.0f} seconds") from None
    except OSError as error:
        raise ConnectionClosedWithHint(f"{words[0]}: {error.strerror}") from None
    text = done.stdout.decode("utf-8", "replace")
    if done.returncode != 0 and REPLY not in text:
        raise ConnectionClosedWithHint(f"{words[0]} ended with exit code {done.returncode}")
    return text
