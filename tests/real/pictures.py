"""A small tree that changes from backup to backup, and pictures of it that a restored one is compared with."""

import hashlib
import os
import random
import stat
from pathlib import Path

Picture = dict[str, tuple[object, ...]]  # path -> kind and mode, time, content


def picture(root: Path) -> Picture:
    """Every path below ``root``: kind, mode, modification time in ns, digest of the content or target."""
    return {str(path.relative_to(root)): _entry(path) for path in sorted(root.rglob("*"))}


def _entry(path: Path) -> tuple[object, ...]:
    status = path.lstat()
    content = b""
    if stat.S_ISLNK(status.st_mode):
        content = os.fsencode(path.readlink())
    elif stat.S_ISREG(status.st_mode):
        content = hashlib.sha256(path.read_bytes()).digest()
    return status.st_mode, status.st_mtime_ns, content


def without(whole: Picture, path: str) -> Picture:
    """What is left when ``path`` is excluded."""
    return {name: entry for name, entry in whole.items() if name != path}


class Tree:
    """At most a dozen files in three directories. All that happens to it follows from ``chance``."""

    def __init__(self, root: Path, chance: random.Random) -> None:
        self.root, self._chance = root, chance
        self._made = 0
        for name in ("a", "b", "b/c"):
            (root / name).mkdir(parents=True)
        (root / "b" / "link").symlink_to("nowhere")

    def change(self) -> Picture:
        """One or two new files, or new content of old ones; beyond a dozen the oldest goes. The picture after."""
        for _ in range(self._chance.randint(1, 2)):
            files = self._files()
            if files and self._chance.random() < 0.3:
                path = self._chance.choice(files)
            else:
                self._made += 1
                path = self.root / self._chance.choice(("a", "b", "b/c")) / f"file{self._made}"
            path.write_bytes(self._chance.randbytes(self._chance.choice((0, 100, 20_000, 90_000))))
            path.chmod(self._chance.choice((0o600, 0o644, 0o755)))
        while len(files := self._files()) > 12:
            files[0].unlink()
        return picture(self.root)

    def _files(self) -> list[Path]:
        found = [path for path in self.root.rglob("file*") if path.is_file()]
        return sorted(found, key=lambda path: int(path.name.removeprefix("file")))
