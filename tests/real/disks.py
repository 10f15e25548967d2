"""Real file systems for tests: sparse images behind loop devices, and tmpfs, mounted while the tests run."""

import subprocess
import tempfile
from pathlib import Path

KINDS = ("ext4", "xfs", "btrfs", "tmpfs")
IMAGE_BYTES = 640 << 20  # sparse; mkfs.xfs wants 300 MiB at least
MKFS = {
    "ext4": ("mkfs.ext4", "-q", "-F", "-I", "256", "-E", "lazy_itable_init=1,lazy_journal_init=1"),
    "xfs": ("mkfs.xfs", "-q", "-f"),
    "btrfs": ("mkfs.btrfs", "-q", "-f"),
}


def run(*command: str | Path) -> None:
    """Run a program of the system; what it says is part of the failure."""
    result = subprocess.run(command, capture_output=True, check=False)
    assert result.returncode == 0, f"{command}: {result.stderr.decode(errors='replace')}"


class Disks:
    """Mounts each kind when it is first asked for; ``close`` unmounts all."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._mounted: dict[str, Path] = {}

    def root(self, kind: str) -> Path:
        """Where the file system is mounted."""
        if kind not in self._mounted:
            point = self._directory / kind
            point.mkdir()
            if kind == "tmpfs":
                mount_tmpfs(point, "size=512m")
            else:
                image = self._directory / f"{kind}.img"
                with image.open("wb") as file:
                    file.truncate(IMAGE_BYTES)
                run(*MKFS[kind], image)
                run("mount", "-o", "loop", image, point)
            self._mounted[kind] = point
        return self._mounted[kind]

    def empty(self, kind: str, name: str) -> Path:
        """A new empty directory on it, with the bytes of ``name`` in its own."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.root(kind)))

    def close(self) -> None:
        """Unmount; what is still in use goes away with its last user."""
        for point in self._mounted.values():
            unmount(point)
        self._mounted.clear()


def mount_tmpfs(point: Path, options: str) -> None:
    """A memory file system with these options, as ``size=300k``."""
    run("mount", "-t", "tmpfs", "-o", options, "tmpfs", point)


def unmount(point: Path) -> None:
    """Unmount now, or when the last process has left."""
    if subprocess.run(["umount", point], capture_output=True, check=False).returncode != 0:
        subprocess.run(["umount", "-l", point], capture_output=True, check=False)
