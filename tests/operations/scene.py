"""What tests of operations need around them: a user, a memory that holds repositories, a tree, and the oracle."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bork.crypto.slots import KDF_FAST_FOR_TESTS_ONLY
from bork.errors import RepositoryAlreadyExists, RepositoryDoesNotExist
from bork.operations import create, extract, init
from bork.operations import list as listing
from bork.operations.access import Access
from bork.operations.create import CreateOptions, CreateOutcome, Root
from bork.operations.events import LogLevel, Progress
from bork.operations.extract import ExtractOptions
from bork.operations.init import InitOptions, InitOutcome
from bork.operations.selection import ArchiveFilter, ArchiveName
from bork.storage.base import Store
from bork.storage.memory import MemoryStore, Objects
from bork.storage.names import CONFIG

PASSPHRASE = b"correct horse"
DAY_NS = 86_400 * 10**9


@dataclass
class User:
    """A PassphraseSource and Questions: answers what it was told to, and remembers what was asked."""

    configured: bytes | None = PASSPHRASE
    typed: list[bytes] = field(default_factory=list)
    chosen: bytes = PASSPHRASE
    agrees: bool = False
    asked: list[str] = field(default_factory=list)

    def get(self, prompt_for: str, attempt: int) -> bytes | None:
        if attempt == 0:
            return self.configured
        self.asked.append(f"passphrase {attempt}")
        return self.typed.pop(0) if self.typed else None

    def new(self, prompt_for: str) -> bytes:
        return self.chosen

    def ask(self, msgid: str, message: str, default: bool = False) -> bool:
        self.asked.append(msgid)
        return self.agrees


class Recorder:
    """An EventSink that keeps everything."""

    def __init__(self, cancel_after: int | None = None) -> None:
        self.shown, self.content = bytearray(), bytearray()
        self.problems: list[tuple[str, bytes, str]] = []
        self.steps: list[Progress] = []
        self.logged: list[tuple[LogLevel, str]] = []
        self._left = cancel_after

    def lines(self, data: bytes) -> None:
        self.shown += data

    def data(self, data: bytes) -> None:
        self.content += data

    def problem(self, kind: str, path: bytes, message: str) -> None:
        self.problems.append((kind, path, message))

    def progress(self, progress: Progress) -> None:
        self.steps.append(progress)

    def log(self, level: LogLevel, message: str, msgid: str | None = None) -> None:
        self.logged.append((level, message))

    def cancelled(self) -> bool:
        if self._left is not None:
            self._left -= 1
        return self._left is not None and self._left < 0


class MemoryStores:
    """Repositories in dictionaries, by location. ``wrap`` is put around every store that is opened."""

    def __init__(self, wrap: Callable[[Store], Store] = lambda store: store) -> None:
        self.objects: dict[str, Objects] = {}
        self.wrap = wrap

    def open(self, location: str) -> Store:
        if location not in self.objects:
            raise RepositoryDoesNotExist(location)
        return self.wrap(MemoryStore(self.objects[location], location))

    def create(self, location: str, *, make_parent_dirs: bool) -> Store:
        objects = self.objects.setdefault(location, Objects())
        if CONFIG in objects:
            raise RepositoryAlreadyExists(location)
        return self.wrap(MemoryStore(objects, location))


@dataclass
class StoppedClock:
    """Moves only when it is told to."""

    ns: int = 20_000 * DAY_NS

    def now_ns(self) -> int:
        return self.ns

    def wait(self, seconds: float) -> None:
        self.ns += int(seconds * 10**9)


@dataclass
class Scene:
    """One user with one repository."""

    home: Path
    user: User
    stores: MemoryStores
    clock: StoppedClock

    def access(self, path: str = "/repository") -> Access:
        """Everything below ``home``, and the fast key derivation."""
        return Access(
            path=path,
            passphrases=self.user,
            cache_dir=str(self.home / "cache"),
            keys_dir=str(self.home / "keys"),
            security_dir=str(self.home / "security"),
            key_file=None,
            questions=self.user,
            clock=self.clock,
            stores=self.stores,
            kdf_cost=KDF_FAST_FOR_TESTS_ONLY,
            threads=2,
        )

    def init(self, encryption: str = "repokey", access: Access | None = None) -> InitOutcome:
        return init.run(access or self.access(), InitOptions(encryption))  # type: ignore[arg-type]  # by its name

    def create(
        self, name: str, *roots: Path, access: Access | None = None, events: Recorder | None = None, **changes: object
    ) -> CreateOutcome:
        return create.run(
            access or self.access(),
            options(name, *roots)._replace(**changes),  # type: ignore[arg-type]  # as the test wants it
            events or Recorder(),
        )

    def restore(self, name: str, access: Access | None = None) -> dict[str, bytes | None]:
        """What an archive holds, by way of extracting it."""
        target = self.home / "restored" / os.urandom(8).hex()
        target.mkdir(parents=True)
        recorder = Recorder()
        extract.run(access or self.access(), ArchiveName(name), ExtractOptions(target=str(target)), recorder)
        assert recorder.problems == [], str(recorder.problems)[:2000]
        return contents(target)

    def names(self, access: Access | None = None) -> list[str]:
        """The archives, in the order of their times, and of their names."""
        return [str(entry.name) for entry in listing.archives(access or self.access(), ArchiveFilter()).archives]


def options(name: str, *roots: Path) -> CreateOptions:
    """Back up some directories, each under its own last name."""
    return CreateOptions(
        archive=ArchiveName(name),
        roots=tuple(Root(os.fsencode(root), os.fsencode(root.name)) for root in roots),
        hostname="host",
        username="user",
        cwd="/",
        command_line=("bork", "create"),
        pack_size=20_000,
    )


def contents(root: Path) -> dict[str, bytes | None]:
    """Relative path -> content, None for a directory."""
    return {
        str(path.relative_to(root)): None if path.is_dir() else path.read_bytes() for path in sorted(root.rglob("*"))
    }


def tree(root: Path, seed: int = 0) -> Path:
    """A small tree whose content depends on ``seed`` in part."""
    (root / "folder" / "deep").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "small").write_bytes(b"small %d" % seed)
    (root / "nothing").touch()
    (root / "folder" / "same").write_bytes(bytes(range(256)) * 100)
    (root / "folder" / "deep" / "random").write_bytes(os.urandom(30_000))
    return root


def expected(root: Path) -> dict[str, bytes | None]:
    """What an archive of ``root`` must restore to."""
    return {root.name: None} | {f"{root.name}/{path}": content for path, content in contents(root).items()}
