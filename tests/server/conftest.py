"""A repository that holds one object of each kind."""

from pathlib import Path

import pytest

from bork.repository.config import RepositoryConfig
from bork.repository.layout import RepositoryId
from bork.storage.local import LocalStore
from bork.storage.names import CONFIG, ObjectName
from tests.server.served import name_of

ARCHIVE = ObjectName("archives/" + "ab" * 32)
GENERATION = ObjectName("gc/" + "0" * 15 + "1")
DEAD = ObjectName("sessions/" + "dd" * 32)


def make(path: Path, *, append_only: bool = False, storage_quota: int = 0) -> Path:
    store = LocalStore.create(str(path))
    for collection in ("packs", "indexes", "keys"):
        store.put_if_absent(ObjectName(name_of(collection, b"old")), b"old")
    store.put_if_absent(ARCHIVE, b"head")
    store.put_if_absent(GENERATION, b"generation")
    config = RepositoryConfig(RepositoryId(bytes(32)), "none", 3, append_only=append_only, storage_quota=storage_quota)
    store.put_if_absent(CONFIG, config.encode())
    store.close()
    (path / DEAD).write_bytes(b"{}")
    return path


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make(tmp_path / "repo")
