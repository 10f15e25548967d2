"""Loading the index: the cache, what was interrupted, what is lost."""

import os
from pathlib import Path

import pytest

from bork.errors import CacheFault
from bork.operations.index import LoadedIndex, load_index
from bork.operations.opening import open_repository
from bork.storage.names import ObjectName
from tests.operations.scene import Recorder, Scene, expected
from tests.storage.faulty import FaultyStore, Schedule


def load(scene: Scene, events: Recorder | None = None, *, cache: bool = True, trust: bool = True) -> LoadedIndex:
    access = scene.access() if cache else scene.access()._replace(cache_dir=None)
    with open_repository(access) as opened:
        return load_index(access, opened.repository, opened.keys, events or Recorder(), trust_cache=trust)


def objects(scene: Scene) -> dict[ObjectName, bytes]:
    return scene.stores.objects["/repository"]


def named(scene: Scene, collection: str) -> list[ObjectName]:
    return [name for name in objects(scene) if name.startswith(collection)]


def reads(scene: Scene, *, trust: bool = True) -> list[str]:
    """The index objects that a load gets from the storage."""
    schedule = Schedule()
    scene.stores.wrap = lambda store: FaultyStore(store, schedule)
    load(scene, trust=trust)
    scene.stores.wrap = lambda store: store
    return [line for line in schedule.log if line.startswith("get indexes/")]


@pytest.fixture
def filled(scene: Scene, source: Path) -> Scene:
    scene.init()
    scene.create("monday", source)
    return scene


def test_an_index_object_is_read_once_and_then_comes_from_the_cache(filled: Scene) -> None:
    assert len(reads(filled)) == 1
    assert reads(filled) == []
    assert len(reads(filled, trust=False)) == 1


def test_with_and_without_cache_the_index_is_the_same(filled: Scene) -> None:
    assert len(load(filled).chunks) == len(load(filled).chunks) == len(load(filled, cache=False).chunks) > 0
    assert load(filled).chunks.totals() == load(filled, cache=False).chunks.totals()


def tables(scene: Scene) -> list[Path]:
    return sorted((scene.home / "cache").glob("*/index-*.table"))


@pytest.mark.parametrize("damage", [b"", b"garbage", None])
def test_a_damaged_cache_is_made_again(filled: Scene, damage: bytes | None) -> None:
    chunks = len(load(filled).chunks)
    (table,) = tables(filled)
    table.write_bytes(table.read_bytes()[:-1] if damage is None else damage)
    assert len(load(filled).chunks) == chunks
    assert reads(filled) == []


def test_tables_of_indexes_that_are_gone_are_removed(filled: Scene, source: Path) -> None:
    (source / "added").write_bytes(b"new")
    filled.create("tuesday", source)
    load(filled)
    assert len(tables(filled)) == 2
    del objects(filled)[named(filled, "indexes/")[0]]
    load(filled)
    assert len(tables(filled)) == 1


def test_a_cache_directory_that_cannot_be_used_is_named(filled: Scene) -> None:
    (filled.home / "file").touch()
    access = filled.access()._replace(cache_dir=str(filled.home / "file"))
    with open_repository(access) as opened, pytest.raises(CacheFault, match="file"):
        load_index(access, opened.repository, opened.keys, Recorder())


def test_the_cache_is_marked_for_other_backups_to_leave_it_out(filled: Scene) -> None:
    load(filled)
    tag = filled.home / "cache" / "CACHEDIR.TAG"
    assert tag.read_bytes().startswith(b"Signature: 8a477f597d28d172789f06886806bc55")


def test_a_lost_index_loses_nothing(filled: Scene, source: Path) -> None:
    chunks = len(load(filled).chunks)
    for name in named(filled, "indexes/"):
        del objects(filled)[name]
    loaded = load(filled)
    assert len(loaded.chunks) == chunks
    assert set(loaded.adopted) == set(loaded.packs)
    assert filled.restore("monday") == expected(source)


def test_a_damaged_index_loses_nothing_and_is_named(filled: Scene, source: Path) -> None:
    (name,) = named(filled, "indexes/")
    objects(filled)[name] = objects(filled)[name][:-1]
    events = Recorder()
    loaded = load(filled, events)
    assert len(loaded.damaged) == 1
    assert [level for level, message in events.logged if name in message] == ["warning"]
    assert filled.restore("monday") == expected(source)


def test_a_lost_pack_is_missing_and_its_chunks_are_stored_again(filled: Scene, source: Path) -> None:
    lost = named(filled, "packs/")
    for name in lost:
        del objects(filled)[name]
    loaded = load(filled)
    assert len(loaded.missing) == len(lost)
    filled.create("tuesday", source, files_cache="disabled")
    assert filled.restore("tuesday") == expected(source)


@pytest.mark.parametrize("damage", ["empty", "short", "torn", "header", "trailer", "contents"])
def test_a_damaged_pack_that_no_index_names_is_left_out_with_a_warning(
    filled: Scene, source: Path, damage: str
) -> None:
    for name in named(filled, "indexes/"):
        del objects(filled)[name]
    for name in named(filled, "packs/"):
        data = objects(filled)[name]
        objects(filled)[name] = {
            "empty": b"",
            "short": data[:95],
            "torn": data[:-100],
            "header": bytes(64) + data[64:],
            "trailer": data[:-32] + os.urandom(32),
            "contents": data[:-60] + bytes(28) + data[-32:],
        }[damage]
    events = Recorder()
    loaded = load(filled, events)
    assert loaded.adopted == ()
    assert len(loaded.chunks) == 0
    assert len([level for level, _ in events.logged if level == "warning"]) == len(loaded.packs)
    filled.create("tuesday", source, files_cache="disabled")
    assert filled.restore("tuesday") == expected(source)


def test_packs_that_were_taken_over_are_settled_before_anything_new_refers_to_them(filled: Scene, source: Path) -> None:
    for name in named(filled, "indexes/"):
        del objects(filled)[name]
    packs = named(filled, "packs/")
    schedule = Schedule()
    filled.stores.wrap = lambda store: FaultyStore(store, schedule)
    filled.create("tuesday", source)
    settled = next(at for at, line in enumerate(schedule.log) if line.startswith("settle "))
    assert set(schedule.log[settled].split()[1:]) == set(packs)
    assert settled < min(at for at, line in enumerate(schedule.log) if line.startswith("put "))
