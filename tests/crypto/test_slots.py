"""Key slots, and the places where they are kept."""

import os
import stat
from pathlib import Path

import pytest

from bork.core import Keys
from bork.crypto import keyfile
from bork.crypto.modes import AUTHENTICATED, KEYFILE, MODES, NONE, REPOKEY
from bork.crypto.places import FileSlots, RepositorySlots, key_place
from bork.crypto.slots import KDF_DEFAULT, KDF_FAST_FOR_TESTS_ONLY, Slot, new_keys, open_slots, seal_slot, verify_slot
from bork.errors import (
    IntegrityError,
    KeyfileMismatch,
    KeyfileNotFound,
    KeyInvalid,
    KeyMismatch,
    NotABorkKeyFile,
    OutputFault,
    PassphraseWrong,
    RepoKeyNotFound,
    SourceFault,
)
from bork.repository.config import RepositoryConfig
from bork.repository.layout import RepositoryId, key_name
from bork.repository.repository import Repository
from bork.storage.memory import MemoryStore

ID, OTHER = RepositoryId(bytes(range(32))), RepositoryId(bytes(32))


def sealed(passphrase: bytes, repository_id: RepositoryId = ID) -> bytes:
    return seal_slot(new_keys(repository_id, REPOKEY), passphrase, KDF_FAST_FOR_TESTS_ONLY)


def repository(mode: str) -> Repository:
    return Repository(MemoryStore(), RepositoryConfig(ID, mode, 1))


def same(one: Keys, two: Keys) -> bool:
    return one.archive_name(b"x") == two.archive_name(b"x")


def test_borgs_names_of_modes_are_known_and_the_blake2_ones_are_aliases() -> None:
    plain = {"none", "authenticated", "repokey", "keyfile"}
    assert set(MODES) == plain | {f"{name}-blake2" for name in plain - {"none"}}
    assert {mode.name for mode in MODES.values()} == plain
    assert MODES["keyfile-blake2"] is KEYFILE


def test_what_the_passphrase_costs_by_default_is_not_what_tests_use() -> None:
    assert (KDF_DEFAULT.memory_kib, KDF_DEFAULT.passes, KDF_DEFAULT.lanes) == (65536, 3, 4)
    assert KDF_FAST_FOR_TESTS_ONLY.memory_kib < 1024


def test_each_mode_has_its_suite() -> None:
    assert new_keys(ID, NONE).suite == 3
    assert new_keys(ID, AUTHENTICATED).suite == 3
    assert new_keys(ID, REPOKEY).suite in (1, 2)


def test_the_keys_of_mode_none_are_the_same_for_everybody_and_others_are_not() -> None:
    assert same(new_keys(ID, NONE), new_keys(ID, NONE))
    assert not same(new_keys(ID, NONE), new_keys(OTHER, NONE))
    assert not same(new_keys(ID, REPOKEY), new_keys(ID, REPOKEY))


def test_the_slot_of_the_passphrase_is_found_among_others() -> None:
    slots = [Slot(name, sealed(name.encode())) for name in ("a", "b", "c")]
    for slot in slots:
        keys, found = open_slots(slots, slot.where.encode(), ID)
        assert found == slot
        assert same(keys, Keys.open(slot.data, slot.where.encode(), ID))
    with pytest.raises(PassphraseWrong):
        open_slots(slots, b"d", ID)


def test_a_damaged_or_foreign_slot_does_not_stop_the_others() -> None:
    good = Slot("good", sealed(b"good"))
    keys, found = open_slots([Slot("bad", b"bad"), Slot("foreign", sealed(b"good", OTHER)), good], b"good", ID)
    assert found == good
    assert same(keys, Keys.open(good.data, b"good", ID))


def test_without_a_sound_slot_the_damage_is_named_and_not_the_passphrase() -> None:
    with pytest.raises(KeyInvalid):
        open_slots([Slot("bad", b"bad")], b"x", ID)
    with pytest.raises(KeyMismatch):
        open_slots([Slot("foreign", sealed(b"x", OTHER))], b"x", ID)


def test_the_form_of_a_slot_is_verified_without_its_passphrase() -> None:
    verify_slot(sealed(b"unknown"), ID)
    with pytest.raises(KeyInvalid):
        verify_slot(b"bad", ID)
    with pytest.raises(KeyMismatch):
        verify_slot(sealed(b"unknown", OTHER), ID)


# ---- places ------------------------------------------------------------------------------------------------------


def test_each_mode_has_its_place(tmp_path: Path) -> None:
    assert isinstance(key_place(repository("repokey"), str(tmp_path), None), RepositorySlots)
    assert isinstance(key_place(repository("authenticated"), str(tmp_path), None), RepositorySlots)
    assert isinstance(key_place(repository("keyfile"), str(tmp_path), None), FileSlots)
    assert key_place(repository("none"), str(tmp_path), None) is None


def test_slots_in_the_repository_can_be_added_and_replaced() -> None:
    place = RepositorySlots(made := repository("repokey"))
    with pytest.raises(RepoKeyNotFound):
        place.slots()
    place.add(b"one")
    (one,) = place.slots()
    place.replace(one, b"two")
    assert [slot.data for slot in place.slots()] == [b"two"]
    place.replace(place.slots()[0], b"two")
    assert [slot.data for slot in place.slots()] == [b"two"]
    assert len(made.key_slots()) == 1


def test_a_damaged_slot_in_the_repository_is_skipped_if_there_is_another() -> None:
    store = MemoryStore()
    place = RepositorySlots(made := Repository(store, RepositoryConfig(ID, "repokey", 1)))
    damaged = made.put_key(b"one")
    store.objects[key_name(damaged)] = b"onx"
    with pytest.raises(IntegrityError):
        place.slots()
    place.add(b"two")
    assert [slot.data for slot in place.slots()] == [b"two"]


def test_key_files_are_found_by_the_id_that_they_name(tmp_path: Path) -> None:
    directory = tmp_path / "keys"
    place = FileSlots(repository("keyfile"), str(directory), None)
    with pytest.raises(KeyfileNotFound, match="keys"):
        place.slots()
    path = place.add(b"one")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    (directory / "foreign").write_text(keyfile.encode(OTHER, b"foreign"))
    (directory / "notes").write_bytes(b"\xff" * 100)
    (directory / "folder").mkdir()
    assert [(slot.where, slot.data) for slot in place.slots()] == [(path, b"one")]
    second = place.add(b"two")
    assert second != path
    place.replace(place.slots()[0], b"three")
    assert {slot.data for slot in place.slots()} == {b"two", b"three"}


def test_the_key_file_that_was_named_is_used_and_never_overwritten_by_a_new_key(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "key"
    place = FileSlots(repository("keyfile"), str(tmp_path / "keys"), str(path))
    with pytest.raises(KeyfileNotFound):
        place.slots()
    assert place.add(b"one") == str(path)
    with pytest.raises(OutputFault, match="exists"):
        place.add(b"two")
    place.replace(place.slots()[0], b"two")
    assert [slot.data for slot in place.slots()] == [b"two"]
    assert os.listdir(path.parent) == ["key"]


def test_a_named_key_file_that_does_not_fit_says_why(tmp_path: Path) -> None:
    path = tmp_path / "key"
    place = FileSlots(repository("keyfile"), str(tmp_path), str(path))
    path.write_text(keyfile.encode(OTHER, b"foreign"))
    with pytest.raises(KeyfileMismatch):
        place.slots()
    path.write_text("no key")
    with pytest.raises(NotABorkKeyFile):
        place.slots()
    path.unlink()
    path.mkdir()
    with pytest.raises(SourceFault):
        place.slots()
