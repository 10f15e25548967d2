"""A list says which files have lost something, and names those of which it cannot say what was asked."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from bork.operations import list as listing
from bork.operations.list import ListOptions
from bork.operations.selection import ArchiveName
from bork.storage.names import ObjectName
from tests.operations.scene import Recorder, Scene

DATA, METADATA = 1, 2  # kinds of packs, see docs/format/pack.md
HEALTH = "{health} {path}{NL}"
LOST = {"source/small", "source/folder/same", "source/folder/deep/random"}  # files that have content


@pytest.fixture
def filled(scene: Scene, source: Path) -> Scene:
    scene.init()
    scene.create("monday", source)
    return scene


@pytest.fixture
def many(scene: Scene, tmp_path: Path) -> Scene:
    """Two archives with a file of more chunks than an item holds. Its list is with the metadata of the first."""
    scene.init()
    content = os.urandom(40_000)
    for name in ("monday", "tuesday"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "many").write_bytes(content)
        (tmp_path / name / "short").write_bytes(name.encode())
        scene.create(name, tmp_path / name, chunker=("fixed", 128, 0))
    return scene


def packs(scene: Scene, kind: int) -> list[ObjectName]:
    """In the order in which they were stored."""
    return [name for name, data in objects(scene).items() if name.startswith("packs/") and data[9] == kind]


def objects(scene: Scene) -> dict[ObjectName, bytes]:
    return scene.stores.objects["/repository"]


def lose(scene: Scene, names: list[ObjectName]) -> None:
    for name in names:
        del objects(scene)[name]


def listed(
    scene: Scene, text: str, archive: str = "monday", *, json_lines: bool = False
) -> tuple[list[str], list[tuple[str, bytes, str]]]:
    """Lines and problems."""
    events = Recorder()
    listing.items(scene.access(), ArchiveName(archive), ListOptions(text, json_lines), events)
    return events.shown.decode().splitlines(), events.problems


def broken(lines: list[str]) -> set[str]:
    assert {line.partition(" ")[0] for line in lines} <= {"broken", "healthy"}
    return {line.removeprefix("broken ") for line in lines if line.startswith("broken ")}


def test_of_a_sound_archive_all_items_are_healthy(many: Scene) -> None:
    for archive in ("monday", "tuesday"):
        assert broken(listed(many, HEALTH, archive)[0]) == set()
    assert all(json.loads(line)["healthy"] for line in listed(many, "", json_lines=True)[0])


def test_files_with_missing_chunks_are_broken_though_none_is_read(filled: Scene) -> None:
    lose(filled, packs(filled, DATA))
    lines, problems = listed(filled, HEALTH)
    assert (broken(lines), problems) == (LOST, [])
    lines, problems = listed(filled, "", json_lines=True)
    healthy = {item["path"]: item["healthy"] for item in map(json.loads, lines)}
    assert {path for path, is_healthy in healthy.items() if not is_healthy} == LOST
    assert len(healthy) > len(LOST)
    assert problems == []


def test_a_file_with_a_content_list_is_broken_if_one_of_its_chunks_is_missing(many: Scene) -> None:
    lose(many, packs(many, DATA)[:1])
    assert broken(listed(many, HEALTH, "tuesday")[0]) == {"tuesday/many"}


def test_a_file_whose_content_list_is_missing_is_broken_and_named_where_more_than_that_is_asked(many: Scene) -> None:
    lose(many, packs(many, METADATA)[:1])
    lines, problems = listed(many, HEALTH, "tuesday")
    assert (broken(lines), problems) == ({"tuesday/many"}, [])
    for key in ("csize", "num_chunks", "dsize", "unique_chunks", "sha256", "sha256}{csize"):
        lines, problems = listed(many, f"{{health}} {{path}}{{TAB}}{{{key}}}{{NL}}", "tuesday")
        assert {line.partition("\t")[0] for line in lines if line.startswith("broken")} == {"broken tuesday/many"}
        assert [(kind, path) for kind, path, _ in problems] == [("damaged", b"tuesday/many")], key


@pytest.mark.parametrize("is_missing", [True, False])
def test_a_digest_that_cannot_be_computed_is_empty_and_its_file_is_named(filled: Scene, is_missing: bool) -> None:
    for name in packs(filled, DATA):
        if is_missing:
            del objects(filled)[name]
        else:
            objects(filled)[name] = objects(filled)[name][:64] + bytes(len(objects(filled)[name]) - 64)
    lines, problems = listed(filled, "{sha256}{TAB}{md5} {health} {path}{NL}")
    assert {line.removeprefix("\t broken ") for line in lines if line.startswith("\t broken ")} == LOST
    assert {(kind, path.decode()) for kind, path, _ in problems} == {("damaged", path) for path in LOST}
    assert len(problems) == len(LOST)
    assert all(message for _, _, message in problems)


def test_who_asks_for_nothing_of_the_content_is_told_nothing_of_its_damage(filled: Scene) -> None:
    lose(filled, packs(filled, DATA))
    assert listed(filled, "{path} {size}{NL}")[1] == []


def test_beside_a_damaged_file_the_digests_of_others_are_right(many: Scene) -> None:
    lose(many, packs(many, DATA)[:1])
    lines, problems = listed(many, "{sha256} {path}{NL}", "tuesday")
    assert [path for _, path, _ in problems] == [b"tuesday/many"]
    assert f"{hashlib.sha256(b'tuesday').hexdigest()} tuesday/short" in lines
