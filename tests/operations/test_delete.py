"""Archives go one by one, and nothing goes that was not named; a repository goes as a whole, and only when asked."""

from pathlib import Path

import pytest

from bork.errors import (
    AppendOnly,
    BorkError,
    CancelledByUser,
    IntegrityError,
    LockTimeout,
    PassphraseWrong,
    RepositoryDoesNotExist,
)
from bork.operations import config, delete
from bork.operations.access import LocalStores
from bork.operations.delete import DeleteOptions, DeleteOutcome, RepositoryDeleteOptions, Step
from bork.operations.opening import open_repository
from bork.operations.selection import ArchiveFilter, ArchiveName
from bork.storage.names import CONFIG, ObjectName
from tests.operations.scene import PASSPHRASE, Recorder, Scene, expected, tree
from tests.operations.test_faults import attempts, mend
from tests.storage.faulty import FAULTS, Crash, Fault


def names(*given: str) -> tuple[ArchiveName, ...]:
    return tuple(ArchiveName(name) for name in given)


def run(scene: Scene, options: DeleteOptions, events: Recorder | None = None) -> tuple[DeleteOutcome, list[Step]]:
    told: list[Step] = []
    return delete.archives(scene.access(), options, events or Recorder(), told.append), told


def heads(scene: Scene) -> list[ObjectName]:
    return [name for name in scene.stores.objects["/repository"] if name.startswith("archives/")]


@pytest.fixture
def week(scene: Scene, source: Path) -> Scene:
    """Three archives of one tree."""
    scene.init()
    for name in ("monday", "tuesday", "wednesday"):
        scene.create(name, source)
        scene.clock.ns += 86_400 * 10**9
    return scene


def test_deleting_one_archive_leaves_the_others_as_they_were(week: Scene, source: Path) -> None:
    outcome, told = run(week, DeleteOptions(names("tuesday")))
    assert outcome.deleted == 1
    assert [(step.name, step.number, step.total) for step in told] == [("tuesday", 1, 1)]
    assert week.names() == ["monday", "wednesday"]
    for name in week.names():
        assert week.restore(name) == expected(source)


def test_a_deleted_name_is_free_again(week: Scene, tmp_path: Path) -> None:
    run(week, DeleteOptions(names("monday")))
    other = tree(tmp_path / "other", seed=1)
    week.create("monday", other)
    assert week.restore("monday") == expected(other)


def test_a_name_that_does_not_exist_is_told_and_the_others_go(week: Scene) -> None:
    outcome, told = run(week, DeleteOptions(names("nosuch", "tuesday", "", "a/b")))
    assert [(step.name, step.entry is None, step.is_damaged) for step in told] == [
        ("nosuch", True, False),
        ("tuesday", False, False),
        ("", True, False),
        ("a/b", True, False),
    ]
    assert outcome.deleted == 1
    assert week.names() == ["monday", "wednesday"]


def test_a_name_that_is_given_twice_is_deleted_once(week: Scene) -> None:
    outcome, told = run(week, DeleteOptions(names("monday", "monday")))
    assert (outcome.deleted, len(told)) == (1, 1)


@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        (ArchiveFilter(glob="*sday"), ["monday"]),
        (ArchiveFilter(glob="*sday", first=1), ["monday", "wednesday"]),
        (ArchiveFilter(prefix="w"), ["monday", "tuesday"]),
        (ArchiveFilter(first=1), ["tuesday", "wednesday"]),
        (ArchiveFilter(last=2), ["monday"]),
        (ArchiveFilter(first=1, sort_by=("name",)), ["tuesday", "wednesday"]),
        (ArchiveFilter(last=1, sort_by=("name",)), ["monday", "tuesday"]),
        (ArchiveFilter(glob="nothing"), ["monday", "tuesday", "wednesday"]),
        (ArchiveFilter(glob=""), ["monday", "tuesday", "wednesday"]),
    ],
)
def test_a_filter_deletes_what_it_matches_and_an_empty_choice_is_nothing(
    week: Scene, wanted: ArchiveFilter, left: list[str]
) -> None:
    run(week, DeleteOptions(filter=wanted))
    assert week.names() == left


def test_without_names_and_without_a_filter_nothing_is_deleted(week: Scene) -> None:
    outcome, told = run(week, DeleteOptions(totals=True))
    assert (outcome.deleted, outcome.totals, told) == (0, None, [])
    assert len(week.names()) == 3


def test_checkpoints_are_deleted_too(week: Scene, source: Path) -> None:
    week.create("thursday.checkpoint", source)
    run(week, DeleteOptions(filter=ArchiveFilter(glob="thursday*")))
    assert len(heads(week)) == 3


@pytest.mark.parametrize(
    "options", [DeleteOptions(names("monday", "x")), DeleteOptions(filter=ArchiveFilter(glob="*"))]
)
def test_a_dry_run_tells_the_same_and_changes_nothing(week: Scene, options: DeleteOptions) -> None:
    before = dict(week.stores.objects["/repository"])
    outcome, told = run(week, options._replace(dry_run=True))
    assert outcome.totals is None
    assert week.stores.objects["/repository"] == before
    real, told_for_real = run(week, options)
    assert (real.deleted, told_for_real) == (outcome.deleted, told)


def test_the_numbers_are_those_of_what_went_and_of_what_is_left(week: Scene) -> None:
    one = week.create("more", tree(week.home / "more"))
    outcome, _ = run(week, DeleteOptions(names("more"), totals=True))
    assert outcome.totals is not None
    assert outcome.totals.original_size == one.stats.original_size
    assert outcome.totals.compressed_size == one.stats.compressed_size
    assert outcome.totals.left is not None
    assert outcome.totals.left.total_size == 3 * one.stats.original_size
    outcome, _ = run(week, DeleteOptions(names("monday")))
    assert outcome.totals is not None
    assert outcome.totals.left is None


# ---- damage ------------------------------------------------------------------------------------------------------


def damage(scene: Scene, name: str) -> None:
    with open_repository(scene.access()) as opened:
        head = ObjectName(f"archives/{opened.keys.archive_name(name.encode()).hex()}")
    data = bytearray(scene.stores.objects["/repository"][head])
    data[len(data) // 2] ^= 1
    scene.stores.objects["/repository"][head] = bytes(data)


def test_a_damaged_archive_stops_everything_before_anything_is_deleted(week: Scene) -> None:
    damage(week, "tuesday")
    with pytest.raises(IntegrityError):
        run(week, DeleteOptions(names("monday", "tuesday")))
    assert len(heads(week)) == 3


def test_a_damaged_archive_is_deleted_by_name_with_force(week: Scene, source: Path) -> None:
    damage(week, "tuesday")
    outcome, told = run(week, DeleteOptions(names("tuesday"), force=True))
    assert (outcome.deleted, told[0].is_damaged, told[0].entry) == (1, True, None)
    assert week.names() == ["monday", "wednesday"]
    assert week.restore("monday") == expected(source)


def test_a_filter_reports_what_it_cannot_look_at_and_leaves_it(week: Scene) -> None:
    damage(week, "tuesday")
    outcome, _ = run(week, DeleteOptions(filter=ArchiveFilter(glob="*"), force=True))
    assert (outcome.deleted, len(outcome.damaged)) == (2, 1)
    assert len(heads(week)) == 1


# ---- refusals and races ------------------------------------------------------------------------------------------


def test_an_append_only_repository_gives_nothing_away(week: Scene) -> None:
    config.change(week.access(), "append_only", 1)
    before = dict(week.stores.objects["/repository"])
    with pytest.raises(AppendOnly, match="/repository"):
        run(week, DeleteOptions(names("monday")))
    with pytest.raises(AppendOnly):
        delete.loss(week.access(), names=False)
    with pytest.raises(AppendOnly):
        delete.repository(week.access(), RepositoryDeleteOptions())
    assert week.stores.objects["/repository"] == before
    run(week, DeleteOptions(names("monday"), dry_run=True))


def test_who_stops_it_keeps_what_was_not_deleted_yet(week: Scene) -> None:
    with pytest.raises(CancelledByUser):
        run(week, DeleteOptions(names("monday", "tuesday", "wednesday")), Recorder(cancel_after=1))
    assert week.names() == ["tuesday", "wednesday"]


def test_an_archive_that_was_replaced_meanwhile_is_left_alone(week: Scene, tmp_path: Path) -> None:
    other = tree(tmp_path / "other", seed=1)

    def replace_it(step: Step) -> None:
        if step.name == "monday" and step.number == 1:
            delete.archives(week.access(), DeleteOptions(names("monday")), Recorder(), lambda _: None)
            week.create("monday", other)

    outcome = delete.archives(week.access(), DeleteOptions(names("monday", "tuesday")), Recorder(), replace_it)
    assert outcome.deleted == 1
    assert week.restore("monday") == expected(other)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_any_moment_leaves_every_archive_whole_or_gone(week: Scene, source: Path, fault: Fault) -> None:
    objects = dict(week.stores.objects["/repository"])
    for _ in attempts(week, fault):
        try:
            run(week, DeleteOptions(names("monday", "tuesday")))
        except (BorkError, Crash):
            pass
        else:
            mend(week)
            assert week.names() == ["wednesday"]
        mend(week)
        for name in week.names():
            assert week.restore(name) == expected(source)
        assert "wednesday" in week.names()
        run(week, DeleteOptions(names("monday", "tuesday")))
        assert week.names() == ["wednesday"]
        week.stores.objects["/repository"].clear()
        week.stores.objects["/repository"].update(objects)


# ---- the whole repository ----------------------------------------------------------------------------------------


def test_the_loss_is_counted_without_a_key_and_named_with_it(week: Scene) -> None:
    damage(week, "tuesday")
    loss = delete.loss(week.access(), names=True)
    assert (loss.archives, loss.unknown) == (3, None)
    assert [entry.name for entry in loss.entries or ()] == ["monday", "wednesday"]
    week.user.configured = b"wrong"
    loss = delete.loss(week.access(), names=False)
    assert (loss.archives, loss.entries, loss.unknown) == (3, None, None)
    loss = delete.loss(week.access(), names=True)
    assert (loss.archives, loss.entries, type(loss.unknown)) == (3, None, PassphraseWrong)


def test_a_deleted_repository_leaves_nothing_but_key_files(scene: Scene, source: Path) -> None:
    scene.init("keyfile")
    scene.create("monday", source)
    scene.user.configured = None  # nobody asks for a passphrase
    assert delete.repository(scene.access(), RepositoryDeleteOptions())
    assert scene.stores.objects["/repository"] == {}
    assert list((scene.home / "security").iterdir()) == []
    assert [path.name for path in (scene.home / "cache").iterdir()] == ["CACHEDIR.TAG"]
    assert len(list((scene.home / "keys").iterdir())) == 1
    assert scene.user.asked == []


def test_what_is_remembered_can_be_kept_and_the_cache_can_go_alone(week: Scene, source: Path) -> None:
    delete.repository(week.access(), RepositoryDeleteOptions(cache_only=True))
    assert [path.name for path in (week.home / "cache").iterdir()] == ["CACHEDIR.TAG"]
    assert week.restore("monday") == expected(source)
    assert len(list((week.home / "security").iterdir())) == 1
    delete.repository(week.access(), RepositoryDeleteOptions(keep_security_info=True))
    assert len(list((week.home / "security").iterdir())) == 1


def test_a_repository_in_use_is_not_deleted(week: Scene) -> None:
    with open_repository(week.access(), role="writer"), pytest.raises(LockTimeout, match="writer"):
        delete.repository(week.access()._replace(lock_wait_s=0), RepositoryDeleteOptions())
    assert len(week.names()) == 3


def test_the_directory_goes_and_what_is_not_of_bork_stays(scene: Scene, source: Path, tmp_path: Path) -> None:
    access = scene.access(str(tmp_path / "disk"))._replace(stores=LocalStores())
    scene.init(access=access)
    scene.create("monday", source, access=access)
    (tmp_path / "disk" / "packs" / "notes").write_text("mine")
    assert not delete.repository(access, RepositoryDeleteOptions())
    left = [path for path in (tmp_path / "disk").rglob("*") if path.is_file()]
    assert left == [tmp_path / "disk" / "packs" / "notes"]
    left[0].unlink()
    left[0].parent.rmdir()
    scene.init(access=access)
    assert delete.repository(access, RepositoryDeleteOptions())
    assert not (tmp_path / "disk").exists()
    with pytest.raises(RepositoryDoesNotExist):
        delete.repository(access, RepositoryDeleteOptions())


@pytest.mark.parametrize("fault", ["fail", "stop", "stop_after"])
def test_a_deletion_that_was_interrupted_can_be_repeated_and_no_archive_is_ever_broken(
    week: Scene, source: Path, fault: Fault
) -> None:
    objects = dict(week.stores.objects["/repository"])
    for _ in attempts(week, fault):
        try:
            delete.repository(week.access(), RepositoryDeleteOptions())
        except (BorkError, Crash):
            mend(week)
            if "keys" in {name.partition("/")[0] for name in week.stores.objects["/repository"]}:
                for name in week.names():
                    assert week.restore(name) == expected(source)
            if CONFIG in week.stores.objects["/repository"]:
                delete.repository(week.access(), RepositoryDeleteOptions())
        assert {name for name in week.stores.objects["/repository"] if not name.startswith("sessions/")} == set()
        week.stores.objects["/repository"].clear()
        week.stores.objects["/repository"].update(objects)
        week.user.configured = PASSPHRASE
