"""Archives made anew: what was to stay restores bit for bit, what was to go is gone, and no fault loses an archive."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bork.archive.head import ArchiveHead
from bork.errors import (
    AppendOnly,
    ArchiveAlreadyExists,
    ArchiveDoesNotExist,
    BorkError,
    CancelledByUser,
    CommandError,
    SessionBroken,
)
from bork.operations import check, compact, init, recreate, rename, sessions
from bork.operations.check import CheckOptions
from bork.operations.compact import CompactOptions
from bork.operations.create import Compression
from bork.operations.events import Progress
from bork.operations.heads import find_archive, head_id
from bork.operations.init import InitOptions
from bork.operations.opening import open_repository
from bork.operations.recreate import RecreateOptions, RecreateOutcome
from bork.operations.selection import ArchiveName, ItemLines, PathArgument, Pattern
from bork.storage.base import Store
from bork.storage.memory import Objects
from bork.storage.names import ObjectName
from tests.operations.scene import Recorder, Scene, expected
from tests.storage.faulty import FAULTS, Crash, Fault, FaultyStore, Schedule

CACHE_TAG = b"Signature: 8a477f597d28d172789f06886806bc55\n# made by a test\n"
FIXED = ("fixed", 4096, 0)


def run(
    scene: Scene, name: str | None = "monday", events: Recorder | None = None, **options: object
) -> RecreateOutcome:
    wanted = None if name is None else ArchiveName(name)
    chosen = RecreateOptions(pack_size=20_000, **options)  # type: ignore[arg-type]  # as the test wants it
    return recreate.run(scene.access(), wanted, chosen, events or Recorder())


def exclude(text: str) -> tuple[Pattern, ...]:
    return (Pattern("-", "fm", text.encode()),)


def head(scene: Scene, name: str = "monday") -> ArchiveHead:
    with open_repository(scene.access()) as opened:
        return find_archive(opened.repository, opened.keys, ArchiveName(name)).head


def objects(scene: Scene) -> dict[ObjectName, bytes]:
    return scene.stores.objects["/repository"]


def assert_sound(scene: Scene) -> None:
    events = Recorder()
    assert check.run(scene.access(), CheckOptions(verify_data=True), events).problems == 0, events.problems


@pytest.fixture
def filled(scene: Scene, source: Path) -> Scene:
    """One archive of a small tree with hard links, a cache and a hole."""
    (source / "folder" / "cache").mkdir()
    (source / "folder" / "cache" / "CACHEDIR.TAG").write_bytes(CACHE_TAG)
    (source / "folder" / "cache" / "entry").write_bytes(b"cached")
    (source / "false cache").mkdir()
    (source / "false cache" / "CACHEDIR.TAG").write_bytes(b"no signature")
    os.link(source / "small", source / "another name")
    with (source / "sparse").open("wb") as sparse:
        sparse.write(b"begin" * 1000)
        sparse.seek(1 << 20)
        sparse.write(b"end" * 1000)
    scene.init()
    scene.create("monday", source, comment="first", compression=Compression("none"))
    return scene


# ---- what is kept ------------------------------------------------------------------------------------------------


def test_what_a_pattern_excludes_is_gone_and_the_rest_is_what_it_was(filled: Scene, source: Path) -> None:
    kept = {path: content for path, content in expected(source).items() if not path.startswith("source/folder")}
    outcome = run(filled, patterns=exclude("source/folder"))
    assert [one.action for one in outcome.archives] == ["recreated"]
    assert filled.names() == ["monday"]
    assert filled.restore("monday") == kept
    assert head(filled).stats.items == len(kept)
    assert head(filled).stats.deduplicated_size == 0
    assert_sound(filled)


def test_only_paths_that_are_given_stay(filled: Scene, source: Path) -> None:
    run(filled, paths=(PathArgument("pp", b"source/folder/deep"),))
    kept = {path: content for path, content in expected(source).items() if path.startswith("source/folder/deep")}
    restored = filled.restore("monday")
    assert {path: restored[path] for path in kept} == kept
    assert set(restored) - set(kept) == {"source", "source/folder"}  # made for what is below them
    assert head(filled).stats.items == len(kept)


def test_a_path_that_matches_nothing_is_told_and_an_archive_is_not_emptied(filled: Scene, source: Path) -> None:
    events = Recorder()
    outcome = run(filled, events=events, paths=(PathArgument("pp", b"sorce"),))
    assert events.problems == [("never_matched", b"sorce", "")]
    assert [one.action for one in outcome.archives] == ["emptied"]
    assert filled.restore("monday") == expected(source)


def test_a_hard_link_whose_first_name_is_excluded_keeps_its_content(filled: Scene, source: Path) -> None:
    files = head(filled).stats.files
    run(filled, patterns=exclude("source/another name"))
    restored = filled.restore("monday")
    assert "source/another name" not in restored
    assert restored["source/small"] == (source / "small").read_bytes()
    assert head(filled).stats.files == files  # two names were one file


def test_caches_are_excluded_with_all_that_is_in_them(filled: Scene, source: Path) -> None:
    run(filled, exclude_caches=True)
    kept = {path: content for path, content in expected(source).items() if "/folder/cache" not in path}
    assert filled.restore("monday") == kept


def test_tags_can_be_kept(filled: Scene, source: Path) -> None:
    run(filled, exclude_if_present=(b"CACHEDIR.TAG",), keep_exclude_tags=True)
    gone = {"source/folder/cache/entry"}
    assert filled.restore("monday") == {path: c for path, c in expected(source).items() if path not in gone}


def test_a_pattern_that_includes_decides_before_a_tag(filled: Scene) -> None:
    run(filled, exclude_caches=True, patterns=(Pattern("+", "pf", b"source/folder/cache/entry"),))
    restored = filled.restore("monday")
    assert restored["source/folder/cache/entry"] == b"cached"
    assert "source/folder/cache/CACHEDIR.TAG" not in restored


def test_tags_count_inside_paths_that_are_given(filled: Scene) -> None:
    run(filled, exclude_caches=True, paths=(PathArgument("pp", b"source/folder"),))
    restored = filled.restore("monday")
    assert "source/folder/same" in restored
    assert "source/folder/cache" not in restored


def test_lines_have_the_letters_of_borg(filled: Scene) -> None:
    events = Recorder()
    run(filled, events=events, patterns=exclude("*/cache"), lines=ItemLines(), target=ArchiveName("copy"))
    lines = events.shown.decode().splitlines()
    assert lines[0] == "d source"
    assert {"A source/small", "A source/another name", "x source/folder/cache/entry"} <= set(lines)
    events = Recorder()
    run(filled, events=events, dry_run=True, patterns=exclude("*/cache"), lines=ItemLines())
    assert {line[0] for line in events.shown.decode().splitlines()} == {"-", "x"}


# ---- what is in the head -----------------------------------------------------------------------------------------


def test_the_head_keeps_what_it_said_but_for_what_was_asked(filled: Scene) -> None:
    before = head(filled)
    filled.clock.wait(1000)
    run(filled, comment="second", timestamp_ns=5)
    after = head(filled)
    assert (after.comment, after.time_ns) == ("second", 5)
    for name in ("root", "hostname", "username", "cwd", "command_line", "start_ns", "end_ns", "roots", "sequence"):
        assert getattr(after, name) == getattr(before, name), name


def test_a_target_is_a_new_archive_and_the_old_one_stays(filled: Scene, source: Path) -> None:
    before = dict(objects(filled))
    run(filled, target=ArchiveName("lean"), patterns=exclude("source/folder"))
    assert filled.names() == ["lean", "monday"]
    assert filled.restore("monday") == expected(source)
    assert "source/folder" not in filled.restore("lean")
    assert before.items() <= objects(filled).items()
    with pytest.raises(ArchiveAlreadyExists):
        run(filled, target=ArchiveName("lean"), comment="x")


def test_nothing_to_do_changes_nothing(filled: Scene) -> None:
    before = dict(objects(filled))
    assert [one.action for one in run(filled).archives] == ["skipped"]
    assert [one.action for one in run(filled, chunker=head(filled).chunker).archives] == ["skipped"]
    assert [one.action for one in run(filled, comment="first").archives] == ["unchanged"]
    assert [one.action for one in run(filled, patterns=exclude("nothing like that")).archives] == ["unchanged"]
    assert objects(filled) == before


def test_a_dry_run_changes_nothing(filled: Scene) -> None:
    before = dict(objects(filled))
    outcome = run(
        filled, dry_run=True, patterns=exclude("*"), recompress="always", chunker=FIXED, compression=Compression("zstd")
    )
    assert [one.action for one in outcome.archives] == ["dry_run"]
    assert {name for name in objects(filled) if not name.startswith("sessions/")} == set(before)


def test_a_repository_is_recreated_archive_by_archive_but_for_temporary_ones(filled: Scene, source: Path) -> None:
    filled.create("tuesday", source)
    filled.create("other.recreate", source)
    announced: list[str] = []
    run(filled, None, announce=announced.append, patterns=exclude("source/folder"))
    assert announced == ["monday", "tuesday"]
    assert "source/folder" not in filled.restore("monday")
    assert "source/folder" not in filled.restore("tuesday")
    assert filled.restore("other.recreate") == expected(source)


def test_an_archive_that_is_not_there_is_an_error(filled: Scene) -> None:
    with pytest.raises(ArchiveDoesNotExist):
        run(filled, "nope", comment="x")


def test_the_next_backup_compares_with_what_was_recreated_and_takes_nothing_for_granted(
    filled: Scene, source: Path
) -> None:
    run(filled, patterns=exclude("source/folder"))
    filled.create("next", source)
    assert filled.restore("next") == expected(source)


# ---- content -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunker", [FIXED, ("gear", 10, 14, 12), ("fixed", 5000, 512)])
def test_content_that_is_cut_anew_is_the_same_content(
    filled: Scene, source: Path, chunker: tuple[str | int, ...]
) -> None:
    before = head(filled)
    run(filled, chunker=chunker)
    after = head(filled)
    assert after.chunker == chunker
    assert after.root != before.root
    assert after.stats.chunks > before.stats.chunks
    assert after.stats.original_size == before.stats.original_size
    assert filled.restore("monday") == expected(source)
    assert_sound(filled)


def test_a_file_with_more_slices_than_an_item_holds_survives_both_ways(scene: Scene, source: Path) -> None:
    (source / "long").write_bytes(os.urandom(300_000))
    scene.init()
    scene.create("monday", source)
    run(scene, chunker=("fixed", 64, 0))
    assert head(scene).stats.chunks > 4096
    assert scene.restore("monday") == expected(source)
    run(scene, chunker=("fixed", 100_000, 0), recompress="always")
    assert head(scene).stats.chunks < 20
    assert scene.restore("monday") == expected(source)
    assert_sound(scene)


def test_cutting_anew_gives_the_archive_that_create_would_have_made(filled: Scene, source: Path) -> None:
    filled.create("direct", source, chunker=FIXED)
    run(filled, chunker=FIXED)
    assert head(filled).root == head(filled, "direct").root


def test_recompressed_content_takes_less_space_after_compaction(filled: Scene, source: Path) -> None:
    assert run(filled, recompress="if-different", compression=Compression("zstd", 3)).archives[0].action == "recreated"
    assert_sound(filled)
    before = sum(map(len, objects(filled).values()))
    compact.run(filled.access(), CompactOptions(), Recorder())
    assert sum(map(len, objects(filled).values())) < before
    assert filled.restore("monday") == expected(source)
    assert_sound(filled)


def test_if_different_looks_at_the_codec_and_always_at_nothing(filled: Scene) -> None:
    def stored(mode: str, compression: Compression) -> int:
        known = {name for name in objects(filled) if name.startswith("packs/")}
        run(filled, recompress=mode, compression=compression)
        return len({name for name in objects(filled) if name.startswith("packs/")} - known)

    assert stored("never", Compression("zstd", 3)) == 0
    assert stored("if-different", Compression("none")) == 0
    assert stored("if-different", Compression("zstd", 3)) > 0
    compact.run(filled.access(), CompactOptions(), Recorder())
    assert stored("if-different", Compression("zstd", 19)) == 0
    assert stored("always", Compression("zstd", 19)) > 0


def test_what_several_archives_share_is_compressed_once(filled: Scene, source: Path) -> None:
    run(filled, target=ArchiveName("copy"))
    outcome = run(filled, None, recompress="always", compression=Compression("zstd", 3))
    first, second = (one.entry for one in outcome.archives)
    assert first is not None
    assert second is not None
    assert first.head.stats.deduplicated_size > 0
    assert second.head.stats.deduplicated_size == 0


# ---- damage ------------------------------------------------------------------------------------------------------


def lose(scene: Scene, content: bytes) -> ObjectName:
    """Damage the pack that holds these bytes."""
    for name, data in objects(scene).items():
        if name.startswith("packs/") and content in data:
            at = data.index(content)
            objects(scene)[name] = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
            return name
    pytest.fail("no pack holds it as it is")


@pytest.fixture
def damaged(scene: Scene, source: Path) -> Scene:
    """An archive whose packs show what is in them."""
    (source / "lost").write_bytes(os.urandom(1000) + b"needle" * 30_000)
    scene.user.agrees = True
    scene.init("none")
    scene.create("monday", source, compression=Compression("none"))
    return scene


def test_a_damaged_file_that_has_to_be_read_is_named_and_kept_as_it_is(damaged: Scene, source: Path) -> None:
    events = Recorder()
    whole = dict(objects(damaged))
    spoiled = lose(damaged, b"needle" * 20)
    run(damaged, events=events, chunker=FIXED)
    assert [(kind, path) for kind, path, _ in events.problems] == [("damaged", b"source/lost")]
    pristine = {path: content for path, content in expected(source).items() if path != "source/lost"}
    run(damaged, target=ArchiveName("rest"), patterns=exclude("source/lost"))
    assert damaged.restore("rest") == pristine
    objects(damaged)[spoiled] = whole[spoiled]
    assert damaged.restore("monday") == expected(source)  # all that was there before is still referred to


def test_a_damaged_file_that_need_not_be_read_is_passed_on(damaged: Scene) -> None:
    events = Recorder()
    lose(damaged, b"needle" * 20)
    run(damaged, events=events, patterns=exclude("source/small"))
    assert events.problems == []


def test_a_tree_that_cannot_be_read_stays_and_ends_the_operation(filled: Scene) -> None:
    before = dict(objects(filled))
    for name, data in before.items():
        if name.startswith("packs/"):
            objects(filled)[name] = data[:64] + bytes(byte ^ 1 for byte in data[64:])
    broken = dict(objects(filled))
    with pytest.raises(BorkError):
        run(filled, patterns=exclude("source/folder"))
    assert {name: data for name, data in objects(filled).items() if not name.startswith("sessions/")} == broken


# ---- faults ------------------------------------------------------------------------------------------------------


def test_a_recreation_that_is_cancelled_changes_no_archive(filled: Scene, source: Path) -> None:
    with pytest.raises(CancelledByUser):
        run(filled, events=Recorder(cancel_after=0), patterns=exclude("source/folder"))
    assert filled.restore("monday") == expected(source)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", FAULTS)
def test_after_every_fault_there_is_the_old_archive_or_the_new_one(filled: Scene, source: Path, fault: Fault) -> None:
    old = expected(source)
    new = {path: content for path, content in old.items() if not path.startswith("source/folder")}
    before = dict(objects(filled))
    found = set()
    for at in range(200):
        schedule = Schedule(at, fault)
        filled.stores.wrap = _wrapped(schedule)
        done = False
        try:
            run(filled, patterns=exclude("source/folder"), chunker=FIXED)
            done = True
        except (BorkError, Crash):
            pass
        filled.stores.wrap = lambda store: store
        restored = filled.restore("monday")
        assert restored == new if done else restored in (old, new), at
        found.add("new" if restored == new else "old")
        run(filled, patterns=exclude("source/folder"), chunker=FIXED)
        assert filled.restore("monday") == new
        assert set(filled.names()) <= {"monday", "monday.recreate"}
        assert_sound(filled)
        filled.stores.objects["/repository"] = Objects(before)
        if schedule.count <= at:
            break
    else:
        pytest.fail("the command never came to its end")
    assert found == {"old", "new"}


def _wrapped(schedule: Schedule) -> Callable[[Store], Store]:
    return lambda store: FaultyStore(store, schedule)


def test_an_archive_that_is_deleted_meanwhile_does_not_come_back(filled: Scene) -> None:
    deleted: list[str] = []

    class Deleter(Recorder):
        def cancelled(self) -> bool:
            if not deleted:
                deleted.append("monday")
                with open_repository(filled.access(), role="deleter") as opened:
                    opened.repository.delete_head(head_id(opened.keys, ArchiveName("monday")))
            return False

    with pytest.raises(ArchiveDoesNotExist):
        run(filled, events=Deleter(), comment="x")
    assert filled.names() == []


def test_a_repository_that_only_takes_new_archives_lets_none_be_replaced(scene: Scene, source: Path) -> None:
    init.run(scene.access(), InitOptions("repokey", append_only=True))
    scene.create("monday", source)
    with pytest.raises(AppendOnly):
        run(scene, comment="x")
    run(scene, target=ArchiveName("copy"), comment="x")
    assert scene.names() == ["copy", "monday"]  # of one time: in the order of their names


def test_a_recreation_whose_session_is_broken_changes_no_archive(filled: Scene, source: Path) -> None:
    class Breaker(Recorder):
        def progress(self, progress: Progress) -> None:
            with open_repository(filled.access(), needs_key=False) as opened:
                sessions.break_all(opened.repository)

    with pytest.raises(SessionBroken):
        run(filled, events=Breaker(), patterns=exclude("source/folder"))
    assert filled.names() == ["monday"]
    assert filled.restore("monday") == expected(source)


def test_a_target_that_the_next_recreation_would_take_for_a_remainder_is_refused(filled: Scene) -> None:
    with pytest.raises(CommandError, match=r"--target: a name that ends in \"\.recreate\""):
        run(filled, target=ArchiveName("monday.recreate"))
    assert filled.names() == ["monday"]


def test_what_an_interrupted_recreation_left_goes_with_the_next_one_and_a_namesake_stays(
    filled: Scene, source: Path
) -> None:
    run(filled, target=ArchiveName("twin"))
    rename.run(
        filled.access(), ArchiveName("twin"), ArchiveName("monday.recreate")
    )  # as after a crash before the exchange
    run(filled, patterns=exclude("source/folder"))
    assert filled.names() == ["monday"]
    filled.clock.wait(10)
    filled.create("monday.recreate", source)
    with pytest.raises(ArchiveAlreadyExists):
        run(filled, patterns=exclude("source/small"))
    assert filled.restore("monday.recreate") == expected(source)
