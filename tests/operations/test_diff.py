"""Differences of two archives: the lines of Borg, and no more work than there are differences."""

import os
from pathlib import Path
from typing import get_args

import pytest

from bork.cli.values import DIFF_SORT_FIELDS
from bork.errors import ArchiveDoesNotExist, CancelledByUser, IntegrityError
from bork.operations import diff
from bork.operations.diff import DiffOptions, DiffOutcome, SortKey
from bork.operations.events import PercentProgress
from bork.operations.selection import ArchiveName, PathArgument, Pattern
from tests.conftest import Bork
from tests.operations import diff_trees
from tests.operations.diff_trees import BLOCK, CASES, OWNER_CASES, Steps
from tests.operations.scene import Recorder, Scene

GOLDEN = Path(__file__).parent / "diff-borg-1.4.5"
SMALL, OTHER = ("fixed", BLOCK, 0), ("fixed", 3 * BLOCK, 0)


# ---- the same answers as Borg ------------------------------------------------------------------------------------


def compare_with_borg(bork: Bork, tmp_path: Path, steps: Steps, cases: dict[str, tuple[str, ...]]) -> None:
    def run(*words: str | Path) -> bytes:
        return bork(*words, cwd=tmp_path).stdout

    for name, answer in diff_trees.answers(run, tmp_path, steps, cases).items():
        # Control characters are Borg's own affair: here none of them reaches a terminal.
        expected = (GOLDEN / f"{name}.txt").read_bytes().replace(b"line\nend", b"line?end")
        if not name.startswith("sorted-"):
            assert sorted(answer.splitlines()) == sorted(expected.splitlines()), name
        assert (answer == expected) or not name.startswith("sorted-"), f"{name}\n{answer.decode()}"


def test_every_line_is_that_of_borg(bork: Bork, tmp_path: Path) -> None:
    compare_with_borg(bork, tmp_path, (diff_trees.before, diff_trees.after), CASES)


@pytest.mark.needs("root")
def test_owners_and_devices_are_shown_as_borg_shows_them(bork: Bork, tmp_path: Path) -> None:
    compare_with_borg(bork, tmp_path, (diff_trees.owners_before, diff_trees.owners_after), OWNER_CASES)


def test_every_answer_of_borg_is_compared() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == CASES.keys() | OWNER_CASES.keys()


# ---- what is told ------------------------------------------------------------------------------------------------


def compared(scene: Scene, recorder: Recorder | None = None, **options: object) -> tuple[list[str], DiffOutcome]:
    """The lines about monday and tuesday."""
    events = recorder or Recorder()
    plan = DiffOptions()._replace(**options)  # type: ignore[arg-type]  # as the test wants it
    outcome = diff.run(scene.access(), ArchiveName("monday"), ArchiveName("tuesday"), plan, events)
    if recorder is None:
        assert events.problems == []
    lines = events.shown.decode().splitlines()
    assert outcome.differences == len(lines)
    return lines, outcome


@pytest.fixture
def two(scene: Scene, source: Path) -> Scene:
    """Monday and tuesday with one change in between."""
    scene.init()
    scene.create("monday", source)
    (source / "folder" / "same").write_bytes(b"other")
    scene.create("tuesday", source)
    return scene


def test_equal_archives_are_equal_without_reading_a_node(scene: Scene, source: Path) -> None:
    scene.init()
    scene.create("monday", source)
    scene.create("tuesday", source)
    lines, outcome = compared(scene)
    assert (lines, outcome.nodes_read) == ([], 0)


def test_times_are_part_of_a_line_and_of_a_json_line(two: Scene) -> None:
    (line,), _ = compared(two, paths=(PathArgument("pf", b"source/folder/same"),))
    assert line.startswith("     +5 B  -25.6 kB [ctime: ")
    assert "] [mtime: " in line
    assert line.endswith("] source/folder/same")
    (line,), _ = compared(two, paths=(PathArgument("pf", b"source/folder/same"),), json_lines=True)
    assert '"type": "ctime"}, {"new_mtime": "20' in line


def test_sorted_lines_are_the_same_lines(two: Scene) -> None:
    plain, _ = compared(two)
    backwards, _ = compared(two, sort_by=(SortKey("path", descending=True),))
    assert backwards == plain[::-1]


def test_every_sort_field_is_known_to_the_command_line_and_to_the_engine(two: Scene) -> None:
    assert get_args(diff.Field) == DIFF_SORT_FIELDS
    plain, _ = compared(two)
    for field in get_args(diff.Field):
        lines, _ = compared(two, sort_by=(SortKey(field),))
        assert sorted(lines) == sorted(plain), field


def test_a_path_that_names_only_equal_items_has_matched(two: Scene) -> None:
    recorder = Recorder()
    paths = (PathArgument("pp", b"source/empty"), PathArgument("sh", b"source/f*/deep"), PathArgument("re", b"thing$"))
    lines, _ = compared(two, recorder, paths=paths)
    assert (lines, recorder.problems) == ([], [])


def test_a_path_that_neither_archive_has_is_reported(two: Scene) -> None:
    recorder = Recorder()
    paths = (PathArgument("pp", b"source/folder/same"), PathArgument("pp", b"source/absent"))
    lines, _ = compared(two, recorder, paths=paths)
    assert [line.rpartition(" ")[2] for line in lines] == ["source/folder/same"]
    assert recorder.problems == [("never_matched", b"source/absent", "")]


def test_an_include_pattern_shows_what_no_path_names(two: Scene) -> None:
    pattern, path = Pattern("+", "fm", b"*/same"), PathArgument("pp", b"source/empty")
    lines, _ = compared(two, patterns=(pattern,), paths=(path,))
    assert [line.rpartition(" ")[2] for line in lines] == ["source/folder/same"]


def test_many_equal_files_cost_nothing(scene: Scene, tmp_path: Path) -> None:
    tree = tmp_path / "many"
    tree.mkdir()
    for number in range(6000):
        (tree / f"file with a name {number:06}").touch()
    scene.init()
    scene.create("monday", tree)
    (tree / "file with a name 003000").write_bytes(b"!")
    scene.create("tuesday", tree)
    recorder = Recorder()
    lines, outcome = compared(scene, recorder, content_only=True)
    assert lines == ["     +1 B       0 B many/file with a name 003000"]
    assert 4 <= outcome.nodes_read <= 8
    whole, _ = compared(scene, sort_by=(SortKey("size", descending=True),))
    assert whole[0].endswith("003000")
    last = recorder.steps[-1]
    assert isinstance(last, PercentProgress)
    assert (last.operation, last.current, last.total, last.finished) == ("diff", 6001, 6001, True)


# ---- content -----------------------------------------------------------------------------------------------------


def two_chunkers(scene: Scene, tree: Path, change: bytes | None) -> None:
    """Some hundred chunks (content lists), a hole, and a file that keeps its content."""
    tree.mkdir()
    content = os.urandom(400 * BLOCK)
    (tree / "long").write_bytes(content)
    (tree / "kept").write_bytes(content[:50_000])
    (tree / "kept").chmod(0o644)
    with (tree / "sparse").open("wb") as file:
        file.write(b"begin")
        file.seek(64 * BLOCK)
        file.write(b"end")
    scene.init("none")
    scene.create("monday", tree, chunker=SMALL)
    if change is not None:
        (tree / "long").write_bytes(content[: 300 * BLOCK] + change + content[300 * BLOCK + len(change) :])
    (tree / "sparse").write_bytes((tree / "sparse").read_bytes())
    (tree / "kept").chmod(0o600)


def test_one_changed_chunk_among_hundreds_is_counted(scene: Scene, tmp_path: Path) -> None:
    two_chunkers(scene, tmp_path / "tree", b"!!")
    scene.create("tuesday", tmp_path / "tree", chunker=SMALL)
    lines, _ = compared(scene, content_only=True)
    assert lines[0] == "  +4.1 kB   -4.1 kB tree/long"


@pytest.mark.parametrize("change", [None, b"!!"])
def test_content_that_was_cut_otherwise_is_read(scene: Scene, tmp_path: Path, change: bytes | None) -> None:
    """Also a hole and the zeros that are written now are the same content; a mode says nothing about content."""
    two_chunkers(scene, tmp_path / "tree", change)
    scene.create("tuesday", tmp_path / "tree", chunker=OTHER)
    recorder = Recorder()
    lines, _ = compared(scene, recorder, content_only=True)
    assert lines == ([] if change is None else ["modified            tree/long"])
    assert recorder.logged[0] == ("warning", "--chunker-params are different between archives, diff will be slow.")
    kept, _ = compared(scene, paths=(PathArgument("pf", b"tree/kept"),))
    assert len(kept) == 1
    assert kept[0].startswith("[-rw-r--r-- -> -rw-------] ")


def test_content_that_is_lost_is_reported_and_counts_as_modified(scene: Scene, tmp_path: Path) -> None:
    two_chunkers(scene, tmp_path / "tree", None)
    known = set(scene.stores.objects["/repository"])
    scene.create("tuesday", tmp_path / "tree", chunker=OTHER)
    new = [name for name in scene.stores.objects["/repository"] if name.startswith("packs/") and name not in known]
    sizes = {name: len(scene.stores.objects["/repository"][name]) for name in new}
    del scene.stores.objects["/repository"][max(new, key=sizes.__getitem__)]
    recorder = Recorder()
    with pytest.raises(IntegrityError, match="of monday and tuesday could not be read"):
        compared(scene, recorder, content_only=True)
    damaged = {path.decode() for kind, path, _ in recorder.problems if kind == "damaged"}
    assert "tree/long" in damaged
    assert {line.split()[-1] for line in recorder.shown.decode().splitlines()} == damaged
    assert {line.split()[0] for line in recorder.shown.decode().splitlines()} == {"modified"}


# ---- what can go wrong -------------------------------------------------------------------------------------------


def test_an_archive_that_is_not_there_is_named(two: Scene) -> None:
    for names in (("monday", "friday"), ("friday", "monday")):
        with pytest.raises(ArchiveDoesNotExist, match="friday"):
            diff.run(two.access(), ArchiveName(names[0]), ArchiveName(names[1]), DiffOptions(), Recorder())


def test_a_tree_that_is_lost_is_an_error_and_no_difference(two: Scene) -> None:
    objects = two.stores.objects["/repository"]
    for name in [name for name in objects if name.startswith("packs/")]:
        del objects[name]
    recorder = Recorder()
    with pytest.raises(IntegrityError, match="no pack that the repository holds contains it"):
        compared(two, recorder)
    assert recorder.shown == b""


def test_a_comparison_can_be_cancelled(two: Scene) -> None:
    with pytest.raises(CancelledByUser):
        compared(two, Recorder(cancel_after=0))


# ---- the command line --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("r::a", "b/c"), b'argument ARCHIVE2: Invalid archive name: "b/c"'),
        (("r::a", "r::b"), b'argument ARCHIVE2: Invalid archive name: "r::b"'),
        (("r::a",), b"the following arguments are required: ARCHIVE2"),
        (("r", "a"), b"No archive specified"),
        (("--sort-by", "path,mode", "r::a", "b"), b"unsupported sort field: mode"),
        (("--sort-by", " ,", "r::a", "b"), b"unsupported sort field: empty spec"),
        (("--sort-by", "path", "--sort-by", "size", "r::a", "b"), b"There can be only one."),
    ],
)
def test_a_bad_command_line_is_refused(bork: Bork, words: tuple[str, ...], message: bytes) -> None:
    assert message in bork("diff", *words, exit_code=2).stderr


def test_old_options_still_work_and_say_so(bork: Bork, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    bork("init", "-e", "none", "r", cwd=tmp_path)
    bork("create", "r::a", "tree", cwd=tmp_path)
    for name in ("x-y", "x"):
        (tmp_path / "tree" / name).mkdir()
    (tmp_path / "tree" / "x" / "z").touch()
    bork("create", "r::b", "tree", cwd=tmp_path)
    said = bork("diff", "--sort", "--numeric-owner", "--content-only", "r::a", "b", "tree", cwd=tmp_path)
    assert [line.split()[-1] for line in said.stdout.splitlines()] == [b"tree/x", b"tree/x-y", b"tree/x/z"]
    assert said.stderr.splitlines() == [
        b'Warning: "--sort" has been deprecated. Use "--sort-by=path" instead.',
        b'Warning: "--numeric-owner" has been deprecated. Use --numeric-ids instead.',
    ]
    said = bork("diff", "r::a", "b", "nowhere", cwd=tmp_path, exit_code=1)
    assert b"nowhere" in said.stderr
