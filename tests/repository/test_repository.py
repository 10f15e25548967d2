"""A repository on a store: what may be put, and what is verified."""

import os

import pytest

from bork.core import digest
from bork.errors import (
    IntegrityError,
    InvalidRepository,
    InvalidRepositoryConfig,
    ObjectExists,
    ObjectMissing,
    RepositoryAlreadyExists,
    StorageQuotaExceeded,
)
from bork.repository import layout
from bork.repository.config import RepositoryConfig
from bork.repository.layout import HeadId, IndexId, PackId, RepositoryId
from bork.repository.repository import Repository
from bork.storage.memory import MemoryStore
from bork.storage.names import CONFIG
from tests.storage.faulty import FaultyStore, Schedule

ID = RepositoryId(bytes(range(32)))


def repository(quota: int = 0) -> tuple[Repository, MemoryStore]:
    store = MemoryStore()
    made = Repository(store, RepositoryConfig(ID, "repokey", 1, storage_quota=quota))
    made.publish_config()
    return made, store


def pack(content: bytes) -> PackId:
    return PackId(digest(content))


def test_a_published_config_makes_a_repository() -> None:
    _, store = repository()
    opened = Repository.open(store)
    assert (opened.id, opened.config.encryption) == (ID, "repokey")


def test_a_second_config_is_refused() -> None:
    made, _ = repository()
    with pytest.raises(RepositoryAlreadyExists):
        made.publish_config()


def test_a_store_without_config_is_no_repository() -> None:
    with pytest.raises(InvalidRepository, match="config"):
        Repository.open(MemoryStore())


def test_opening_reads_the_config_and_looks_at_keys_and_generations() -> None:
    """At once: on a far storage all three cost one round trip."""
    _, store = repository()
    schedule = Schedule()
    Repository.open(FaultyStore(store, schedule))
    assert schedule.log == ["get config", "list keys", "list gc"]


def test_a_damaged_config_is_refused() -> None:
    _, store = repository()
    store.objects[CONFIG] = store.objects[CONFIG].replace(b"repokey", b"keyfile")
    with pytest.raises(InvalidRepositoryConfig):
        Repository.open(store)


def test_objects_are_listed_by_id() -> None:
    made, _ = repository()
    made.put_pack(pack(b"pack"), b"pack")
    made.put_index(IndexId(digest(b"index")), b"index")
    key = made.put_key(b"key")
    head = HeadId(os.urandom(32))
    made.put_head(head, b"head")
    assert made.packs() == {pack(b"pack"): 4}
    assert made.indexes() == [digest(b"index")]
    assert made.key_slots() == [key]
    assert made.heads() == [head]
    assert (made.get_head(head), made.get_key(key)) == (b"head", b"key")
    assert made.read([(pack(b"pack"), 1, 2)]) == [b"ac"]


def test_putting_the_same_pack_again_is_no_error() -> None:
    made, store = repository()
    for _ in range(2):
        made.put_pack(pack(b"pack"), b"pack")
    assert store.objects[layout.pack_name(pack(b"pack"))] == b"pack"


@pytest.mark.parametrize("found", [b"", b"pac", b"pach", b"pack and more"])
def test_a_damaged_object_under_the_name_of_a_new_one_does_not_count_as_stored(found: bytes) -> None:
    made, store = repository()
    store.objects[layout.pack_name(pack(b"pack"))] = found
    with pytest.raises(IntegrityError, match=pack(b"pack").hex()):
        made.put_pack(pack(b"pack"), b"pack")


def test_a_head_is_put_once() -> None:
    made, _ = repository()
    head = HeadId(os.urandom(32))
    made.put_head(head, b"head")
    with pytest.raises(ObjectExists):
        made.put_head(head, b"head")


def test_indexes_and_keys_are_compared_with_their_names() -> None:
    made, store = repository()
    key = made.put_key(b"key")
    store.objects[layout.key_name(key)] = b"kex"
    with pytest.raises(IntegrityError, match=key.hex()):
        made.get_key(key)
    with pytest.raises(ObjectMissing):
        made.get_index(IndexId(bytes(32)))


def test_a_head_carries_a_checksum_that_needs_no_key() -> None:
    made, store = repository()
    head = HeadId(bytes(32))
    made.put_head(head, b"sealed" + digest(b"sealed"))
    made.verify(layout.head_name(head))
    store.objects[layout.head_name(head)] = b"sealed" + digest(b"sealex")
    with pytest.raises(IntegrityError):
        made.verify(layout.head_name(head))


def test_the_quota_counts_what_was_there_before() -> None:
    made, store = repository(quota=10)
    made.put_pack(pack(b"12345"), b"12345")
    again = Repository.open(store)
    again.put_pack(pack(b"67890"), b"67890")
    with pytest.raises(StorageQuotaExceeded, match=r"\(10\).*\(11\)"):
        again.put_pack(pack(b"x"), b"x")
    assert again.used_bytes() == 10
    assert again.free_space() == 0


def test_without_a_quota_nothing_is_counted() -> None:
    made, store = repository()
    schedule = Schedule()
    Repository(FaultyStore(store, schedule), made.config).put_pack(pack(b"x"), b"x")
    assert [line.split()[0] for line in schedule.log] == ["put"]
