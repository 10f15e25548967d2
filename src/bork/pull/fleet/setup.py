"""The line that lets a host's administrator give the server a key that can do nothing but read.

Three readers take the line apart: sshd its quotes, the login shell of the account the words of the command, and the
agent its options. Each path is quoted for all three.
"""

from __future__ import annotations

import base64
import binascii
import re
import shlex
from typing import TYPE_CHECKING, NamedTuple

from bork.errors import CommandError
from bork.pull.fleet import names

if TYPE_CHECKING:
    from bork.pull.fleet.hosts import Host

LINE_BYTES_MAX = 8000  # sshd ignores lines beyond 8 KiB in older versions
KEY_BYTES_MAX = 16384
DEFAULT_KEY = ".ssh/id_ed25519.pub"

_TYPE = re.compile(
    r"ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)|sk-(?:ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com"
)


class PublicKey(NamedTuple):
    """A line of a ``.pub`` file."""

    type: str
    blob: str  # base64
    comment: str


def parse_public_key(text: str, path: str) -> PublicKey:
    """Raises: CommandError. Options, several lines or a private key are none of our business."""
    lines = text.strip().splitlines()
    words = lines[0].split(None, 2) if len(lines) == 1 else []
    if len(words) < 2 or not _TYPE.fullmatch(words[0]):
        raise CommandError(f"{path} holds no public key of ssh, or several")
    try:
        raw = base64.b64decode(words[1], validate=True)
    except binascii.Error:
        raw = b""
    name = words[0].encode()
    if not raw.startswith(len(name).to_bytes(4, "big") + name):
        raise CommandError(f"{path} holds a public key that is damaged")
    comment = "".join(c for c in words[2] if c.isprintable()) if len(words) == 3 else ""
    return PublicKey(words[0], words[1], comment)


def public_key_path(host: Host, home: str) -> str:
    """``public-key``, or the one beside ``IdentityFile``, or the usual one."""
    if host.public_key is not None:
        return host.public_key
    for option in host.ssh_options:
        name, _, value = option.partition("=")
        if name.lower() == "identityfile":
            path = f"{home}/{value[2:]}" if value.startswith("~/") else value
            return f"{path}.pub"
    return f"{home}/{DEFAULT_KEY}"


def read_public_key(path: str) -> PublicKey:
    """Raises: CommandError."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read(KEY_BYTES_MAX)
    except OSError as error:
        private = path.removesuffix(".pub")
        raise CommandError(f"{path}: {error.strerror}. Make a key: ssh-keygen -t ed25519 -f {private}") from None
    return parse_public_key(text, path)


def agent_command(host: Host) -> str:
    """What the key may do, as the shell of the account reads it."""
    return shlex.join([host.agent, "serve", *(word for path in host.paths for word in ("--read", names.source(path)))])


def authorized_line(host: Host, key: PublicKey) -> str:
    """A line of ``authorized_keys``. Raises: CommandError."""
    if host.client_encrypts:
        raise CommandError(f"{host.name} has client-encrypts: it runs Bork itself, and no agent reads it")
    # sshd knows one escape inside the quotes: a backslash in front of a quote.
    quoted = agent_command(host).replace('"', '\\"')
    line = f'restrict,command="{quoted}" {key.type} {key.blob} {key.comment}'.rstrip()
    if len(line.encode()) > LINE_BYTES_MAX:
        raise CommandError(f"{host.name} has so many paths that sshd would not read the line; name what is above them")
    return line
