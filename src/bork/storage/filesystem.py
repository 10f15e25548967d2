"""The calls to the operating system that a local store makes on its directory, and nothing else.

This is a seam: everything that a crash, a full disk or a fault of a medium can come between passes here, so the tests
put a simulated file system behind the same code and look at every instant of it (``tests/crash``). Each method is the
call of the same name in ``os`` or ``fcntl``, with its errors; no method decides anything.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer


class Entry(Protocol):
    """What ``scan`` yields: an ``os.DirEntry``."""

    @property
    def name(self) -> str: ...
    def is_dir(self, *, follow_symlinks: bool = True) -> bool: ...
    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result: ...


class Directory(Protocol):
    """A directory, which may be moved meanwhile; paths are relative to it. Everything raises OSError."""

    # ---- names
    def enter(self, path: str) -> Directory:
        """A directory below this one, or at an absolute path. ``leave`` it."""
        ...

    def leave(self) -> None: ...
    def names(self) -> list[str]: ...
    def scan(self) -> Iterator[Entry]: ...
    def stat(self, path: str) -> os.stat_result:
        """Of the name itself, if it is a symbolic link."""
        ...

    def mkdir(self, path: str) -> None: ...
    def link(self, source: str, target: str) -> None: ...
    def rename(self, source: str, target: str) -> None: ...
    def unlink(self, path: str) -> None: ...
    def rmdir(self, path: str) -> None: ...
    def sync(self) -> None:
        """``fsync`` of the directory itself: its names are durable."""
        ...

    def free_bytes(self) -> int: ...

    # ---- files that are open
    def open(self, path: str, flags: int) -> int:
        """A descriptor that no child process inherits. A new file follows the umask."""
        ...

    def close(self, fd: int) -> None: ...
    def write(self, fd: int, data: Buffer) -> int: ...
    def read_all(self, fd: int, length_max: int | None) -> bytes:
        """The content; of a longer file only some of it, which is more than ``length_max`` bytes."""
        ...

    def pread(self, fd: int, length: int, offset: int) -> bytes: ...
    def fsync(self, fd: int) -> None: ...
    def fstat(self, fd: int) -> os.stat_result: ...
    def flock(self, fd: int, operation: int) -> None: ...
    def get_flags(self, fd: int) -> int: ...
    def set_flags(self, fd: int, flags: int) -> None: ...
    def allocate(self, fd: int, length: int) -> None:
        """``posix_fallocate`` from the start."""
        ...


class RealDirectory:
    """A ``Directory`` of this machine. ``fd`` None: all of it, by absolute paths."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int | None) -> None:
        self._fd = fd

    def enter(self, path: str) -> RealDirectory:
        return RealDirectory(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._fd))

    def leave(self) -> None:
        os.close(self._opened)

    @property
    def _opened(self) -> int:
        if self._fd is None:
            raise ValueError("this is no directory that was entered")
        return self._fd

    def names(self) -> list[str]:
        return os.listdir(self._opened)

    def scan(self) -> Iterator[Entry]:
        with os.scandir(self._opened) as entries:
            yield from entries

    def stat(self, path: str) -> os.stat_result:
        return os.stat(path, dir_fd=self._fd, follow_symlinks=False)

    def mkdir(self, path: str) -> None:
        os.mkdir(path, dir_fd=self._fd)

    def link(self, source: str, target: str) -> None:
        os.link(source, target, src_dir_fd=self._fd, dst_dir_fd=self._fd, follow_symlinks=False)

    def rename(self, source: str, target: str) -> None:
        os.rename(source, target, src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def unlink(self, path: str) -> None:
        os.unlink(path, dir_fd=self._fd)

    def rmdir(self, path: str) -> None:
        os.rmdir(path, dir_fd=self._fd)

    def sync(self) -> None:
        os.fsync(self._opened)

    def free_bytes(self) -> int:
        status = os.fstatvfs(self._opened)
        return status.f_bavail * status.f_frsize

    def open(self, path: str, flags: int) -> int:
        return os.open(path, flags | os.O_CLOEXEC, 0o666, dir_fd=self._fd)

    def close(self, fd: int) -> None:
        os.close(fd)

    def write(self, fd: int, data: Buffer) -> int:
        return os.write(fd, data)

    def read_all(self, fd: int, length_max: int | None) -> bytes:
        if length_max is not None and os.fstat(fd).st_size > length_max:
            return os.pread(fd, length_max + 1, 0)
        with open(fd, "rb", buffering=0, closefd=False) as file:
            return file.readall()

    def pread(self, fd: int, length: int, offset: int) -> bytes:
        return os.pread(fd, length, offset)

    def fsync(self, fd: int) -> None:
        os.fsync(fd)

    def fstat(self, fd: int) -> os.stat_result:
        return os.fstat(fd)

    def flock(self, fd: int, operation: int) -> None:
        fcntl.flock(fd, operation)

    def get_flags(self, fd: int) -> int:
        return fcntl.fcntl(fd, fcntl.F_GETFL)

    def set_flags(self, fd: int, flags: int) -> None:
        fcntl.fcntl(fd, fcntl.F_SETFL, flags)

    def allocate(self, fd: int, length: int) -> None:
        os.posix_fallocate(fd, 0, length)


THIS_MACHINE = RealDirectory(None)
