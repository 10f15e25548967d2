"""Key objects, and everything that is derived from the secrets in them. See docs/format/key.md."""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass

from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from tests.reference.binary import Cursor, Refused

MAGIC = b"BORKKEY\0"
CLEAR_LENGTH = 88
EPOCHS_MAX = 1024
TEXT_MARK = "BORK_KEY"

CHUNK_ID = "bork 2026-11 chunk id"
CHUNKER = "bork 2026-11 chunker"
ARCHIVE_NAME = "bork 2026-11 archive name"
FILE = "bork 2026-11 file"
PUBLIC_ID = "bork 2026-11 public id secret"
PUBLIC_DATA = "bork 2026-11 public data secret"


class PassphraseWrong(Refused):
    """No slot opens with this passphrase."""


def derive(context: str, secret: bytes) -> bytes:
    """BLAKE3 in its key derivation mode."""
    return blake3(secret, derive_key_context=context).digest()


@dataclass(frozen=True, slots=True)
class Secrets:
    """The id secret, and one data secret for each key epoch."""

    repository: bytes
    suite: int
    id_secret: bytes
    epochs: tuple[bytes, ...]

    def chunk_id(self, plain: bytes) -> bytes:
        """The name of a chunk, a tree node or a content list."""
        return blake3(plain, key=derive(CHUNK_ID, self.id_secret)).digest()

    def chunker_key(self) -> bytes:
        """The key of the Gear table."""
        return derive(CHUNKER, self.id_secret)

    def archive_name(self, name: bytes) -> bytes:
        """The name of the object that holds the head of an archive."""
        return blake3(name, key=derive(ARCHIVE_NAME, self.id_secret)).digest()

    def file_key(self, epoch: int, header: bytes) -> bytes:
        """The key of one sealed file: its whole header takes part, and with it the salt."""
        if epoch >= len(self.epochs):
            raise Refused(f"file header: key epoch {epoch} of {len(self.epochs)}")
        return blake3(self.repository + header, key=derive(FILE, self.epochs[epoch])).digest()


def public_secrets(repository: bytes) -> Secrets:
    """Mode ``none``: anybody can compute these."""
    return Secrets(repository, 3, derive(PUBLIC_ID, repository), (derive(PUBLIC_DATA, repository),))


def stretch(passphrase: bytes, salt: bytes, memory_kib: int, passes: int, lanes: int) -> bytes:
    """argon2id, version 0x13, without secret and associated data."""
    kdf = Argon2id(salt=salt, length=32, iterations=passes, lanes=lanes, memory_cost=memory_kib)
    return kdf.derive(passphrase)


def open_key(data: bytes, passphrase: bytes, repository: bytes) -> Secrets:
    """Open one key object."""
    cursor = Cursor(data, "key")
    cursor.expect(MAGIC)
    cursor.known("version", 1, [1])
    cursor.known("key derivation", 1, [1])
    cursor.known("role", 1, [1])
    suite = cursor.known("suite", 1, [1, 2, 3])
    memory_kib, passes, lanes = cursor.number(4), cursor.number(4), cursor.number(4)
    if not (1 <= passes <= 64 and 1 <= lanes <= 64 and 8 * lanes <= memory_kib <= 1 << 20):
        raise Refused("key: its key derivation parameters are out of bounds")
    salt = cursor.take(32)
    if cursor.take(32) != repository:
        raise Refused("key: it belongs to another repository")
    epochs, odd = divmod(cursor.left - 16 - 32 - 2, 32)
    if odd or not 1 <= epochs <= EPOCHS_MAX:
        raise Refused("key: its sealed part has an impossible length")
    cipher = AESGCM(stretch(passphrase, salt, memory_kib, passes, lanes))
    try:
        secrets = Cursor(cipher.decrypt(bytes(12), cursor.take(cursor.left), data[:CLEAR_LENGTH]), "key")
    except InvalidTag:
        raise PassphraseWrong("the passphrase is wrong, or the key was changed") from None
    id_secret = secrets.take(32)
    if secrets.number(2) != epochs:
        raise Refused("key: its number of epochs does not fit its length")
    return Secrets(repository, suite, id_secret, tuple(secrets.take(32) for _ in range(epochs)))


def open_first(slots: Iterable[bytes], passphrase: bytes, repository: bytes) -> Secrets:
    """The secrets of the first slot that opens; one damaged slot does not spoil the others."""
    problem = Refused("there is no key")
    for data in slots:
        try:
            return open_key(data, passphrase, repository)
        except Refused as refusal:
            problem = refusal if not isinstance(problem, PassphraseWrong) else problem
    raise problem


def write_key_text(repository: bytes, data: bytes) -> str:
    """The text of a key file."""
    text = base64.b64encode(data).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return "\n".join([f"{TEXT_MARK} {repository.hex()}", *lines, ""])


def write_paper(repository: bytes, data: bytes) -> str:
    """The text of a paper key, from its title on."""
    lines = [data[at : at + 18] for at in range(0, len(data), 18)]
    start, whole = repository[:9], blake3(data).digest()[:6]
    first = f"id: {len(lines):2} / {start.hex(' ', -3)} / {whole.hex(' ', -3)} - {check(len(lines), start + whole)}"
    rest = [f"{number:2}: {line.hex(' ', -3)} - {check(number, line)}" for number, line in enumerate(lines, start=1)]
    return "\n".join(["BORK PAPER KEY v1", first, *rest, ""])


def check(number: int, line: bytes) -> str:
    """The two digits behind a line of a paper key."""
    return blake3(number.to_bytes(2, "big") + line).hexdigest()[:2]


def read_key_text(text: str) -> tuple[bytes, bytes]:
    """Repository id and key object of a key file."""
    first, _, rest = text.strip().partition("\n")
    mark, _, repository = first.strip().partition(" ")
    try:
        if mark == TEXT_MARK and len(repository) == 64:
            return bytes.fromhex(repository), base64.b64decode("".join(rest.split()), validate=True)
    except (ValueError, binascii.Error):
        pass
    raise Refused("key file: it is not a Bork key file")
