"""A small repository with every kind of damage: each ends in a clear error, and no wrong byte is ever restored."""

from pathlib import Path

import pytest

from bork.errors import BorkError
from bork.operations import check
from bork.operations.check import CheckOptions
from bork.storage.names import ObjectName
from tests.operations.scene import Recorder, Scene, expected

STEP = 41  # bytes between two flipped bits: all of the small objects' fields are met, and the test takes seconds


@pytest.fixture
def small(scene: Scene, tmp_path: Path) -> Scene:
    """One archive with one short file."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(b"content " * 20)
    scene.init()
    scene.create("monday", tmp_path / "tree")
    return scene


def objects(scene: Scene) -> dict[ObjectName, bytes]:
    return scene.stores.objects["/repository"]


def assert_noticed(scene: Scene, content: dict[str, bytes | None], what: str) -> None:
    """Check reports it, and a restore fails with an error of ours or is right (an index is only a copy)."""
    events = Recorder()
    try:
        problems = check.run(scene.access(), CheckOptions(verify_data=True), events).problems
    except BorkError as error:
        assert_one_line(error)
        problems = 1
    assert problems, what
    try:
        restored = scene.restore("monday")
    except BorkError as error:
        assert_one_line(error)
    else:
        assert restored == content, what


def assert_one_line(error: BorkError) -> None:
    assert str(error)
    assert "\n" not in str(error)


@pytest.mark.timeout(300)
def test_every_flipped_bit_is_found_and_never_restored(small: Scene, tmp_path: Path) -> None:
    content = expected(tmp_path / "tree")
    for name, data in list(objects(small).items()):
        for number, at in enumerate(range(0, len(data), STEP)):
            damaged = bytearray(data)
            damaged[at] ^= 1 << number % 8
            objects(small)[name] = bytes(damaged)
            assert_noticed(small, content, f"{name} byte {at}")
        objects(small)[name] = data


@pytest.mark.timeout(300)
def test_every_shortened_object_is_found_and_never_restored(small: Scene, tmp_path: Path) -> None:
    content = expected(tmp_path / "tree")
    for name, data in list(objects(small).items()):
        for length in {0, 1, 31, 32, 63, 64, 95, 96, len(data) - 1, *range(0, len(data), 3 * STEP)}:
            if length < len(data):
                objects(small)[name] = data[:length]
                assert_noticed(small, content, f"{name} cut to {length}")
        objects(small)[name] = data


def test_objects_that_were_swapped_are_found_and_never_restored(small: Scene, tmp_path: Path) -> None:
    content = expected(tmp_path / "tree")
    names = list(objects(small))
    for one in names:
        for two in names:
            if one < two:
                kept = dict(objects(small))
                objects(small)[one], objects(small)[two] = kept[two], kept[one]
                assert_noticed(small, content, f"{one} and {two}")
                objects(small).update(kept)


def test_every_object_that_is_lost_is_missed_but_the_index(small: Scene, tmp_path: Path) -> None:
    content = expected(tmp_path / "tree")
    for name, data in list(objects(small).items()):
        del objects(small)[name]
        if name.startswith("indexes/"):
            assert small.restore("monday") == content
        elif name.startswith("archives/"):
            assert small.names() == []
        else:
            assert_noticed(small, content, name)
        objects(small)[name] = data
