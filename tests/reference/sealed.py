"""Sealed files: their header, and the three ways of sealing. See docs/format/object.md."""

from dataclasses import dataclass

from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from tests.reference.binary import Cursor, Refused
from tests.reference.keys import Secrets

MAGIC = b"BORKPACK"
HEADER_LENGTH = 64
TAG_LENGTH = 16
DATA, METADATA, INDEX, HEAD, GENERATION = 1, 2, 3, 4, 5
AES_256_GCM, CHACHA20_POLY1305, KEYED_BLAKE3 = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Header:
    """The first 64 bytes of packs, index objects, archive heads and generations."""

    kind: int
    suite: int
    epoch: int
    repository: bytes  # the first 16 bytes of its id
    salt: bytes

    def encode(self) -> bytes:
        """The 64 bytes."""
        numbers = bytes([1, self.kind, self.suite, 0]) + self.epoch.to_bytes(2, "little") + bytes(2)
        return MAGIC + numbers + self.repository + self.salt


def read_header(data: bytes) -> Header:
    """Read the first 64 bytes of a sealed file."""
    cursor = Cursor(data[:HEADER_LENGTH], "file header")
    cursor.expect(MAGIC)
    cursor.known("version", 1, [1])
    kind = cursor.known("kind", 1, [DATA, METADATA, INDEX, HEAD, GENERATION])
    suite = cursor.known("suite", 1, [AES_256_GCM, CHACHA20_POLY1305, KEYED_BLAKE3])
    cursor.known("parity scheme", 1, [0])
    epoch = cursor.number(2)
    cursor.expect(bytes(2))
    return Header(kind, suite, epoch, cursor.take(16), cursor.take(32))


class Seal:
    """The key of one file. Each object in it has a number of its own, which is its nonce."""

    def __init__(self, secrets: Secrets, header: Header) -> None:
        if header.repository != secrets.repository[:16]:
            raise Refused("file header: it belongs to another repository")
        if header.suite != secrets.suite:
            raise Refused("file header: its suite is not the one of the repository")
        self.suite = header.suite
        self.key = secrets.file_key(header.epoch, header.encode())

    def open(self, number: int, associated: bytes, sealed: bytes) -> bytes:
        """The plain bytes, if no bit of them, of the number or of the associated data was changed."""
        if len(sealed) < TAG_LENGTH:
            raise Refused("sealed object: it is shorter than its tag")
        if self.suite == KEYED_BLAKE3:
            plain, tag = sealed[:-TAG_LENGTH], sealed[-TAG_LENGTH:]
            if self.mac(number, associated, plain) != tag:
                raise Refused("sealed object: it does not authenticate")
            return plain
        cipher = AESGCM(self.key) if self.suite == AES_256_GCM else ChaCha20Poly1305(self.key)
        try:
            return cipher.decrypt(nonce(number), sealed, associated)
        except InvalidTag:
            raise Refused("sealed object: it does not authenticate") from None

    def mac(self, number: int, associated: bytes, plain: bytes) -> bytes:
        """The tag of suite 3: no secrecy, only integrity."""
        message = nonce(number) + len(associated).to_bytes(4, "little") + associated + plain
        return blake3(message, key=self.key).digest(TAG_LENGTH)


def nonce(number: int) -> bytes:
    """12 bytes: the number, then zeros."""
    return number.to_bytes(4, "little") + bytes(8)
