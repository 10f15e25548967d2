"""Restore an archive with nothing but these files and four public libraries (``python -m tests.reference --help``)."""

import argparse
import getpass
import os
import stat
import sys
from datetime import UTC, datetime
from pathlib import Path

from tests.reference.annotate import annotate
from tests.reference.binary import Refused
from tests.reference.item import Item
from tests.reference.repository import Repository
from tests.reference.restore import DIRECTORY, Restorer
from tests.reference.verify import problems


def passphrase() -> bytes:
    """From the environment, or typed."""
    given = os.environb.get(b"BORK_PASSPHRASE")
    return os.fsencode(getpass.getpass("Passphrase: ")) if given is None else given


def when(time_ns: int) -> str:
    """Date and time in UTC; Python knows the years 1 to 9999 only."""
    try:
        return f"{datetime.fromtimestamp(time_ns // 1_000_000_000, UTC):%Y-%m-%d %H:%M:%S}"
    except (OverflowError, ValueError, OSError):
        return f"{time_ns // 1_000_000_000} s"


def line(path: bytes, item: Item) -> str:
    """One item as ``ls -l`` would show it."""
    arrow = f" -> {os.fsdecode(item.target)}" if item.target else ""
    owner = f"{os.fsdecode(item.user) or item.uid}:{os.fsdecode(item.group) or item.gid}"
    shown = os.fsdecode(path or b".")
    return f"{stat.filemode(item.mode)} {owner:<16} {item.size:>12} {when(item.mtime[0] * 10**9)} {shown}{arrow}"


def extract(repository: Repository, archive: str, directory: Path) -> list[str]:
    """Restore an archive into a directory that is new or empty. The result is what could not be restored."""
    directory.mkdir(exist_ok=True)
    if any(directory.iterdir()):
        raise Refused(f"{directory}: it is not empty")
    root = os.open(directory, DIRECTORY)
    try:
        restorer = Restorer(repository, root)
        restorer.run(repository.archive(archive).root)
    finally:
        os.close(root)
    return restorer.problems


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.reference", description=__doc__)
    parser.add_argument("action", choices=["list", "extract", "verify", "annotate"])
    parser.add_argument("repository", type=Path)
    parser.add_argument("archive", nargs="?", help="list: show its items; extract: restore it")
    parser.add_argument("directory", nargs="?", type=Path, help="extract: where to, new or empty")
    parser.add_argument("--key-file", type=Path, help="the key, if the repository does not hold it")
    given = parser.parse_args()
    if given.action == "extract" and given.directory is None:
        parser.error("extract needs an archive and a directory")
    return given


def run(given: argparse.Namespace) -> list[str]:
    """Do it; the result is what went wrong without ending everything."""
    if given.action == "annotate":
        print(annotate(given.repository), end="")
        return []
    repository = Repository(given.repository, passphrase, given.key_file)
    if given.action == "extract":
        return [*repository.warnings, *extract(repository, given.archive, given.directory)]
    if given.action == "verify":
        return list(problems(repository))
    if given.archive is None:
        for head in repository.archives():
            print(f"{when(head.time_ns)}  {head.name}")
    else:
        for path, item in repository.items(repository.archive(given.archive).root):
            print(line(path, item))
    return repository.warnings


def main() -> int:
    """0: all is well; 1: something could not be read or restored; 2: nothing could be done."""
    sys.stdout.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]  # stdout is a text stream here
    try:
        found = run(arguments())
    except (Refused, OSError) as fault:
        print(f"refused: {fault}", file=sys.stderr)
        return 2
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
