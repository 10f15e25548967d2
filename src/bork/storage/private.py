"""Small files of this user beside the repository: keys, what is remembered of a repository, caches."""

from __future__ import annotations

import os
import stat

from bork.storage.filesystem import THIS_MACHINE
from bork.storage.publishing import sync_directory


def write_to(path: str, data: bytes) -> None:
    """As ``write_private``, where the user has named the place: links are followed, and what is no file (a device, a
    pipe) is written to, and stays what it is. Raises: OSError.
    """
    try:
        is_file = stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        is_file = True
    if is_file:
        write_private(os.path.realpath(path), data, parents=False)
        return
    with open(path, "wb") as file:
        file.write(data)


def write_private(path: str, data: bytes, *, exclusive: bool = False, parents: bool = True) -> None:
    """Write a file that only this user may read, durably: after a power cut it is the old one or the new one.

    Missing directories are made, for this user alone, unless ``parents`` is false: where the user has named the place,
    one that is missing is a disk that is not there. ``exclusive``: never in place of another file.
    Raises: FileExistsError; OSError.
    """
    directory = os.path.dirname(os.path.abspath(path))
    if parents:
        os.makedirs(directory, mode=0o700, exist_ok=True)
    temp = f"{path}.{os.getpid()}-{os.urandom(8).hex()}.tmp"
    fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            with open(fd, "wb", closefd=False) as file:
                file.write(data)
            os.fsync(fd)
        finally:
            os.close(fd)
        if exclusive:
            os.link(temp, path)
            os.unlink(temp)
        else:
            os.rename(temp, path)
    except BaseException:
        if os.path.lexists(temp):
            os.unlink(temp)
        raise
    sync_directory(THIS_MACHINE, directory)
