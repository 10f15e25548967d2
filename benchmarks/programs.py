"""Bork and its peers: how each is told to do the same work."""

import json
import os
import shlex
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from measure import Command

PASSPHRASE = "correct horse battery staple"
ARCHIVE = "base"
ZSTD, LZ4 = "zstd,3", "lz4"


class Program(ABC):
    """One backup program with one repository in `home`; every path it writes to by itself is below that too."""

    name: ClassVar[str]
    compressions: ClassVar[Mapping[str, str]]  # what is asked for -> what this program is told
    version_argument: ClassVar[str] = "--version"

    def __init__(self, binary: Path, home: Path, compression: str = ZSTD) -> None:
        self.binary, self.home, self.compression = binary, home, compression
        self.repository = home / "repository"

    def __repr__(self) -> str:
        return f"{self.name} at {self.binary}"

    @property
    def level(self) -> str:
        return self.compressions[self.compression]

    def command(self, *arguments: str | Path, cwd: Path | None = None) -> Command:
        return Command([str(self.binary), *map(str, arguments)], self.environment(), cwd or self.home)

    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TZ") if name in os.environ}
        private = {"HOME": str(self.home), "TMPDIR": str(self.home), "XDG_CACHE_HOME": str(self.home / "cache")}
        return kept | private | self.settings()

    def version(self) -> str:
        self.home.mkdir(parents=True, exist_ok=True)
        command = self.command(self.version_argument)
        said = subprocess.run(command.argv, env=command.env, capture_output=True, text=True, check=True).stdout
        return said.strip().splitlines()[0]

    @abstractmethod
    def settings(self) -> dict[str, str]:
        """Its environment variables: passphrase, cache, no questions."""

    @abstractmethod
    def init(self) -> Sequence[Command]:
        """A new encrypted repository."""

    @abstractmethod
    def create(self, tree: Path, archive: str, *, reread: bool = False) -> Command:
        """Back up the tree; `reread`: look into every file, even if it seems unchanged."""

    @abstractmethod
    def restore(self, tree: Path, target: Path, archive: str = ARCHIVE) -> Command:
        """Everything of the archive, which is the latest one, into the empty directory target."""

    @abstractmethod
    def restore_one(self, tree: Path, inside: Path, target: Path) -> Command:
        """The one file `inside` (relative to the tree)."""

    @abstractmethod
    def list(self, tree: Path) -> Command:
        """One line for each file of ARCHIVE, with mode, owner, size and time."""

    @abstractmethod
    def check(self) -> Command:
        """Read and verify all data."""

    @abstractmethod
    def free(self, tree: Path) -> Command:
        """Delete the two oldest archives, and give their space back."""

    def said(self, command: Command) -> bytes:
        """What a command that is not timed says."""
        return subprocess.run(command.argv, env=command.env, cwd=command.cwd, capture_output=True, check=True).stdout

    def one_after_the_other(self, *commands: Command) -> Command:
        """Several commands as one."""
        line = " && ".join(shlex.join(command.argv) for command in commands)
        return Command(["/bin/sh", "-c", line], commands[0].env, commands[0].cwd)


class Borg(Program):
    """Borg 1.4."""

    name = "borg"
    compressions: ClassVar = {ZSTD: "zstd,3", LZ4: "lz4"}
    prefix = "BORG"
    encryption = "repokey"  # or repokey-blake2: whichever hash is faster here, see faster_borg_encryption

    def settings(self) -> dict[str, str]:
        return {
            f"{self.prefix}_PASSPHRASE": PASSPHRASE,
            f"{self.prefix}_BASE_DIR": str(self.home),
            f"{self.prefix}_RELOCATED_REPO_ACCESS_IS_OK": "yes",
            f"{self.prefix}_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",  # for startup.py
            f"{self.prefix}_HOST_ID": "benchmark",  # else Borg asks the resolver for the host's full name
        }

    def init(self) -> Sequence[Command]:
        return [self.command("init", "--encryption", self.encryption, self.repository)]

    def create(self, tree: Path, archive: str, *, reread: bool = False) -> Command:
        cache = ["--files-cache", "disabled"] if reread else []
        return self.command("create", "-C", self.level, *cache, f"{self.repository}::{archive}", ".", cwd=tree)

    def restore(self, tree: Path, target: Path, archive: str = ARCHIVE) -> Command:
        return self.command("extract", f"{self.repository}::{archive}", cwd=target)

    def restore_one(self, tree: Path, inside: Path, target: Path) -> Command:
        return self.command("extract", f"{self.repository}::{ARCHIVE}", inside, cwd=target)

    def list(self, tree: Path) -> Command:
        return self.command("list", f"{self.repository}::{ARCHIVE}")

    def check(self) -> Command:
        return self.command("check", "--verify-data", self.repository)

    def free(self, tree: Path) -> Command:
        names = json.loads(self.said(self.command("list", "--json", self.repository)))["archives"]
        oldest = [one["archive"] for one in names[:2]]
        delete = self.command("delete", f"{self.repository}::{oldest[0]}", oldest[1])
        return self.one_after_the_other(delete, self.command("compact", self.repository))


class Bork(Borg):
    """Bork, whose command line is Borg's."""

    name = "bork"
    prefix = "BORK"


class Restic(Program):
    """restic: a snapshot is addressed by the path of its source, as `latest:PATH`."""

    name = "restic"
    compressions: ClassVar = {
        ZSTD: "auto"
    }  # "auto" is the Go library's SpeedDefault, which that library maps zstd 3 to
    version_argument = "version"

    def settings(self) -> dict[str, str]:
        return {
            "RESTIC_REPOSITORY": str(self.repository),
            "RESTIC_PASSWORD": PASSPHRASE,
            "RESTIC_CACHE_DIR": str(self.home / "cache"),
            "RESTIC_COMPRESSION": self.level,
        }

    def init(self) -> Sequence[Command]:
        return [self.command("init")]

    def create(self, tree: Path, archive: str, *, reread: bool = False) -> Command:
        return self.command("backup", "--no-scan", *(["--force"] if reread else []), tree)

    def restore(self, tree: Path, target: Path, archive: str = ARCHIVE) -> Command:
        return self.command("restore", f"latest:{tree}", "--target", target)

    def restore_one(self, tree: Path, inside: Path, target: Path) -> Command:
        folder = tree / inside.parent
        return self.command("restore", f"latest:{folder}", "--include", f"/{inside.name}", "--target", target)

    def list(self, tree: Path) -> Command:
        return self.command("ls", "--long", "latest")

    def check(self) -> Command:
        return self.command("check", "--read-data")

    def free(self, tree: Path) -> Command:
        return self.command("forget", "--prune", *self.oldest())

    def oldest(self) -> Sequence[str]:
        """Ids of the two oldest snapshots."""
        snapshots = json.loads(self.said(self.command("snapshots", "--json")))
        if "snapshots" in snapshots[0] or isinstance(snapshots[0], list):  # rustic groups them
            snapshots = [
                one for group in snapshots for one in (group["snapshots"] if "snapshots" in group else group[1])
            ]
        return [one["id"] for one in sorted(snapshots, key=lambda one: one["time"])[:2]]


class Rustic(Restic):
    """rustic: restic's format, nearly restic's commands."""

    name = "rustic"
    compressions: ClassVar = {ZSTD: "3"}
    version_argument = "--version"

    def settings(self) -> dict[str, str]:
        return {
            "RUSTIC_REPOSITORY": str(self.repository),
            "RUSTIC_PASSWORD": PASSPHRASE,
            "RUSTIC_CACHE_DIR": str(self.home / "cache"),
            "RUSTIC_NO_PROGRESS": "true",
        }

    def init(self) -> Sequence[Command]:
        return [self.command("init", "--set-compression", self.level)]

    def restore(self, tree: Path, target: Path, archive: str = ARCHIVE) -> Command:
        return self.command("restore", f"latest:{tree}", target)

    def restore_one(self, tree: Path, inside: Path, target: Path) -> Command:
        return self.command("restore", f"latest:{tree / inside}", target / inside.name)

    def list(self, tree: Path) -> Command:
        return self.command("ls", "--long", "--recursive", "latest")

    def free(self, tree: Path) -> Command:
        return self.command("forget", "--prune", "--instant-delete", *self.oldest())


class Kopia(Program):
    """kopia, without its server: every command opens the repository itself."""

    name = "kopia"
    compressions: ClassVar = {ZSTD: "zstd"}  # the Go library's SpeedDefault; lz4 was removed from kopia after 0.22

    def settings(self) -> dict[str, str]:
        return {
            "KOPIA_PASSWORD": PASSPHRASE,
            "KOPIA_CONFIG_PATH": str(self.home / "kopia.config"),
            "KOPIA_CACHE_DIRECTORY": str(self.home / "cache"),
            "KOPIA_LOG_DIR": str(self.home / "log"),
            "KOPIA_CHECK_FOR_UPDATES": "false",
        }

    def kopia(self, *arguments: str | Path) -> Command:
        return self.command(*arguments, "--no-progress", "--no-auto-maintenance", "--no-persist-credentials")

    def init(self) -> Sequence[Command]:
        policy = ("policy", "set", "--global", "--compression", self.level, "--ignore-cache-dirs", "false")
        return [self.kopia("repository", "create", "filesystem", "--path", self.repository), self.kopia(*policy)]

    def create(self, tree: Path, archive: str, *, reread: bool = False) -> Command:
        return self.kopia("snapshot", "create", *(["--force-hash", "100"] if reread else []), tree)

    def root(self, tree: Path) -> str:
        """The object id of the latest snapshot, which `ls` wants; its own call, not timed."""
        return str(json.loads(self.said(self.kopia("snapshot", "list", "--json", tree)))[-1]["rootEntry"]["obj"])

    def restore(self, tree: Path, target: Path, archive: str = ARCHIVE) -> Command:
        return self.kopia("restore", tree, target)

    def restore_one(self, tree: Path, inside: Path, target: Path) -> Command:
        return self.kopia("restore", tree / inside, target / inside.name)

    def list(self, tree: Path) -> Command:
        return self.kopia("ls", "--long", "--recursive", self.root(tree))

    def check(self) -> Command:
        return self.kopia("snapshot", "verify", "--verify-files-percent=100")

    def free(self, tree: Path) -> Command:
        snapshots = json.loads(self.said(self.kopia("snapshot", "list", "--json", tree)))
        oldest = [one["id"] for one in sorted(snapshots, key=lambda one: one["startTime"])[:2]]
        delete = self.kopia("snapshot", "delete", "--delete", *oldest)
        return self.one_after_the_other(delete, self.kopia("maintenance", "run", "--full", "--safety=none"))


PROGRAMS: dict[str, type[Program]] = {kind.name: kind for kind in (Bork, Borg, Restic, Rustic, Kopia)}
OURS = Bork.name


def find(name: str, given: Mapping[str, Path]) -> Path | None:
    """The binary: as given by --peer, else from PATH."""
    if name in given:
        return given[name].resolve()
    found = shutil.which(name)
    return Path(found) if found else None
