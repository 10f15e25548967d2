"""Repositories behind a real ``bork serve``, and how often a command waits for it."""

import sys
from dataclasses import dataclass, field

from bork.storage.base import Store
from bork.storage.remote.connection import Settings
from bork.storage.remote.store import RemoteStore


@dataclass
class FarStores:
    """Keeps the connections, which count the round trips that were waited for one after the other."""

    opened: list[RemoteStore] = field(default_factory=list)

    def _settings(self) -> Settings:
        return Settings([sys.executable, "-m", "bork", "serve"], "bork of a test", lambda _: None)

    def open(self, location: str) -> Store:
        self.opened.append(RemoteStore.open(location, location, self._settings()))
        return self.opened[-1]

    def create(self, location: str, *, make_parent_dirs: bool) -> Store:
        self.opened.append(RemoteStore.create(location, location, self._settings(), make_parent_dirs=make_parent_dirs))
        return self.opened[-1]

    def round_trips(self) -> int:
        """Of all commands since the last call, their ends included."""
        count = sum(store._connection.round_trips for store in self.opened)
        self.opened.clear()
        return count
