"""A pull of a tree that is deeper than the client's shell lets a process have open files."""

from pathlib import Path

from tests.conftest import Bork

RSH = "sh -c 'ulimit -Sn 100; eval \"$2\"' sh"
DEPTH = 300


def test_a_tree_deeper_than_the_soft_limit_of_open_files_is_whole(bork: Bork, tmp_path: Path) -> None:
    deepest = tmp_path / "tree" / "/".join("d" * DEPTH)
    deepest.mkdir(parents=True)
    (deepest / "file").write_bytes(b"deep")
    bork("init", "-e", "none", tmp_path / "repository")
    bork("pull", "--rsh", RSH, f"client:{tmp_path}/tree", f"{tmp_path}/repository::a")
    paths = bork("list", "--short", f"{tmp_path}/repository::a").stdout.split()
    assert len(paths) == DEPTH + 2
    assert paths[-1].endswith(b"/d/file")
