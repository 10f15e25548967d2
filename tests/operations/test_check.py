"""Check finds what is damaged, and nothing else."""

import os
import re
from pathlib import Path

import pytest

from bork.errors import ArchiveDoesNotExist, GenerationDamaged, InvalidRepositoryConfig
from bork.operations import check, compact, delete
from bork.operations.check import CheckOptions, CheckOutcome
from bork.operations.compact import CompactOptions
from bork.operations.delete import DeleteOptions
from bork.operations.index import LoadedIndex, load_index
from bork.operations.selection import ArchiveFilter, ArchiveName
from bork.storage.memory import MemoryStore
from bork.storage.names import CONFIG, ObjectName
from tests.operations.scene import Recorder, Scene, expected

EVERYTHING = CheckOptions(verify_data=True)
BLIND = CheckOptions(archives=False)


@pytest.fixture
def filled(scene: Scene, source: Path) -> Scene:
    scene.init()
    scene.create("monday", source)
    scene.create("tuesday", source / "folder")
    (source.parent / "own").mkdir()
    (source.parent / "own" / "file").write_bytes(os.urandom(1000))
    scene.create("gone", source.parent / "own")
    delete.archives(scene.access(), DeleteOptions((ArchiveName("gone"),)), Recorder(), lambda _: None)
    compact.run(scene.access(), CompactOptions(), Recorder())
    return scene


def run(scene: Scene, options: CheckOptions = EVERYTHING) -> tuple[CheckOutcome, list[tuple[str, bytes, str]]]:
    events = Recorder()
    outcome = check.run(scene.access(), options, events)
    assert outcome.problems == len(events.problems)
    return outcome, events.problems


def objects(scene: Scene) -> dict[ObjectName, bytes]:
    return scene.stores.objects["/repository"]


def named(scene: Scene, collection: str) -> list[ObjectName]:
    return [name for name in objects(scene) if name.startswith(collection)]


def flip(scene: Scene, name: ObjectName, at: int) -> None:
    data = bytearray(objects(scene)[name])
    data[at] ^= 1
    objects(scene)[name] = bytes(data)


@pytest.mark.parametrize("options", [EVERYTHING, BLIND, CheckOptions(repository=False), CheckOptions()])
def test_nothing_is_wrong_with_a_sound_repository(filled: Scene, options: CheckOptions) -> None:
    outcome, problems = run(filled, options)
    assert problems == []
    assert outcome.packs == (len(named(filled, "packs/")) if options.repository else 0)
    assert outcome.archives == (2 if options.archives else 0)
    assert outcome.complete


SOUND = [
    ("info", "Starting repository check"),
    ("info", "Finished full repository check, no problems found."),
    ("info", "Starting archive consistency check..."),
    ("info", "Archive consistency check complete, no problems found."),
]


def logged(scene: Scene, options: CheckOptions) -> list[tuple[str, str]]:
    events = Recorder()
    check.run(scene.access(), options, events)
    return [(level, message) for level, message in events.logged]


def test_each_part_says_at_its_end_that_there_are_no_problems(filled: Scene) -> None:
    assert logged(filled, CheckOptions()) == SOUND
    assert logged(filled, BLIND) == SOUND[:2]
    assert logged(filled, CheckOptions(repository=False)) == SOUND[2:]
    partial = logged(filled, BLIND._replace(max_duration_s=1000))
    assert partial[-1] == ("info", "Finished partial repository check, no problems found.")


@pytest.mark.parametrize(("collection", "part"), [("packs/", 0), ("indexes/", 0), ("archives/", 1)])
def test_a_part_that_has_found_something_says_so_as_an_error(filled: Scene, collection: str, part: int) -> None:
    name = named(filled, collection)[0]
    flip(filled, name, len(objects(filled)[name]) // 2)
    bad = (
        ("error", "Finished full repository check, errors found."),
        ("error", "Archive consistency check complete, problems found."),
    )
    ends = [line for line in logged(filled, CheckOptions()) if line[1].endswith(" found.")]
    assert ends[part] == bad[part]
    if part == 1:
        assert ends[0] == SOUND[1]


@pytest.mark.parametrize(
    ("chosen", "warnings"),
    [
        (ArchiveFilter(glob="mon*"), []),
        (ArchiveFilter(first=2), []),
        (ArchiveFilter(glob="nope*"), ["--glob-archives nope* does not match any archives"]),
        (ArchiveFilter(prefix="nope"), ["--glob-archives nope* does not match any archives"]),
        (ArchiveFilter(last=3), ["--last 3 archives: only found 2 archives"]),
        (
            ArchiveFilter(glob="nope*", first=1),
            ["--glob-archives nope* does not match any archives", "--first 1 archives: only found 0 archives"],
        ),
    ],
)
def test_who_chooses_archives_that_are_not_there_is_told(
    filled: Scene, chosen: ArchiveFilter, warnings: list[str]
) -> None:
    lines = logged(filled, CheckOptions(filter=chosen))
    assert [message for level, message in lines if level == "warning"] == warnings


def test_an_empty_repository_is_sound(scene: Scene) -> None:
    scene.init()
    assert run(scene)[1] == []


@pytest.mark.parametrize("collection", ["packs/", "indexes/", "keys/", "archives/", "gc/"])
def test_the_repository_part_finds_a_flipped_bit_in_every_kind_of_object_without_a_key(
    filled: Scene, collection: str
) -> None:
    for name in named(filled, collection):
        for at in (0, len(objects(filled)[name]) // 2, -1):
            flip(filled, name, at)
            filled.user.configured = b"wrong"
            outcome, problems = run(filled, BLIND)
            assert outcome.problems == 1
            assert name.rpartition("/")[2] in f"{problems[0][1]!r} {problems[0][2]}"
            flip(filled, name, at)


@pytest.mark.parametrize("collection", ["packs/", "indexes/", "archives/", "gc/"])
def test_a_whole_check_finds_a_flipped_bit_in_every_kind_of_object(filled: Scene, collection: str) -> None:
    for name in named(filled, collection):
        flip(filled, name, len(objects(filled)[name]) // 2)
        assert run(filled)[0].problems > 0
        flip(filled, name, len(objects(filled)[name]) // 2)
    assert run(filled)[1] == []


def test_a_check_of_the_data_says_so_as_borg_does(filled: Scene) -> None:
    def told(options: CheckOptions) -> list[str]:
        events = Recorder()
        check.run(filled.access(), options, events)
        return [message for _, message in events.logged if "cryptographic" in message]

    start = "Starting cryptographic data integrity verification..."
    assert told(CheckOptions()) == []
    found = told(EVERYTHING)
    assert found[0] == start
    assert re.fullmatch(
        r"Finished cryptographic data integrity verification, verified [1-9]\d* chunks with 0 integrity errors\.",
        found[1],
    )
    flip(filled, named(filled, "packs/")[0], 200)
    assert told(EVERYTHING)[1].endswith(" with 2 integrity errors.")  # the pack, and what is in it


def test_a_repair_that_has_repaired_something_says_so_as_borg_does(filled: Scene) -> None:
    """Between the lines that monitoring looks for."""
    (name,) = named(filled, "indexes/")
    flip(filled, name, len(objects(filled)[name]) // 2)
    texts = []
    for _ in range(2):
        events = Recorder()
        check.run(filled.access(), CheckOptions(repair=True), events)
        texts.append([message for _, message in events.logged])
    end = "Finished full repository check, "
    assert [[text for text in said if text.startswith(end)] for said in texts] == [
        [f"{end}errors found and repaired."],
        [f"{end}no problems found."],
    ]
    assert all(said[0] == "Starting repository check" for said in texts)
    assert all(said.count("Starting repository check") == 1 for said in texts)


def test_a_damaged_generation_stops_who_writes_and_nobody_who_reads(filled: Scene, source: Path) -> None:
    """It is the newest, so a writer may not ignore it. What says so names the way out."""
    flip(filled, ObjectName(max(named(filled, "gc/"))), 100)
    assert filled.names() == ["monday", "tuesday"]
    assert filled.restore("monday") == expected(source)
    events = Recorder()
    assert check.run(filled.access(), CheckOptions(repository=False), events).problems == 0
    assert [message for level, message in events.logged if level == "warning" and "generation" in message]
    with pytest.raises(GenerationDamaged, match="gc/") as refused:
        filled.create("more", source)
    assert "check --repair" in refused.value.advice
    with pytest.raises(GenerationDamaged):
        compact.run(filled.access(), CompactOptions(), Recorder())
    assert run(filled, CheckOptions(repair=True))[0].problems == 0
    filled.create("more", source)


def test_an_older_generation_that_is_damaged_is_set_aside(filled: Scene, source: Path) -> None:
    """Two are kept, and the older one is for nobody."""
    (source.parent / "own" / "file").write_bytes(os.urandom(1000))
    filled.create("gone", source.parent / "own")
    delete.archives(filled.access(), DeleteOptions((ArchiveName("gone"),)), Recorder(), lambda _: None)
    compact.run(filled.access(), CompactOptions(), Recorder())
    older, _ = sorted(named(filled, "gc/"))
    flip(filled, older, 100)
    assert run(filled)[0].problems == 1
    repaired = run(filled, CheckOptions(repair=True))[0]
    assert (repaired.problems, repaired.repaired and repaired.repaired.generations) == (0, 1)
    assert run(filled)[0].problems == 0


def test_a_generation_that_is_replaced_during_a_check_is_no_damage(
    filled: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = MemoryStore.list

    def listed(self: MemoryStore, collection: str) -> list[tuple[ObjectName, int]]:
        found = list(real(self, collection))
        return [*found, (ObjectName("gc/00000000000000ff"), 1)] if collection == "gc/" else found

    monkeypatch.setattr(MemoryStore, "list", listed)
    assert run(filled, BLIND)[1] == []


def test_a_damaged_config_stops_everything(filled: Scene) -> None:
    flip(filled, CONFIG, 100)
    with pytest.raises(InvalidRepositoryConfig):
        run(filled)


def test_a_lost_pack_is_a_problem_of_the_archives(filled: Scene) -> None:
    lost = named(filled, "packs/")[0]
    del objects(filled)[lost]
    _, problems = run(filled)
    assert any(lost.encode() == path for _, path, _ in problems)
    assert run(filled, BLIND)[1] == []  # without a key nobody knows that there should be one


DATA, METADATA = 1, 2  # kinds of packs, see docs/format/pack.md


@pytest.mark.parametrize("kind", [DATA, METADATA])
def test_damage_that_archives_share_is_told_of_each_of_them(scene: Scene, source: Path, kind: int) -> None:
    days = ("monday", "tuesday", "wednesday")
    scene.init()
    for day in days:
        scene.create(day, source)
    for name in named(scene, "packs/"):
        if objects(scene)[name][9] == kind:
            del objects(scene)[name]
    problems = {(path, message) for _, path, message in run(scene)[1]}
    told = [
        {(path.removeprefix(day.encode()), message) for path, message in problems if path.startswith(day.encode())}
        for day in days
    ]
    assert told[0] == told[1] == told[2]
    files = {b": source/small", b": source/folder/same", b": source/folder/deep/random"}
    assert {path for path, _ in told[0]} == (files if kind == DATA else {b""})


def test_a_lost_index_is_no_problem(filled: Scene) -> None:
    for name in named(filled, "indexes/"):
        del objects(filled)[name]
    assert run(filled)[1] == []


def test_a_lost_key_is_found_without_a_key(filled: Scene) -> None:
    for name in named(filled, "keys/"):
        del objects(filled)[name]
    assert [path for _, path, _ in run(filled, BLIND)[1]] == [b"keys"]


def test_the_cache_does_not_hide_a_damaged_index(filled: Scene) -> None:
    assert run(filled)[1] == []
    flip(filled, named(filled, "indexes/")[0], 50)
    assert run(filled, CheckOptions(repository=False))[0].problems == 1


def test_only_the_archives_that_were_asked_for_are_checked(filled: Scene) -> None:
    assert run(filled, CheckOptions(name=ArchiveName("monday")))[0].archives == 1
    assert run(filled, CheckOptions(filter=ArchiveFilter(glob="t*")))[0].archives == 1
    assert run(filled, CheckOptions(filter=ArchiveFilter(glob="x*")))[0].archives == 0
    with pytest.raises(ArchiveDoesNotExist):
        run(filled, CheckOptions(name=ArchiveName("friday")))


def test_a_check_with_a_time_limit_goes_on_where_the_last_one_stopped(
    filled: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    packs = len(named(filled, "packs/"))
    assert packs > 2
    now = [0.0]

    def tick() -> float:
        now[0] += 10.0
        return now[0]

    monkeypatch.setattr("bork.operations.check.time.monotonic", tick)
    monkeypatch.setattr(check, "BATCH_BYTES", 1)
    limited = BLIND._replace(max_duration_s=5)
    checked = []
    for _ in range(packs):
        outcome, problems = run(filled, limited)
        assert problems == []
        checked.append((outcome.packs, outcome.complete))
    assert checked == [(1, False)] * (packs - 1) + [(1, True)]
    assert run(filled, limited)[0].packs == 1  # from the beginning again
    for name in sorted(named(filled, "packs/"))[1:]:  # what is behind goes, as in a compaction
        del filled.stores.objects["/repository"][name]
    outcome, problems = run(filled, limited)
    assert (outcome.packs, outcome.complete, problems) == (1, True, [])


def test_a_backup_that_is_committed_when_a_check_or_a_compaction_has_read_the_index_is_not_taken_for_damaged(
    filled: Scene, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by processes side by side: the list of archives was read after the index, and knew of more."""
    names = iter(["wednesday", "thursday"])

    def load_and_wait(*arguments: object, **options: object) -> LoadedIndex:
        loaded = load_index(*arguments, **options)  # type: ignore[arg-type]  # as it was called
        name = next(names, None)
        if name is not None:
            (source / name).write_bytes(os.urandom(30_000))
            filled.create(name, source)
        return loaded

    monkeypatch.setattr(check, "load_index", load_and_wait)
    assert run(filled)[1] == []
    monkeypatch.setattr(compact, "load_index", load_and_wait)
    assert compact.run(filled.access(), CompactOptions(), Recorder()).missing_chunks == 0
    monkeypatch.undo()
    assert set(filled.names()) == {"monday", "tuesday", "wednesday", "thursday"}
    assert filled.restore("thursday") == expected(source)
    assert run(filled)[1] == []
