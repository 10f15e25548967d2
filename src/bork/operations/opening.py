"""Open a repository: find it, check that it is the one the user means, and unlock its keys."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NamedTuple, Self

from bork.core import Keys
from bork.crypto.modes import MODES
from bork.crypto.places import KeyPlace, key_place
from bork.crypto.slots import Slot, open_slots
from bork.errors import (
    InternalError,
    InvalidRepositoryConfig,
    NoPassphraseFailure,
    PassphraseWrong,
    PasswordRetriesExceeded,
    StorageError,
)
from bork.operations import security, sessions
from bork.operations.access import Access, PassphraseSource, Questions
from bork.operations.heads import head_id
from bork.repository import layout
from bork.repository.repository import Repository

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from bork.crypto.modes import Mode
    from bork.operations.selection import ArchiveName
    from bork.operations.sessions import Session
    from bork.repository.session import Role
    from bork.repository.sight import Sight

__all__ = ["Access", "OpenRepository", "PassphraseSource", "Questions", "open_repository", "unlock"]

PROMPTS_MAX = 3


class OpenRepository(NamedTuple):
    """A repository and, if they were asked for, its unlocked keys. A context manager that closes it."""

    repository: Repository
    mode: Mode
    unlocked: Keys | None
    key_location: str | None  # path of the key file, location of the repository that holds the key, or None
    security_dir: str
    session: Session | None = None  # None: a reader without the right to put one

    @property
    def keys(self) -> Keys:
        """The keys; it was opened with ``needs_key``."""
        if self.unlocked is None:
            raise InternalError("the keys were not asked for")
        return self.unlocked

    @property
    def at_work(self) -> Session:
        """The session; it was opened to change something."""
        if self.session is None:
            raise InternalError("nothing is changed without a session")
        return self.session

    @property
    def sight(self) -> Sight | None:
        """What was seen along with putting the session; None: without one, nothing was."""
        return None if self.session is None else self.session.sight

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.session is not None and not self.repository.releases_at_close:
            with contextlib.suppress(StorageError):  # what stays is dead, and the next one buries it
                self.session.end()
        self.repository.close()


def open_repository(
    access: Access,
    *,
    needs_key: bool = True,
    role: Role = "reader",
    sees: Sequence[str] = (),
    archives: Sequence[ArchiveName] = (),
) -> OpenRepository:
    """Without a key nothing is asked and nothing remembered: enough for what a blind server may do.

    ``role``: what the session may do, and who has to wait for whom (``bork.operations.sessions``).
    ``sees``: collections that will be needed, see ``sessions.begin``. ``archives``: heads that will be looked for; they
    are seen before them. An archive that is committed later may need what these do not show.

    Raises: RepositoryDoesNotExist, InvalidRepository and the other refusals of ``Repository.open``; what
    ``security.verify``, ``unlock`` and ``sessions.begin`` raise; StorageError.
    """
    store = access.stores.open(access.path)
    try:
        repository = Repository.open(store)
        repository.is_only_read = role == "reader"
        mode = MODES[repository.config.encryption]
        place = key_place(repository, access.keys_dir, access.key_file)
        keys = None
        key_location = None if place is None else place.location
        if needs_key:
            security.verify(access, repository)
            keys = Keys.public(repository.id) if place is None else unlock(access, repository, place)[0]
            if keys.suite != repository.config.suite:
                raise InvalidRepositoryConfig(
                    repository.location, f"it names the suite {repository.config.suite}, and the key {keys.suite}"
                )
            security.remember(access, repository)
            sees = (*(layout.head_name(head_id(keys, name)) for name in archives), *sees)
        session = None if access.bypass_lock and role == "reader" else sessions.begin(access, repository, role, sees)
    except BaseException:
        store.close()
        raise
    return OpenRepository(repository, mode, keys, key_location, security.directory(access, repository), session)


def unlock(access: Access, repository: Repository, place: KeyPlace) -> tuple[Keys, Slot]:
    """The keys, and the slot that the passphrase opened.

    A passphrase that is configured gets one attempt. Without one the empty passphrase is tried, and then up to three
    that the user types.
    Raises: PassphraseWrong, PasswordRetriesExceeded, NoPassphraseFailure, and as ``KeyPlace.slots`` and ``open_slots``.
    """
    slots = place.slots()
    configured = access.passphrases.get(place.location, 0)
    if configured is not None:
        return open_slots(slots, configured, repository.id)
    try:
        return open_slots(slots, b"", repository.id)
    except PassphraseWrong:
        pass
    for attempt in range(1, PROMPTS_MAX + 1):
        typed = access.passphrases.get(place.location, attempt)
        if typed is None:
            raise NoPassphraseFailure("no passphrase was given")
        try:
            return open_slots(slots, typed, repository.id)
        except PassphraseWrong:
            continue
    raise PasswordRetriesExceeded
