"""A foreign root: an sshfs mount, a snapshot, a container. Its own files say what its users and groups are called.

Who filled it is not trusted: no link in it leads out of it, only regular files are opened, and only so much is read of
them. Used by ``create --root`` and ``extract --root``.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bork.core import read_in_root
from bork.errors import SourceFault

if TYPE_CHECKING:
    from bork.operations.events import EventSink

# Bytes of each file. 4 MiB are some 60,000 users; a file made to be expensive takes 25 times as much memory.
NAMES_LENGTH_MAX = 4 << 20
PASSWD, GROUP = b"etc/passwd", b"etc/group"


def names_of(root: bytes, events: EventSink) -> tuple[bytes, bytes]:
    """What ``etc/passwd`` and ``etc/group`` of the root hold; empty, with a warning, where they are missing.

    Raises: SourceFault, if the root is no directory, or one of the files cannot be read, is not a regular one, or is
    longer than ``NAMES_LENGTH_MAX``.
    """
    if not os.path.isdir(root):
        raise SourceFault(os.fsdecode(root), "it is not a directory")
    found = {path: _read(root, path) for path in (PASSWD, GROUP)}
    missing = [os.fsdecode(path) for path, content in found.items() if content is None]
    if missing:
        events.log("warning", f"{os.fsdecode(root)} has no {' and no '.join(missing)}: owners are numbers only.")
    return found[PASSWD] or b"", found[GROUP] or b""


def _read(root: bytes, path: bytes) -> bytes | None:
    shown = os.fsdecode(os.path.join(root, path))
    try:
        content = read_in_root(root, path, NAMES_LENGTH_MAX)
    except FileNotFoundError:
        return None
    except OSError as fault:
        reason = os.strerror(fault.errno) if fault.errno else str(fault)
        raise SourceFault(shown, f"{reason}; with --numeric-ids it is not needed") from None
    if len(content) > NAMES_LENGTH_MAX:
        raise SourceFault(shown, f"it is longer than {NAMES_LENGTH_MAX} bytes; with --numeric-ids it is not needed")
    return content


def recorded(root: bytes, sources: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Sources inside a root as an archive names them: the root, ``/./``, and the path inside it.

    So archives of different roots are never taken for predecessors of each other: two machines have the same paths,
    and on a file system without inode numbers two files of the same path look unchanged easily.
    """
    return tuple(os.path.join(root, b".", source) for source in sources or (b".",))


def root_of(sources: tuple[bytes, ...]) -> bytes:
    """The root in what ``recorded`` made; empty for the sources of an archive without one."""
    return next((source.partition(b"/./")[0] for source in sources if b"/./" in source), b"")
