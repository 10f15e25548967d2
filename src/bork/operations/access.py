"""How an operation reaches a repository, a passphrase, a clock: everything that the command line decides for it.

These are the seams of the tests, too: storage, clock and randomness come from here and from nowhere else.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

from bork.crypto.slots import KDF_DEFAULT, KdfCost
from bork.storage.local import LocalStore

if TYPE_CHECKING:
    from bork.storage.base import Store
    from bork.storage.remote.connection import Settings


class PassphraseSource(Protocol):
    """Where passphrases come from."""

    def get(self, prompt_for: str, attempt: int) -> bytes | None:
        """A passphrase for ``prompt_for`` (the location, or the path of a key file).

        ``attempt`` 0 asks for the one that is configured (environment, command, descriptor), without a prompt: None
        if there is none. Attempts 1, 2, 3 prompt, and follow only if there was none; None ends them.
        Raises: NoPassphraseFailure, if it has to prompt and cannot; PasscommandFailure.
        """

    def new(self, prompt_for: str) -> bytes:
        """A passphrase for a new key, confirmed if it was typed. Raises: as ``get``; PasswordRetriesExceeded."""
        ...


class Questions(Protocol):
    """Decisions that only the user can take."""

    def ask(self, msgid: str, message: str, default: bool = False) -> bool:
        """``msgid``: the name of Borg's environment variable that answers, as ``BORG_RELOCATED_REPO_ACCESS_IS_OK``."""
        ...


class Clock(Protocol):
    def now_ns(self) -> int:
        """Nanoseconds since 1970 in UTC."""
        ...

    def wait(self, seconds: float) -> None:
        """Let time pass."""


class Randomness(Protocol):
    def token(self, length: int) -> bytes:
        """Unpredictable bytes."""
        ...


class Stores(Protocol):
    """Opens and makes storage by location. The one place where a location becomes a backend."""

    def open(self, location: str) -> Store:
        """Raises: RepositoryDoesNotExist, InvalidRepository, PathPermissionDenied."""
        ...

    def create(self, location: str, *, make_parent_dirs: bool) -> Store:
        """Raises: RepositoryAlreadyExists, PathAlreadyExists, ParentPathDoesNotExist, and as ``open``."""
        ...


class SystemClock:
    """The clock of the machine."""

    def now_ns(self) -> int:
        return time.time_ns()

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)


class SystemRandomness:
    """The generator of the kernel."""

    def token(self, length: int) -> bytes:
        return os.urandom(length)


class LocalStores:
    """A location is a path of this machine."""

    def open(self, location: str) -> Store:
        return LocalStore.open(location)

    def create(self, location: str, *, make_parent_dirs: bool) -> Store:
        return LocalStore.create(location, make_parent_dirs=make_parent_dirs)


class RemoteStores:
    """The one repository at ``path`` of a server. A location is its URL, for messages."""

    def __init__(self, path: str, settings: Settings) -> None:
        self._path, self._settings = path, settings

    def open(self, location: str) -> Store:
        # Late: it takes subprocess, and most repositories are local.
        from bork.storage.remote.store import RemoteStore

        return RemoteStore.open(location, self._path, self._settings)

    def create(self, location: str, *, make_parent_dirs: bool) -> Store:
        from bork.storage.remote.store import RemoteStore  # late: as above

        return RemoteStore.create(location, self._path, self._settings, make_parent_dirs=make_parent_dirs)


class Access(NamedTuple):
    """How to reach one repository. The command line fills it in from options and environment."""

    path: str  # of this machine, or a URL
    passphrases: PassphraseSource
    cache_dir: str | None  # parent of the caches of all repositories; None: keep nothing between commands
    keys_dir: str
    security_dir: str  # parent of what is remembered of each repository
    key_file: str | None  # use and make exactly this key file, instead of looking into keys_dir
    questions: Questions
    lock_wait_s: float = 1.0
    bypass_lock: bool = False  # readers put no session, and may meet packs that a compaction deletes
    threads: int = 0  # 0: as many as the machine has
    clock: Clock = SystemClock()
    randomness: Randomness = SystemRandomness()
    stores: Stores = LocalStores()
    kdf_cost: KdfCost = KDF_DEFAULT
    is_local: bool = True  # whether ``path`` is a path of this machine
    # Not None: who pulls gives us the repository, and could give us another one. The ids (hex) that it may give; none:
    # the one that it gave first.
    pulled: tuple[str, ...] | None = None
