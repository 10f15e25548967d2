"""The number of index objects stays bounded, and nothing that they say is lost."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bork.operations.index import load_index
from bork.operations.merging import CHUNKS_MAX, FANOUT, Table, merge, plan, plan_rewrite
from bork.operations.opening import open_repository
from tests.operations.scene import Recorder, Scene, expected

sizes = st.lists(st.integers(0, 2 * CHUNKS_MAX), max_size=60)


def tables(chunks: list[int], absent: int = 0) -> list[Table]:
    return [Table(number.to_bytes(32, "big"), count, 1, absent) for number, count in enumerate(chunks)]


@given(sizes)
def test_each_table_is_merged_once_and_with_its_likes(chunks: list[int]) -> None:
    groups = plan(tables(chunks))
    merged = [table for group in groups for table in group]
    assert len(merged) == len(set(merged))
    for group in groups:
        assert len(group) > 1
        assert len({table.tier for table in group}) == 1
        assert sum(table.chunks for table in group) <= CHUNKS_MAX


def test_seven_tables_of_a_size_stay_and_eight_are_merged() -> None:
    assert plan(tables([10] * (FANOUT - 1))) == []
    assert [len(group) for group in plan(tables([10] * FANOUT))] == [FANOUT]


def test_after_a_thousand_backups_there_are_few_tables_and_each_chunk_was_written_few_times() -> None:
    chunks: list[int] = []
    written = 0
    for _ in range(1000):
        chunks.append(1000)
        for group in plan(tables(chunks)):
            written += sum(table.chunks for table in group)
            for table in group:
                chunks.remove(table.chunks)
            chunks.append(sum(table.chunks for table in group))
    assert len(chunks) < FANOUT * (2 + math.log(1_000_000 / 4096, FANOUT))
    assert written <= 4 * 1_000_000


@given(sizes, sizes)
def test_after_deletions_every_table_that_names_a_deleted_pack_is_rewritten(good: list[int], bad: list[int]) -> None:
    concerned = tables(bad, absent=1)
    others = [Table(b"o" + table.name, *table[1:]) for table in tables(good)]
    groups = plan_rewrite(concerned + others)
    merged = [table for group in groups for table in group]
    assert len(merged) == len(set(merged))
    assert set(concerned) <= set(merged)
    assert not any(len(group) == 1 and not group[0].absent for group in groups)
    assert not any(len(group) > 1 and sum(table.chunks for table in group) > CHUNKS_MAX for group in groups)


def test_merging_indexes_loses_nothing(scene: Scene, source: Path) -> None:
    scene.init()
    trees = {}
    for number in range(FANOUT + 3):
        (source / "changing").write_bytes(b"%d" % number * 500)
        trees[f"archive {number}"] = expected(source)
        scene.create(f"archive {number}", source)
    indexes = [name for name in scene.stores.objects["/repository"] if name.startswith("indexes/")]
    assert len(indexes) < FANOUT
    assert all(scene.restore(name) == tree for name, tree in trees.items())


@pytest.mark.parametrize("left", [0, 1])
def test_a_merge_that_stops_leaves_tables_that_say_the_same_twice(
    scene: Scene, source: Path, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    scene.init()
    for name in ("monday", "tuesday"):
        (source / name).write_bytes(name.encode() * 100)
        scene.create(name, source)
    with open_repository(scene.access(), role="writer") as opened:
        loaded = load_index(scene.access(), opened.repository, opened.keys, Recorder())
        group = [Table(*table) for table in loaded.chunks.tables()]
        deleted: list[object] = []

        def delete(name: object) -> None:
            if len(deleted) == left:
                raise KeyboardInterrupt
            deleted.append(name)
            real(name)  # type: ignore[arg-type]  # an index

        real = opened.repository.delete_index
        monkeypatch.setattr(opened.repository, "delete_index", delete)
        with pytest.raises(KeyboardInterrupt):
            merge(opened.repository, opened.keys, loaded.chunks, group)
    assert scene.restore("tuesday") == expected(source)
