"""Foreign roots: their names, their paths, and what a hostile one may try."""

import os
from pathlib import Path

import pytest

from bork.core import read_in_root
from bork.errors import SourceFault
from bork.operations import extract, foreign
from bork.operations import list as listing
from bork.operations.create import PathList, Root, choose_previous
from bork.operations.extract import ExtractOptions
from bork.operations.heads import load_heads
from bork.operations.list import ListOptions
from bork.operations.opening import open_repository
from bork.operations.selection import ArchiveName
from tests.operations.scene import Recorder, Scene

ME, MINE = os.geteuid(), os.getegid()
WHOLE = (Root(b".", b"."),)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root in which this user has another name."""
    path = tmp_path / "foreign"
    (path / "etc").mkdir(parents=True)
    (path / "etc/passwd").write_text(f"ann:x:{ME}:{MINE}::/:\nother:x:{ME + 7}:1::/:\n")
    (path / "etc/group").write_text(f"staff:x:{MINE}:ann\n")
    (path / "data").mkdir()
    (path / "data/file").write_text("content")
    return path


def create(scene: Scene, name: str, root: Path, *roots: Root, numeric_ids: bool = False) -> Recorder:
    events = Recorder()
    scene.create(name, root=str(root), roots=roots or WHOLE, events=events, numeric_ids=numeric_ids)
    assert events.problems == []
    return events


def listed(scene: Scene, name: str) -> dict[str, str]:
    """Owner and group by path."""
    events = Recorder()
    listing.items(scene.access(), ArchiveName(name), ListOptions(format="{user}:{group} {path}\n"), events)
    lines = events.shown.decode().splitlines()
    return {path: owner for owner, _, path in (line.partition(" ") for line in lines)}


def test_owners_have_the_names_of_the_root(scene: Scene, root: Path) -> None:
    scene.init()
    create(scene, "one", root)
    assert listed(scene, "one")["data/file"] == "ann:staff"
    create(scene, "numbers", root, numeric_ids=True)
    assert "ann" not in listed(scene, "numbers")["data/file"]


def test_paths_lead_through_links_as_in_a_chroot_and_never_out(scene: Scene, root: Path) -> None:
    scene.init()
    (root.parent / "secret").write_text("of the server")
    (root / "absolute").symlink_to("/data")
    (root / "out").symlink_to("../..")
    (root / "way out").symlink_to(root.parent)
    create(scene, "one", root, Root(b"absolute/file", b"absolute/file"), Root(b"out/data/file", b"file"))
    assert scene.restore("one") == {"absolute": None, "absolute/file": b"content", "file": b"content"}
    events = Recorder()
    scene.create("two", root=str(root), roots=(Root(b"way out/secret", b"s"), Root(b"../secret", b"t")), events=events)
    assert [kind for kind, _, _ in events.problems] == ["not_found", "not_found"]
    assert scene.restore("two") == {}


def test_a_list_of_paths_is_read_inside_the_root(scene: Scene, root: Path) -> None:
    scene.init()
    (root.parent / "elsewhere").write_text("of the server")
    reader, writer = os.pipe()
    os.write(writer, b"/data/file\n")
    os.close(writer)
    scene.create("one", root=str(root), roots=(), path_list=PathList(reader, b"\n"))
    os.close(reader)
    assert scene.restore("one") == {"data": None, "data/file": b"content"}


@pytest.mark.parametrize(
    ("trick", "reason"),
    [
        ("fifo", "no regular file"),
        ("directory", "no regular file"),
        ("huge", "longer than"),
        ("loop", "symbolic links"),
    ],
)
def test_a_hostile_passwd_ends_the_command_and_not_the_machine(
    scene: Scene, root: Path, trick: str, reason: str
) -> None:
    passwd = root / "etc/passwd"
    passwd.unlink()
    match trick:
        case "fifo":
            os.mkfifo(passwd)
        case "directory":
            passwd.mkdir()
        case "huge":
            with passwd.open("wb") as file:
                file.truncate(1 << 40)
        case "loop":
            passwd.symlink_to("passwd")
        case _:
            raise AssertionError(trick)
    scene.init()
    with pytest.raises(SourceFault, match=reason):
        create(scene, "one", root)
    assert scene.names() == []
    create(scene, "one", root, numeric_ids=True)


def test_a_passwd_elsewhere_in_the_root_is_found_and_one_outside_is_not(root: Path) -> None:
    (root.parent / "outside").write_text("evil:x:0:0::/:\n")
    (root / "usr").mkdir()
    (root / "etc/passwd").rename(root / "usr/passwd")
    (root / "etc/passwd").symlink_to("/usr/passwd")
    assert foreign.names_of(os.fsencode(root), Recorder())[0].startswith(b"ann:")
    (root / "etc/passwd").unlink()
    (root / "etc/passwd").symlink_to(root.parent / "outside")
    events = Recorder()
    assert foreign.names_of(os.fsencode(root), events)[0] == b""
    assert "has no etc/passwd: owners are numbers only" in events.logged[0][1]
    (root / "etc").rename(root / "old etc")
    (root / "etc").symlink_to("/../../../../proc/self/root/etc")
    assert foreign.names_of(os.fsencode(root), Recorder()) == (b"", b"")


def test_lines_of_any_kind_are_survived(scene: Scene, root: Path) -> None:
    (root / "etc/passwd").write_bytes(os.urandom(1 << 20) + b"\n" + b":" * 1000 + f"\nann:x:{ME}:0".encode())
    scene.init()
    create(scene, "one", root)
    assert listed(scene, "one")["data/file"].endswith(":staff")


def test_what_is_no_directory_is_refused(scene: Scene, root: Path) -> None:
    scene.init()
    for path in (root / "data/file", root / "nothing"):
        with pytest.raises(SourceFault, match="not a directory"):
            create(scene, "one", path)


def test_reading_in_a_root_is_cut_behind_the_limit(root: Path) -> None:
    assert read_in_root(os.fsencode(root), b"data/file", 3) == b"cont"
    assert read_in_root(os.fsencode(root), b"/../data/file", 100) == b"content"


def test_archives_are_compared_within_one_root_only(scene: Scene, root: Path, tmp_path: Path) -> None:
    scene.init()
    create(scene, "foreign", root)
    scene.create("local", root)
    with open_repository(scene.access()) as opened:
        heads = load_heads(opened.repository, opened.keys)

    def chosen(roots: tuple[bytes, ...]) -> str | None:
        entry = choose_previous(heads, "host", roots)
        return None if entry is None else entry.head.name

    inside = foreign.recorded(os.fsencode(root), (b".",))
    assert chosen(inside) == "foreign"
    assert chosen(foreign.recorded(os.fsencode(root), (b"etc",))) == "foreign"
    assert chosen(foreign.recorded(os.fsencode(root), ())) == "foreign"
    assert chosen(foreign.recorded(b"/another", (b".",))) is None
    assert chosen((os.fsencode(root),)) == "local"
    assert chosen((b"/anything",)) == "local"


@pytest.mark.needs("root")
def test_names_get_the_numbers_of_the_root_they_are_restored_into(scene: Scene, root: Path, tmp_path: Path) -> None:
    scene.init()
    os.chown(root / "data/file", ME + 7, MINE)
    create(scene, "one", root)
    target = tmp_path / "installed anew"
    (target / "etc").mkdir(parents=True)
    (target / "etc/passwd").write_text("other:x:4001:1::/:\n")
    (target / "etc/group").write_text("staff:x:4002:\n")
    options = ExtractOptions(target=str(target), foreign=True)
    extract.run(scene.access(), ArchiveName("one"), options, Recorder())
    file = (target / "data/file").stat()
    assert (file.st_uid, file.st_gid) == (4001, 4002)
    elsewhere = tmp_path / "by number"
    (elsewhere / "etc").mkdir(parents=True)
    os.mkfifo(elsewhere / "etc/passwd")
    options = ExtractOptions(target=str(elsewhere), foreign=True)
    with pytest.raises(SourceFault):
        extract.run(scene.access(), ArchiveName("one"), options, Recorder())
    extract.run(scene.access(), ArchiveName("one"), options._replace(numeric_ids=True), Recorder())
    assert (elsewhere / "data/file").stat().st_uid == ME + 7
