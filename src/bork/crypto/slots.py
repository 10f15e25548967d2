"""Key slots: the same secrets, sealed under one passphrase each."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bork.core import Keys
from bork.crypto.modes import SUITE_AES_256_GCM, SUITE_CHACHA20_POLY1305, SUITE_KEYED_BLAKE3, Mode
from bork.errors import IntegrityError, KeyInvalid, KeyMismatch, PassphraseWrong

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bork.repository.layout import RepositoryId

_CPU_FLAGS = "/proc/cpuinfo"


class KdfCost(NamedTuple):
    """What one guess at a passphrase costs, by argon2id."""

    memory_kib: int
    passes: int
    lanes: int


KDF_DEFAULT = KdfCost(memory_kib=64 * 1024, passes=3, lanes=4)  # second choice of RFC 9106: about 0.1 s
KDF_FAST_FOR_TESTS_ONLY = KdfCost(memory_kib=64, passes=1, lanes=1)


class Slot(NamedTuple):
    """A sealed key, and where it was found."""

    where: str
    data: bytes


def new_keys(repository_id: RepositoryId, mode: Mode, related: bytes | None = None) -> Keys:
    """Random secrets for a new repository; for mode ``none`` the well-known ones.

    ``related``: the secret of another repository whose chunks have the same ids; see ``bork.crypto.related``.
    """
    if mode.key is None:
        return Keys.public(repository_id)
    if not mode.encrypts:
        return Keys.generate(repository_id, SUITE_KEYED_BLAKE3, related)
    return Keys.generate(repository_id, SUITE_AES_256_GCM if _cpu_has_aes() else SUITE_CHACHA20_POLY1305, related)


def seal_slot(keys: Keys, passphrase: bytes, cost: KdfCost) -> bytes:
    """A key object. Cost: one key derivation."""
    return keys.seal(passphrase, memory_kib=cost.memory_kib, passes=cost.passes, lanes=cost.lanes)


def open_slots(slots: Sequence[Slot], passphrase: bytes, repository_id: RepositoryId) -> tuple[Keys, Slot]:
    """The secrets, by the first slot that this passphrase opens. Cost: one key derivation for each slot tried.

    Those that say that they are cheap are tried first: who can add slots must not choose how long the owner waits.

    Slots that are damaged or of another repository do not stop the others.
    Raises: PassphraseWrong, if a sound slot was there; otherwise what was wrong with the last one (KeyInvalid,
    KeyMismatch).
    """
    if not slots:
        raise ValueError("no slots")
    last: KeyInvalid | KeyMismatch | None = None
    sound = False
    for slot in sorted(slots, key=_cost):
        try:
            return _open(slot.data, passphrase, repository_id), slot
        except PassphraseWrong:
            sound = True
        except (KeyInvalid, KeyMismatch) as fault:
            last = fault
    if sound or last is None:
        raise PassphraseWrong
    raise last


def verify_slot(data: bytes, repository_id: RepositoryId) -> None:
    """Check the form of a key object and whose it is; its passphrase is not needed.

    Raises: KeyInvalid, KeyMismatch.  Cost: one key derivation.
    """
    try:
        _open(data, b"", repository_id)
    except PassphraseWrong:
        return


def _cost(slot: Slot) -> int:
    """KiB that will be filled, by what stands in the clear: docs/format/key.md."""
    memory, passes = slot.data[12:16], slot.data[16:20]
    return int.from_bytes(memory, "little") * int.from_bytes(passes, "little")


def _open(data: bytes, passphrase: bytes, repository_id: RepositoryId) -> Keys:
    try:
        return Keys.open(data, passphrase, repository_id)
    except IntegrityError as fault:
        raise KeyInvalid(fault) from None


def _cpu_has_aes() -> bool:
    """Whether AES is done by the processor. Without that it is slow, and may tell its key by its timing."""
    try:
        with open(_CPU_FLAGS, encoding="ascii", errors="replace") as file:
            flags = next((line for line in file if line.startswith(("flags", "Features"))), "")
    except OSError:
        return False
    return "aes" in flags.split()
