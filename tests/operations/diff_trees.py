"""The pair of trees that Borg and Bork compare, and what they are asked.

``python -m tests.operations.diff_trees BORG DIRECTORY`` writes what Borg answers: see diff-borg-1.4.5/README.md.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

BLOCK = 4096  # of the fixed chunker: what two programs call a chunk must be the same
DAY_S = 86_400
CREATE = ("--noctime", "--nobirthtime", "--files-cache", "disabled", "--chunker-params")

# Which words follow `diff`, by the name of the file of answers. `{0}` is REPO::ARCHIVE1. The order of lines counts only
# where they are sorted: Borg shows what was added and removed behind what has changed.
CASES: dict[str, tuple[str, ...]] = {
    "text": ("{0}", "after"),
    "json": ("--json-lines", "{0}", "after"),
    "numeric-ids": ("--numeric-ids", "{0}", "after"),
    "content-only": ("--content-only", "{0}", "after"),
    "content-only-json": ("--content-only", "--json-lines", "{0}", "after"),
    "paths": ("{0}", "after", "tree/added", "fm:*/links/*"),
    "exclude": ("-e", "*/file-*", "{0}", "after"),
    "pattern": ("--pattern", "+ **/file-[gs]*", "--pattern", "- **", "{0}", "after"),
    "none": ("{0}", "before"),
    "chunkers": ("--content-only", "{0}", "recut"),
    "same-chunker-params": ("--content-only", "--same-chunker-params", "{0}", "recut"),
    "sorted-path": ("--sort-by", "path", "{0}", "after"),
    "sorted-path-down-json": ("--json-lines", "--sort-by", ">path", "{0}", "after"),
    "sorted-size_added": ("--sort-by", ">size_added,path", "{0}", "after"),
    "sorted-size_removed": ("--sort-by", "size_removed,>path", "{0}", "after"),
    "sorted-size_diff": ("--sort-by", "<size_diff, path", "{0}", "after"),
    "sorted-size": ("--sort-by", ">size,path", "{0}", "after"),
    "sorted-mtime": ("--sort-by", "mtime,path", "{0}", "after"),
    "sorted-mtime_diff": ("--sort-by", ">mtime_diff,path", "{0}", "after"),
    "sorted-ctime": ("--sort-by", "ctime,ctime_diff,path", "{0}", "after"),
}
# These need root.
OWNER_CASES: dict[str, tuple[str, ...]] = {
    "owners": ("{0}", "after"),
    "owners-json": ("--json-lines", "{0}", "after"),
    "sorted-uid": ("--sort-by", ">uid,gid,path", "{0}", "after"),
}


def blocks(letters: str) -> bytes:
    """Content of one block for each letter."""
    return b"".join(letter.encode() * BLOCK for letter in letters)


def before(tree: Path) -> None:
    for directory in ("gone/deep", "links", "sub", "to-file", "same"):
        (tree / directory).mkdir(parents=True)
    for name, content in {
        "same/file": b"same",
        "file-grown": blocks("abc"),
        "file-shrunk": blocks("defg"),
        "file-rewritten": blocks("hij"),
        "file-swapped": blocks("kl"),
        "file-repeated": blocks("m"),
        "file-mode": b"mode",
        "file-mtime": b"mtime",
        "file-all": b"before",
        "file-filled": b"",
        "gone/deep/file": blocks("no") + b"rest",
        "gone/empty": b"",
        "sub/x": b"in sub",
        "sub-x": b"beside sub",
        "sub.x": b"behind sub",
        "to-directory": b"a file",
        "to-link": b"a file",
        "links/first": b"linked",
        "name \u00e4\u20ac": b"before",
        'quote " and \\': b"before",
        "line\nend": b"before",
    }.items():
        (tree / name).write_bytes(content)
    (tree / os.fsdecode(b"raw \xff")).write_bytes(b"before")
    (tree / "links/second").hardlink_to(tree / "links/first")
    (tree / "links/gone").hardlink_to(tree / "links/first")
    (tree / "links/old").symlink_to("first")
    (tree / "links/changed").symlink_to("first")
    (tree / "to-other").symlink_to("same")
    os.mkfifo(tree / "fifo-gone")
    settle(tree)


def after(tree: Path) -> None:
    """Change what ``before`` has made."""
    for name in ("gone/deep/file", "gone/empty", "links/gone", "links/old", "links/changed", "to-directory", "to-link"):
        (tree / name).unlink()
    for name in ("to-other", "fifo-gone"):
        (tree / name).unlink()
    for name in ("gone/deep", "gone", "to-file"):
        (tree / name).rmdir()
    for name in ("added/deep", "to-directory"):
        (tree / name).mkdir(parents=True)
    for name, content in {
        "file-grown": blocks("abcABC"),
        "file-shrunk": blocks("df"),
        "file-rewritten": blocks("hIj"),
        "file-swapped": blocks("lk"),
        "file-repeated": blocks("mmm"),
        "file-all": b"afterwards",
        "file-filled": b"12345",
        "added/big": blocks("p" * 300),
        "added/empty": b"",
        "added/deep/file": b"deep",
        "sub/x": b"in sub, changed",
        "sub-x": b"beside sub, changed",
        "sub.x": b"behind sub, changed",
        "to-file": b"was a directory",
        "to-other": b"was a link",
        "name \u00e4\u20ac": b"after",
        'quote " and \\': b"after",
        "line\nend": b"after",
    }.items():
        (tree / name).write_bytes(content)
    (tree / os.fsdecode(b"raw \xff")).write_bytes(b"after")
    (tree / "links/first").write_bytes(b"linked and changed")
    (tree / "links/third").hardlink_to(tree / "links/first")
    (tree / "links/new").symlink_to("first")
    (tree / "links/changed").symlink_to("second")
    (tree / "to-link").symlink_to("same")
    os.mkfifo(tree / "fifo-added")
    settle(tree)
    for days, name in enumerate(("file-mtime", "file-all", "same")):
        moment = (1_000_000_000 + (days + 1) * DAY_S) * 10**9 + 123_456_789
        os.utime(tree / name, ns=(moment, moment))
    (tree / "file-mode").chmod(0o4750)
    (tree / "file-all").chmod(0o600)


def owners_before(tree: Path) -> None:
    (tree / "folder").mkdir(parents=True)
    for name in ("named", "numbered", "nameless", "both", "group", "gone"):
        (tree / name).write_bytes(b"owned")
    os.mknod(tree / "device-gone", 0o600 | 0o020000, os.makedev(1, 3))
    os.chown(tree / "nameless", 54321, 54321)
    settle(tree)


def owners_after(tree: Path) -> None:
    (tree / "gone").unlink()
    (tree / "device-gone").unlink()
    (tree / "added").write_bytes(b"owned")
    os.mknod(tree / "device-added", 0o600 | 0o060000, os.makedev(7, 0))
    for name, user, group in (
        ("named", 1, 1),
        ("numbered", 54321, 0),
        ("nameless", 1, 54321),
        ("both", 54321, 54321),
        ("group", 0, 2),
        ("folder", 2, 2),
        ("added", 3, 3),
    ):
        os.chown(tree / name, user, group)
    settle(tree)


def settle(tree: Path) -> None:
    """Fix all that depends on the moment and the umask."""
    for path in (*tree.rglob("*"), tree):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (1_000_000_000, 1_000_000_000), follow_symlinks=False)


Steps = tuple[Callable[[Path], None], Callable[[Path], None]]
Program = Callable[..., bytes]


def answers(run: Program, directory: Path, steps: Steps, cases: dict[str, tuple[str, ...]]) -> dict[str, bytes]:
    """Back up both states of a tree below ``directory``, and ask. ``run``: words to standard output."""
    tree, repository = directory / "tree", directory / "repository"
    run("init", "-e", "none", repository)
    for name, step in zip(("before", "after"), steps, strict=True):
        step(tree)
        run("create", *CREATE, f"fixed,{BLOCK}", f"{repository}::{name}", "tree")
    run("create", *CREATE, f"fixed,{2 * BLOCK}", f"{repository}::recut", "tree")
    return {
        name: run("diff", *(word.format(f"{repository}::before") for word in words)) for name, words in cases.items()
    }


def main(program: str, target: Path) -> None:
    """Write the answers of ``program``."""
    for steps, cases in (((before, after), CASES), ((owners_before, owners_after), OWNER_CASES)):
        with tempfile.TemporaryDirectory() as name:
            environment = {"HOME": name, "PATH": os.environ["PATH"], "TZ": "UTC", "LC_ALL": "C.UTF-8"}

            def run(*words: str | Path, home: str = name, settings: dict[str, str] = environment) -> bytes:
                return subprocess.run(
                    [program, *words], cwd=home, env=settings, check=True, stdout=subprocess.PIPE
                ).stdout

            for case, answer in answers(run, Path(name), steps, cases).items():
                (target / f"{case}.txt").write_bytes(answer)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
