"""A repository with an object of each kind, ways to damage them, and what can be restored of it."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bork.errors import BorkError
from bork.operations import check, compact, delete, extract
from bork.operations.check import CheckOptions, CheckOutcome
from bork.operations.compact import CompactOptions
from bork.operations.delete import DeleteOptions
from bork.operations.extract import ExtractOptions
from bork.operations.selection import ArchiveName
from bork.repository import layout
from bork.repository.layout import SessionId
from bork.repository.session import SessionRecord
from bork.storage.memory import Objects
from bork.storage.names import ObjectName
from tests.operations.scene import Recorder, Scene, contents, expected

# kind -> the collection, and the kind byte of sealed files where there are several in one
KINDS = {
    "config": ("config", None),
    "key": ("keys/", None),
    "data pack": ("packs/", 1),
    "metadata pack": ("packs/", 2),
    "index": ("indexes/", None),
    "head": ("archives/", None),
    "generation": ("gc/", None),
    "session": ("sessions/", None),
    "object set aside": ("damaged/", None),
}
UNREAD = {"session", "object set aside"}  # a dead session is buried, and nobody looks into damaged/
NEEDED_TO_OPEN = {"config", "key"}  # nothing is there to repair them from
ARCHIVES = ("monday", "tuesday")

Restorable = set[tuple[str, str]]


@dataclass
class Wreck:
    """A sound repository that is damaged again and again, each time from the beginning, by a user without a cache."""

    scene: Scene
    sound: dict[ObjectName, bytes]
    archives: dict[str, dict[str, bytes | None]]

    @property
    def everything(self) -> Restorable:
        return {(name, path) for name, content in self.archives.items() for path in content}

    def victim(self, kind: str) -> ObjectName:
        """The object of a kind that is damaged: of several generations the newest, the one that is read."""
        prefix, byte = KINDS[kind]
        return max(name for name in self.sound if name.startswith(prefix) and byte in (None, self.sound[name][9]))

    def put(self, objects: dict[ObjectName, bytes]) -> None:
        """Begin anew with these objects."""
        self.scene.stores.objects["/repository"] = Objects(objects)
        self.forget()

    def forget(self) -> None:
        """Lose what the user has beside the repository."""
        shutil.rmtree(self.scene.home)
        self.scene.home.mkdir()

    def check(self, *, repair: bool = False) -> CheckOutcome:
        return check.run(self.scene.access(), CheckOptions(verify_data=True, repair=repair), Recorder())

    def restorable(self) -> Restorable:
        """What comes back as it was. Nothing that comes back otherwise may pass unsaid."""
        found: Restorable = set()
        for name, content in self.archives.items():
            target = self.scene.home / os.urandom(8).hex()
            target.mkdir(parents=True)
            events = Recorder()
            try:
                extract.run(self.scene.access(), ArchiveName(name), ExtractOptions(target=str(target)), events)
            except BorkError as error:
                assert_one_line(error)
                failed = True
            else:
                failed = bool(events.problems)
            restored = contents(target)
            right = {path for path, data in content.items() if path in restored and restored[path] == data}
            assert failed or (restored == content), f"{name} comes back wrong, and nobody says so"
            named = {os.fsdecode(path) for _, path, _ in events.problems}
            assert set(restored) - right <= named or failed, f"{name}: {set(restored) - right} is wrong"
            found |= {(name, path) for path in right}
        return found


def assert_one_line(error: BorkError) -> None:
    assert str(error)
    assert "\n" not in str(error)


def wreck(scene: Scene, root: Path) -> Wreck:
    """Two archives, one that was deleted and compacted away, a session of a process that died, something set aside."""
    trees = {}
    for name in (*ARCHIVES, "old"):
        tree = root / name
        tree.mkdir(parents=True)
        (tree / "shared").write_bytes(b"in all archives " * 20)
        (tree / "own").write_bytes(f"only in {name} ".encode() * 20)
        trees[name] = tree
    scene.init()
    for name, tree in trees.items():
        scene.create(name, tree)
    delete.archives(scene.access(), DeleteOptions((ArchiveName("old"),)), Recorder(), lambda _: None)
    compact.run(scene.access(), CompactOptions(threshold=0), Recorder())
    objects = scene.stores.objects["/repository"]
    session = SessionRecord("writer", 0, host="elsewhere", process=1, start_ns=1).encode()
    objects[layout.session_name(SessionId(b"s" * 32))] = session
    objects[layout.damaged_name(b"d" * 32)] = b"what was damaged once"
    return Wreck(scene, dict(objects), {name: expected(trees[name]) for name in ARCHIVES})


def flips(data: bytes, count: int) -> Iterator[tuple[str, bytes]]:
    """One bit changed, at ``count`` places or all bytes: each other bit in turn; with the place in words."""
    step = max(1, len(data) // count)
    for number, at in enumerate(range(0, len(data), step)):
        changed = bytearray(data)
        changed[at] ^= 1 << number % 8
        yield f"bit {number % 8} of byte {at}", bytes(changed)


def prefixes(data: bytes, count: int) -> Iterator[tuple[str, bytes]]:
    """Cut short, at ``count`` places and at the ends."""
    step = max(1, len(data) // count)
    for length in sorted({*range(0, len(data), step), len(data) - 1}):
        yield f"{length} of {len(data)} bytes", data[:length]


def damaged(wreck: Wreck, kind: str, count: int) -> Iterator[tuple[str, dict[ObjectName, bytes]]]:
    """The repository with each kind of damage to one object, and what was done."""
    victim = wreck.victim(kind)
    for what, data in (*flips(wreck.sound[victim], count), *prefixes(wreck.sound[victim], count // 3)):
        yield f"{victim}: {what}", {**wreck.sound, victim: data}
