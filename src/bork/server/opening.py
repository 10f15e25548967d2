"""Open or make the repository that a client asks for, if it may have it, and lock the door behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bork.server.guarded import GuardedStore
from bork.server.policy import FencedMachine, resolve
from bork.storage.local import LocalStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from bork.server.policy import Policy


class Opener:
    """``confine`` is called with the path of the repository once it is open: from then on nothing else is written."""

    def __init__(self, policy: Policy, confine: Callable[[str], None]) -> None:
        self._policy, self._confine = policy, confine

    def open(self, asked: bytes) -> GuardedStore:
        """Raises: PathNotAllowed, and as ``LocalStore.open``."""
        path = resolve(self._policy, asked)
        return self._guarded(LocalStore.open(path, FencedMachine(self._policy)))

    def create(self, asked: bytes, *, make_parent_dirs: bool) -> GuardedStore:
        """Raises: PathNotAllowed, and as ``LocalStore.create``."""
        path = resolve(self._policy, asked)
        machine = FencedMachine(self._policy)
        return self._guarded(LocalStore.create(path, make_parent_dirs=make_parent_dirs, machine=machine))

    def _guarded(self, store: LocalStore) -> GuardedStore:
        try:
            self._confine(store.location)
            return GuardedStore(store, self._policy)
        except BaseException:
            store.close()
            raise
