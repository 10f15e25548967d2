"""Remove the sessions of a repository, for storage that cannot tell which of them live."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bork.operations import sessions
from bork.repository.repository import Repository

if TYPE_CHECKING:
    from bork.operations.access import Access
    from bork.operations.sessions import Seen


def run(access: Access) -> list[Seen]:
    """Break every session. Who was at work can commit nothing any more. The result is who that was. No key is needed.

    Raises: RepositoryDoesNotExist, InvalidRepository and the other refusals of ``Repository.open``; StorageError.
    """
    store = access.stores.open(access.path)  # without a session of our own, which would have to wait for others
    try:
        return sessions.break_all(Repository.open(store))
    finally:
        store.close()
