"""Compares a restored tree with its source."""

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SHOWN = 3  # differences named in a message


class WrongResultError(Exception):
    """A program did the work, but not right: its times do not count."""


@dataclass(frozen=True)
class Entry:
    """What must come back of one path."""

    kind: str
    content: str  # digest of a file, target of a symlink
    mode: int
    mtime_ns: int


Manifest = Mapping[str, Entry]


def manifest(tree: Path) -> Manifest:
    """Every file, directory and symlink below tree, by relative path."""
    entries: dict[str, Entry] = {}
    for folder, directories, names in os.walk(tree):
        for name in (*directories, *names):
            path = Path(folder, name)
            entries[str(path.relative_to(tree))] = entry(path)
    return entries


def entry(path: Path) -> Entry:
    known = path.lstat()
    kind, content = "other", ""
    if stat.S_ISLNK(known.st_mode):
        kind, content = "symlink", os.readlink(path)
    elif stat.S_ISDIR(known.st_mode):
        kind = "directory"
    elif stat.S_ISREG(known.st_mode):
        with path.open("rb") as file:
            kind, content = "file", hashlib.file_digest(file, "sha256").hexdigest()
    return Entry(kind, content, stat.S_IMODE(known.st_mode), known.st_mtime_ns)


def compare(wanted: Manifest, target: Path) -> str:
    """A note on modes and times that differ, or ""; WrongResultError if names, kinds or contents do."""
    found = manifest(target)
    wrong = [f"missing {path}" for path in wanted if path not in found]
    wrong += [f"not asked for {path}" for path in found if path not in wanted]
    common = [path for path in wanted if path in found]
    wrong += [f"other content {path}" for path in common if content(wanted[path]) != content(found[path])]
    if wrong:
        raise WrongResultError(f"{len(wrong)} of {len(wanted)} entries differ: {', '.join(sorted(wrong)[:SHOWN])}")
    solid = [path for path in common if wanted[path].kind != "symlink"]
    modes = sum(wanted[path].mode != found[path].mode for path in solid)
    times = sum(wanted[path].mtime_ns != found[path].mtime_ns for path in solid)
    return f"{modes} modes and {times} times of {len(solid)} not restored" if modes or times else ""


def content(entry: Entry) -> tuple[str, str]:
    return entry.kind, entry.content


def compare_one(wanted: Entry, name: str, target: Path) -> None:
    """The one file is somewhere below target, whole, and nothing else but directories."""
    found = [path for path in target.rglob("*") if not path.is_dir()]
    if [path.name for path in found] != [name]:
        raise WrongResultError(f"expected only {name}, found {len(found)} files")
    if content(entry(found[0])) != content(wanted):
        raise WrongResultError(f"{name}: other content")
