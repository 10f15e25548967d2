"""The encryption modes, under the names that Borg gave them."""

from __future__ import annotations

from typing import Literal, NamedTuple

EncryptionMode = Literal["none", "authenticated", "repokey", "keyfile"]

SUITE_AES_256_GCM = 1
SUITE_CHACHA20_POLY1305 = 2
SUITE_KEYED_BLAKE3 = 3  # no secrecy


class Mode(NamedTuple):
    """Where the key of a repository lives, and what it does."""

    name: EncryptionMode
    key: Literal["repository", "file"] | None  # None: the well-known secrets, and no passphrase
    encrypts: bool


NONE = Mode("none", key=None, encrypts=False)
AUTHENTICATED = Mode("authenticated", key="repository", encrypts=False)
REPOKEY = Mode("repokey", key="repository", encrypts=True)
KEYFILE = Mode("keyfile", key="file", encrypts=True)

# Every name that ``bork init --encryption`` takes. Bork has one hash, BLAKE3: the -blake2 modes are the plain ones.
MODES: dict[str, Mode] = {
    "none": NONE,
    "authenticated": AUTHENTICATED,
    "authenticated-blake2": AUTHENTICATED,
    "repokey": REPOKEY,
    "repokey-blake2": REPOKEY,
    "keyfile": KEYFILE,
    "keyfile-blake2": KEYFILE,
}
