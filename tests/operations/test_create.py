"""Create, list, extract, info: the way of a backup through the Python layers."""

import os
from pathlib import Path

import pytest

from bork.core import ChunkIndex, CreateEngine, Keys
from bork.errors import (
    ArchiveAlreadyExists,
    ArchiveDoesNotExist,
    CancelledByUser,
    CommandError,
    IntegrityError,
)
from bork.operations import create, extract, info
from bork.operations import list as listing
from bork.operations.access import LocalStores
from bork.operations.committing import MIB, PACK_SIZE_MAX, PACK_SIZE_MIN, choose_pack_size
from bork.operations.create import CLOCK_TICK_NS, PathList, Root, StdinSource, choose_previous
from bork.operations.events import ArchiveProgress, PercentProgress
from bork.operations.extract import ExtractOptions
from bork.operations.heads import load_heads
from bork.operations.list import ListOptions
from bork.operations.opening import open_repository
from bork.operations.selection import ArchiveFilter, ArchiveName, ItemLines
from tests.operations.scene import DAY_NS, PASSPHRASE, Recorder, Scene, expected, options, tree

PATHS = ListOptions(format="{path}{NL}")


@pytest.mark.parametrize("mode", ["none", "authenticated", "repokey", "keyfile"])
def test_what_was_backed_up_is_restored(scene: Scene, source: Path, mode: str) -> None:
    scene.init(mode)
    outcome = scene.create("monday", source)
    assert scene.restore("monday") == expected(source)
    assert scene.names() == ["monday"]
    assert outcome.head is not None
    assert outcome.head.stats == outcome.stats


def test_a_repository_in_a_directory_works_as_one_in_memory(scene: Scene, source: Path, tmp_path: Path) -> None:
    access = scene.access()._replace(path=str(tmp_path / "repository"), stores=LocalStores())
    scene.init(access=access)
    scene.create("monday", source, access=access)
    assert scene.restore("monday", access) == expected(source)
    assert [path.name for path in (tmp_path / "repository" / "tmp").iterdir()] == ["reserve"]


def test_commit_order_is_packs_then_index_then_head(scene: Scene, source: Path) -> None:
    scene.init()
    before = len(scene.stores.objects["/repository"])
    scene.create("monday", source)
    stored = [name.partition("/")[0] for name in list(scene.stores.objects["/repository"])[before:]]
    assert stored[0] == "packs"
    assert stored[-1] == "archives"
    assert stored.count("archives") == 1
    assert max(at for at, kind in enumerate(stored) if kind == "packs") < stored.index("indexes")


def test_a_second_backup_stores_only_what_is_new(scene: Scene, source: Path) -> None:
    scene.init()
    first = scene.create("monday", source).stats
    (source / "added").write_bytes(b"new")
    second = scene.create("tuesday", source).stats
    assert second.original_size == first.original_size + 3
    assert second.deduplicated_size < first.deduplicated_size / 2
    assert scene.restore("tuesday") == expected(source)


def test_a_name_that_exists_is_refused_before_anything_is_stored(scene: Scene, source: Path) -> None:
    scene.init()
    scene.create("monday", source)
    before = dict(scene.stores.objects["/repository"])
    (source / "added").write_bytes(b"new")
    with pytest.raises(ArchiveAlreadyExists, match="monday"):
        scene.create("monday", source)
    assert scene.stores.objects["/repository"] == before


def test_a_name_that_another_writer_takes_meanwhile_is_refused_at_the_commit(scene: Scene, source: Path) -> None:
    scene.init()
    with pytest.raises(ArchiveAlreadyExists):
        scene.create("monday", source, before_commit=lambda: scene.create("monday", source / "folder"))
    assert scene.names() == ["monday"]
    assert scene.restore("monday") == expected(source / "folder")


def test_what_another_writer_commits_meanwhile_is_part_of_the_ledger(scene: Scene, source: Path) -> None:
    scene.init()
    outcome = scene.create("first", source, before_commit=lambda: scene.create("second", source))
    assert outcome.head is not None
    assert outcome.head.sequence == 2
    assert outcome.totals is not None
    assert outcome.totals.total_size == 2 * outcome.stats.original_size


def test_a_failed_condition_before_the_commit_leaves_no_archive(scene: Scene, source: Path) -> None:
    def fail() -> None:
        raise InterruptedError("the command behind stdin failed")

    scene.init()
    with pytest.raises(InterruptedError):
        scene.create("monday", source, before_commit=fail)
    assert scene.names() == []


def test_ctrl_c_at_every_moment_leaves_all_or_nothing(scene: Scene, source: Path) -> None:
    scene.init()
    for asked in range(1000):
        name = f"archive {asked}"
        try:
            scene.create(name, source, events=Recorder(cancel_after=asked))
        except CancelledByUser:
            assert name not in scene.names()
        else:
            assert scene.restore(name) == expected(source)
            return
    pytest.fail("it never came to an end")


def test_an_interrupted_backup_is_cheap_to_repeat(scene: Scene, source: Path) -> None:
    scene.init()
    asked = 3
    with pytest.raises(CancelledByUser):
        scene.create("monday", source, events=Recorder(cancel_after=asked))
    stored = sum(len(data) for name, data in scene.stores.objects["/repository"].items() if name.startswith("packs"))
    outcome = scene.create("monday", source)
    assert scene.restore("monday") == expected(source)
    assert outcome.stats.deduplicated_size <= outcome.stats.original_size - stored / 2 or stored == 0


def test_a_dry_run_stores_nothing_and_needs_no_passphrase(scene: Scene, source: Path) -> None:
    scene.init()
    before = dict(scene.stores.objects["/repository"])
    scene.user.configured = b"wrong"
    events = Recorder()
    outcome = scene.create("monday", source, events=events, dry_run=True, lines=ItemLines())
    assert outcome.head is None
    assert b"source/small" in events.shown
    assert scene.stores.objects["/repository"] == before


def test_a_dry_run_does_not_even_look_for_the_repository(scene: Scene, source: Path) -> None:
    """Wrappers ask what would be backed up before there is a repository; Borg answers with exit code 0."""
    assert scene.create("monday", source, dry_run=True).head is None


def test_the_head_says_when_where_and_what(scene: Scene, source: Path) -> None:
    scene.init()
    given = options("monday", source)._replace(comment="a comment", timestamp_ns=5 * DAY_NS)
    head = create.run(scene.access(), given, Recorder()).head
    assert head is not None
    assert (head.name, head.hostname, head.username, head.cwd) == ("monday", "host", "user", "/")
    assert (head.comment, head.time_ns, head.start_ns) == ("a comment", 5 * DAY_NS, scene.clock.ns)
    assert head.roots == (str(source).encode(),)
    assert head.sequence == 1


def test_progress_ends_with_a_finished_event(scene: Scene, source: Path) -> None:
    scene.init()
    events = Recorder()
    scene.create("monday", source, events=events)
    assert isinstance(events.steps[-1], ArchiveProgress)
    assert [step.finished for step in events.steps].count(True) == 1


# ---- which archive to compare with -------------------------------------------------------------------------------


def test_the_previous_archive_is_the_newest_of_the_same_roots_or_else_of_the_host(scene: Scene, tmp_path: Path) -> None:
    scene.init()
    one, two = tree(tmp_path / "one"), tree(tmp_path / "two")
    for name, root, host in (("a", one, "host"), ("b", two, "host"), ("c", one, "other"), ("d", one, "host")):
        scene.create(name, root, hostname=host)
        scene.clock.ns -= DAY_NS  # a clock that is set back must not make an older archive the newest
    with open_repository(scene.access()) as opened:
        heads = load_heads(opened.repository, opened.keys)
    roots = {root: (str(root).encode(),) for root in (one, two)}

    def chosen(host: str, roots: tuple[bytes, ...]) -> str | None:
        entry = choose_previous(heads, host, roots)
        return None if entry is None else entry.head.name

    assert chosen("host", roots[one]) == "d"
    assert chosen("host", roots[two]) == "b"
    assert chosen("host", (b"/elsewhere",)) == "d"
    assert chosen("other", roots[two]) == "c"
    assert chosen("nobody", roots[one]) is None


def test_the_previous_archive_has_most_of_the_roots_if_one_of_them_has_another_name_each_time(
    scene: Scene, tmp_path: Path
) -> None:
    scene.init()
    one, two = tree(tmp_path / "one"), tree(tmp_path / "two")
    for name, roots in (("a", [one, tree(tmp_path / "x1")]), ("b", [two, tree(tmp_path / "x2")]), ("pipe", [])):
        scene.create(name, *roots)
    with open_repository(scene.access()) as opened:
        heads = load_heads(opened.repository, opened.keys)

    def chosen(*names: str) -> str | None:
        entry = choose_previous(heads, "host", tuple(str(tmp_path / name).encode() for name in names))
        return None if entry is None else entry.head.name

    assert chosen("one", "x3") == "a"
    assert chosen("two", "x3") == "b"
    assert chosen("one", "two", "x2") == "b"
    assert chosen("x3") == "b"
    assert chosen() == "pipe"


def test_times_that_are_not_trusted_allow_for_the_tick_of_the_clock(
    scene: Scene, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.init()
    plans: list[dict[str, object]] = []

    def remember(plan: dict[str, object], keys: Keys, index: ChunkIndex) -> CreateEngine:
        plans.append(plan)
        return CreateEngine(plan, keys, index)

    monkeypatch.setattr(create, "CreateEngine", remember)
    first = scene.create("monday", source).head
    scene.create("tuesday", source)
    assert first is not None
    assert plans[0]["previous"] is None
    assert plans[1]["previous"] == {"root": first.root, "start_ns": first.start_ns - CLOCK_TICK_NS}


def test_packs_grow_with_the_repository_between_bounds() -> None:
    assert choose_pack_size(0) == PACK_SIZE_MIN
    assert choose_pack_size(1 << 50) == PACK_SIZE_MAX
    sizes = [choose_pack_size(1 << bits) for bits in range(20, 45)]
    assert sizes == sorted(sizes)
    assert all(size % MIB == 0 for size in sizes)


# ---- list, info --------------------------------------------------------------------------------------------------


def test_items_are_listed_as_lines(scene: Scene, source: Path) -> None:
    scene.init()
    scene.create("monday", source)
    events = Recorder()
    outcome = listing.items(scene.access(), ArchiveName("monday"), PATHS, events)
    assert outcome.items == len(expected(source))
    assert sorted(events.shown.decode().splitlines()) == sorted(expected(source))


def test_archives_are_filtered_and_sorted_as_borg_does(scene: Scene, source: Path) -> None:
    scene.init()
    for name in ("b-1", "a-2", "a-1"):
        scene.create(name, source)
        scene.clock.ns += DAY_NS

    def names(wanted: ArchiveFilter) -> list[str]:
        return [entry.name for entry in listing.archives(scene.access(), wanted).archives]

    assert names(ArchiveFilter()) == ["b-1", "a-2", "a-1"]
    assert names(ArchiveFilter(sort_by=("name",))) == ["a-1", "a-2", "b-1"]
    assert names(ArchiveFilter(glob="a-*")) == ["a-2", "a-1"]
    assert names(ArchiveFilter(prefix="b")) == ["b-1"]
    assert names(ArchiveFilter(first=1)) == ["b-1"]
    assert names(ArchiveFilter(last=2)) == ["a-2", "a-1"]
    assert names(ArchiveFilter(glob="*", last=5)) == ["b-1", "a-2", "a-1"]
    assert names(ArchiveFilter(glob="c*")) == []


def test_a_damaged_head_does_not_hide_the_other_archives(scene: Scene, source: Path) -> None:
    scene.init()
    scene.create("monday", source)
    (head,) = (name for name in scene.stores.objects["/repository"] if name.startswith("archives/"))
    scene.stores.objects["/repository"][head] = b"damaged"
    scene.create("tuesday", source)
    shown = listing.archives(scene.access(), ArchiveFilter())
    assert [entry.name for entry in shown.archives] == ["tuesday"]
    assert len(shown.damaged) == 1
    with pytest.raises(IntegrityError):
        scene.restore("monday")


def test_a_head_that_was_copied_to_another_name_is_refused(scene: Scene, source: Path) -> None:
    scene.init()
    scene.create("monday", source)
    scene.create("tuesday", source)
    objects = scene.stores.objects["/repository"]
    one, two = (name for name in objects if name.startswith("archives/"))
    objects[two] = objects[one]
    shown = listing.archives(scene.access(), ArchiveFilter())
    assert [entry.name for entry in shown.archives] == ["monday"]
    assert len(shown.damaged) == 1


def test_an_archive_that_is_not_there_is_named(scene: Scene, source: Path) -> None:
    scene.init()
    with pytest.raises(ArchiveDoesNotExist, match="friday"):
        scene.restore("friday")
    with pytest.raises(ArchiveDoesNotExist, match="friday"):
        listing.items(scene.access(), ArchiveName("friday"), PATHS, Recorder())
    with pytest.raises(ArchiveDoesNotExist, match="friday"):
        info.archives(scene.access(), [ArchiveName("friday")])


def test_names_that_are_not_utf8_work(scene: Scene, source: Path) -> None:
    scene.init()
    scene.create("caf\udce9", source)
    assert scene.names() == ["caf\udce9"]
    assert scene.restore("caf\udce9") == expected(source)


def test_info_adds_up_what_the_archives_say(scene: Scene, source: Path) -> None:
    scene.init()
    stats = [scene.create(name, source).stats for name in ("monday", "tuesday")]
    shown = info.repository(scene.access())
    assert shown.archives == 2
    assert shown.totals.total_size == sum(each.original_size for each in stats)
    assert shown.totals.total_unique_chunks > 0
    assert shown.used_bytes > 0
    assert shown.last_modified_ns == scene.clock.ns
    assert shown.damaged == ()
    chosen = info.archives(scene.access(), ArchiveFilter(last=1))
    assert [each.archive.name for each in chosen] == ["tuesday"]
    assert info.archives(scene.access(), [ArchiveName("monday")])[0].archive.head.stats == stats[0]


# ---- extract -----------------------------------------------------------------------------------------------------


def test_extract_to_stdout_gives_content_only(scene: Scene, source: Path, tmp_path: Path) -> None:
    scene.init()
    scene.create("monday", source / "folder" / "same")
    events = Recorder()
    extract.run(scene.access(), ArchiveName("monday"), ExtractOptions(to="stdout"), events)
    assert events.content == (source / "folder" / "same").read_bytes()
    assert isinstance(events.steps[-1], PercentProgress)


def test_lost_content_is_named_for_each_item_and_the_rest_is_restored(
    scene: Scene, source: Path, tmp_path: Path
) -> None:
    scene.init()
    scene.create("monday", source / "folder")
    scene.create("tuesday", source / "small")
    objects = scene.stores.objects["/repository"]
    packs = [name for name in objects if name.startswith("packs/")]
    del objects[packs[0]]
    target, events = tmp_path / "target", Recorder()
    target.mkdir()
    with pytest.raises(IntegrityError, match="monday"):
        extract.run(scene.access(), ArchiveName("monday"), ExtractOptions(target=str(target)), events)
    assert {kind for kind, _, _ in events.problems} == {"damaged"}
    assert scene.restore("tuesday") == {"small": (source / "small").read_bytes()}


@pytest.mark.parametrize("name", [b"", b"../x", b"./x", b"/x", b"a/."])
def test_content_without_a_path_is_not_stored_where_nobody_could_read_it(scene: Scene, name: bytes) -> None:
    scene.init()
    with open(os.devnull, "rb") as empty, pytest.raises(ValueError, match="can be called"):
        scene.create("monday", stdin=StdinSource(empty.fileno(), name, b"u", b"g", 0o600))
    assert scene.names() == []


def test_a_list_of_paths_with_another_delimiter_is_not_taken_for_one_path(scene: Scene, tmp_path: Path) -> None:
    scene.init()
    (tmp_path / "paths").write_bytes(b"a\0b\0")
    with open(tmp_path / "paths", "rb") as paths, pytest.raises(CommandError, match="--paths-delimiter"):
        scene.create("monday", path_list=PathList(paths.fileno(), b"\n"))
    assert scene.names() == []


def test_a_directory_of_which_only_the_tag_is_kept_is_listed_as_left_out(scene: Scene, source: Path) -> None:
    scene.init()
    (source / "folder" / ".nobackup").touch()
    wanted = options("monday", source / "folder", source / "empty")._replace(
        exclude_if_present=(b".nobackup",), keep_exclude_tags=True, lines=ItemLines()
    )
    for dry_run, directory, file in ((True, "-", "-"), (False, "d", "A")):
        events = Recorder()
        create.run(scene.access(), wanted._replace(dry_run=dry_run), events)
        lines = [f"{directory} empty", "x folder", f"{file} folder/.nobackup"]
        assert [line.replace(f"{source}/", "") for line in events.shown.decode().splitlines()] == lines
    assert scene.restore("monday") == {"empty": None, "folder": None, "folder/.nobackup": b""}


def test_extract_lists_paths_as_it_writes_them(scene: Scene, source: Path, tmp_path: Path) -> None:
    scene.init()
    scene.create("monday", source)
    (tmp_path / "target").mkdir()
    events = Recorder()
    wanted = ExtractOptions(target=str(tmp_path / "target"), strip_components=2, lines=ItemLines())
    extract.run(scene.access(), ArchiveName("monday"), wanted, events)
    assert events.shown == b"deep\ndeep/random\nsame\n"


def test_two_listed_paths_for_one_place_are_refused(scene: Scene, source: Path) -> None:
    scene.init()
    (source / "paths").write_bytes(b"%s/./small\n%s/./small\n" % (bytes(source), bytes(source / "folder")))
    with open(source / "paths", "rb") as paths, pytest.raises(CommandError, match="would both be stored as small"):
        scene.create("monday", path_list=PathList(paths.fileno(), b"\n"))
    assert scene.names() == []


def test_a_root_stored_inside_another_one_takes_the_place_of_what_is_there(scene: Scene, tmp_path: Path) -> None:
    """So a snapshot of / and one of /home make one archive."""
    for path in ("root/etc", "root/home/hidden", "root/usr", "home/ann", "deep/x"):
        (tmp_path / path).mkdir(parents=True)
        (tmp_path / path / "file").write_bytes(path.encode())
    roots = {"root": b".", "home": b"home", "deep": b"opt/deep", "home/ann": b"home/ann", "missing": b"etc"}
    scene.init()
    for name in ("monday", "tuesday"):  # the second one compares with the first
        events = Recorder()
        scene.create(
            name,
            events=events,
            roots=tuple(Root(os.fsencode(tmp_path / source), stored) for source, stored in roots.items()),
        )
        assert [(kind, path) for kind, path, _ in events.problems] == [("not_found", os.fsencode(tmp_path / "missing"))]
        assert scene.restore(name) == {
            "etc": None,
            "etc/file": b"root/etc",
            "usr": None,
            "usr/file": b"root/usr",
            "home": None,
            "home/ann": None,
            "home/ann/file": b"home/ann",
            "opt": None,
            "opt/deep": None,
            "opt/deep/x": None,
            "opt/deep/x/file": b"deep/x",
        }


def test_stdin_has_its_place_among_the_files_of_a_root(scene: Scene, source: Path) -> None:
    scene.init()
    (source.parent / "content").write_bytes(b"from stdin")
    for name, stored in (("new", b"source/folder/new"), ("old", b"source/small"), ("last", b"source/zz")):
        with open(source.parent / "content", "rb") as content:
            scene.create(name, source, stdin=StdinSource(content.fileno(), stored, b"u", b"g", 0o600))
        assert scene.restore(name) == expected(source) | {stored.decode(): b"from stdin"}


def test_two_roots_for_one_place_are_refused(scene: Scene, source: Path) -> None:
    scene.init()
    roots = tuple(Root(os.fsencode(source / name), b".") for name in ("folder", "empty"))
    with pytest.raises(CommandError, match=r"empty would both be stored as \.$"):
        scene.create("monday", roots=roots)
    assert scene.names() == []


def test_the_passphrase_appears_in_no_message(scene: Scene, source: Path) -> None:
    scene.init()
    events = Recorder()
    scene.create("monday", source, events=events)
    said = repr([events.logged, events.problems, bytes(events.shown)])
    assert PASSPHRASE.decode() not in said
