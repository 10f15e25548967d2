"""A user with a repository on a simulated disk, and the oracle: what must be true of the disk after any crash."""

import os
import shutil
import tempfile
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG
from typing import NamedTuple, TypeAlias

from bork.operations import check
from bork.operations.access import Access
from bork.operations.check import CheckOptions
from bork.storage.base import Store
from bork.storage.local import LocalStore
from bork.storage.names import is_object_name
from tests.crash.disk import ROOT, Disk, State
from tests.operations.scene import PASSPHRASE, Recorder, Scene, StoppedClock, User
from tests.reference.binary import Refused
from tests.reference.repository import Repository as IndependentReader

PLACE = "repository"  # below the root of the disk
NEW_PASSPHRASE = b"another horse"

Content: TypeAlias = dict[str, bytes | None]  # path: bytes of a file, None for a directory
Objects: TypeAlias = frozenset[tuple[str, bytes]]  # names and contents


class Lost(AssertionError):
    """The oracle says no."""


class Verdict(NamedTuple):
    """What a sound repository holds. ``passphrase`` None: there is none, or nothing in it."""

    passphrase: bytes | None
    names: frozenset[str]


class Stores:
    """Local stores on one simulated disk."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk

    def open(self, location: str) -> Store:
        """As ``LocalStores``."""
        return LocalStore.open(location, self.disk.machine())

    def create(self, location: str, *, make_parent_dirs: bool) -> Store:
        """As ``LocalStores``."""
        return LocalStore.create(location, make_parent_dirs=make_parent_dirs, machine=self.disk.machine())


class _Scene(Scene):
    def access(self, path: str = f"/{PLACE}") -> Access:
        return super().access(path)._replace(threads=1)


@dataclass
class World:
    """One user on one machine. The cache is never reset, so it knows of things that a crash has undone."""

    home: Path
    sources: dict[str, Content] = field(default_factory=dict)  # what the archive of each name must hold
    user: User = field(default_factory=User)
    clock: StoppedClock = field(default_factory=StoppedClock)
    read: dict[Objects, Verdict] = field(default_factory=dict)
    checked: set[Objects] = field(default_factory=set)

    def scene(self, disk: Disk) -> Scene:
        """For the operations."""
        return _Scene(self.home, self.user, Stores(disk), self.clock)  # type: ignore[arg-type]  # other stores

    # ---- the oracle ----------------------------------------------------------------------------------------------

    def judge(self, state: State, *, thoroughly: bool = True) -> Verdict:
        """Read every archive with the independent reader; ``thoroughly``: restore it and run ``check``, too.

        A set of objects that was judged before is not judged again.
        Raises: Lost, if an archive that is there is not bit for bit what was backed up.
        """
        objects = objects_of(state)
        if objects not in self.read:
            self.read[objects] = self._read_independently(dict(objects))
        verdict = self.read[objects]
        if thoroughly and verdict.passphrase is not None and objects not in self.checked:
            self._restore(Disk(state), verdict)
            self.checked.add(objects)
        return verdict

    def _read_independently(self, objects: dict[str, bytes]) -> Verdict:
        if "config" not in objects:
            return Verdict(None, frozenset())
        with on_disk(objects) as path:
            for passphrase in (PASSPHRASE, NEW_PASSPHRASE):
                try:
                    reader = IndependentReader(path, lambda: passphrase)  # noqa: B023  # it is called here
                except Refused:
                    continue
                heads = reader.archives()
                for head in heads:
                    if content_of(reader, head.root) != self.sources[head.name]:
                        raise Lost(f"the archive {head.name} is not what it was for the independent reader")
                return Verdict(passphrase, frozenset(head.name for head in heads))
        if any(name.startswith("archives/") for name in objects):
            raise Lost("no passphrase opens the repository")
        return Verdict(None, frozenset())

    def _restore(self, disk: Disk, verdict: Verdict) -> None:
        self.user.configured = verdict.passphrase
        scene = self.scene(disk)
        access = scene.access()._replace(cache_dir=None)
        if set(scene.names(access)) != verdict.names:
            raise Lost(f"the independent reader finds the archives {sorted(verdict.names)}, others are listed")
        for name in sorted(verdict.names):
            if scene.restore(name, access) != self.sources[name]:
                raise Lost(f"the archive {name} does not restore as it was")
        shutil.rmtree(self.home / "restored", ignore_errors=True)
        events = Recorder()
        check.run(access, CheckOptions(verify_data=True), events)
        if events.problems:
            raise Lost(f"check: {events.problems}")


def content_of(reader: IndependentReader, root: bytes) -> Content:
    """Everything in an archive."""
    found: Content = {}
    for path, item in reader.items(root):
        content = None
        if S_ISREG(item.mode):
            slices = reader.slices(item)
            content = b"".join(bytes(one.length) if one.is_hole else reader.content(one) for one in slices)
        found[os.fsdecode(path)] = content
    return found


def objects_of(state: State) -> Objects:
    """Name and content of every object of the repository."""
    prefix = f"{PLACE}/"
    files = ((path.removeprefix(prefix), data) for path, data in state.files())
    return frozenset((name, data) for name, data in files if is_object_name(name))


@contextmanager
def on_disk(objects: dict[str, bytes]) -> Iterator[Path]:
    """The objects as files of this machine, in memory if it has such a place."""
    memory = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=memory if Path(memory).is_dir() else None) as directory:
        for name, data in objects.items():
            path = Path(directory, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        yield Path(directory)


# ---- which states are alike --------------------------------------------------------------------------------------


def fingerprint(state: State) -> Hashable:
    """Equal for states that differ only in which of the 256 directories of packs are there and empty (if some are, and
    some are not), and in how many leftovers there are of each kind in ``tmp``: empty, with bytes, with a second name.
    """
    found: set[Hashable] = set()
    todo = [(ROOT, "")]
    while todo:
        number, path = todo.pop()
        names = state.names[number]
        if path == f"/{PLACE}/tmp":
            found.add((path, frozenset(_kind_of_leftover(state, node) for node in names.values())))
            continue
        for name, node in names.items():
            if node in state.data:
                found.add((path, name, state.data[node]))
            elif state.names[node]:
                todo.append((node, f"{path}/{name}"))
            elif path != f"/{PLACE}/packs":
                found.add((path, name))
        if path == f"/{PLACE}/packs":
            found.add((path, min(len(names), 1), len(names) == 256))
    return frozenset(found)


def _kind_of_leftover(state: State, node: int) -> str:
    has_second_name = sum(node in names.values() for names in state.names.values() if names) > 1
    return "linked" if has_second_name else "bytes" if state.data[node] else "empty"
