"""Inputs that are the same in every run."""

from blake3 import blake3

from tests.reference.keys import Secrets

REPOSITORY = bytes(range(32))
SECRETS = Secrets(REPOSITORY, 1, bytes([0x11] * 32), (bytes([0x22] * 32), bytes([0x33] * 32)))
PASSPHRASE = "correct horse battery staple"  # of the golden repositories


def noise(length: int, seed: int) -> bytes:
    """Bytes without a pattern: the extended output of BLAKE3 over the seed, 8 bytes, little-endian."""
    return blake3(seed.to_bytes(8, "little")).digest(length=length)


def words(length: int, seed: int) -> bytes:
    """A text that compresses."""
    letters = (b"backup ", b"archive ", b"chunk ", b"pack ", b"index ", b"item ", b"key ", b"seal\n")
    return b"".join(letters[byte % 8] for byte in noise(length // 5, seed))[:length]
