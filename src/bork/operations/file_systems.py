"""What Bork knows of file systems on which a backup cannot rely on everything, and what it tells the user.

Why these modes: docs/decisions/0011. The engine recognizes a file system by its number of ``statfs(2)``, and asks it
whether it has attributes, ACLs, capabilities and flags. What cannot be asked is known here, of those that were tried.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from bork.core import FileSystem

DEFAULT_FILES_CACHE = "ctime,size,inode"
# Inode numbers come and go there. The change time may be the modification time under another name, or a real one,
# which is better than nothing: so both must be equal.
WITHOUT_INODE = "ctime,mtime,size"


class Known(NamedTuple):
    """A type of file system. ``trusted``: its inode numbers stay, and its change times are those of a kernel."""

    magic: int  # linux/magic.h, or the sources of its driver
    name: str
    trusted: bool = False


KNOWN = (
    Known(0x65735546, "FUSE"),
    Known(0x6969, "NFS", trusted=True),
    Known(0x517B, "SMB"),
    Known(0xFF534D42, "CIFS"),
    Known(0xFE534D42, "SMB"),
    Known(0x01021997, "9p"),
    Known(0x00C36400, "Ceph", trusted=True),
    Known(0x0BD00BD0, "Lustre", trusted=True),
    Known(0x5346414F, "AFS"),
    Known(0x6B414653, "AFS"),
    Known(0x73757245, "Coda"),
    Known(0x786F4256, "VirtualBox"),
    Known(0x4D44, "FAT"),
    Known(0x2011BAB0, "exFAT"),
)

# What cannot be asked, by the type that the kernel's list of mounts tells: seen with real ones, in both directions.
_NOT_SHOWN = {"fuse.sshfs": ("hard links", "device numbers", "change times", "fractions of a second")}
_NOT_KEPT = {"fuse.sshfs": ("device nodes", "owners and times of symbolic links", "fractions of a second")}


def for_create(files_cache: str | None) -> list[tuple[int, str, bool]]:
    """For the plan of a CreateEngine. ``files_cache``: the mode that the user named, which holds everywhere."""
    return [
        (known.magic, files_cache or (DEFAULT_FILES_CACHE if known.trusted else WITHOUT_INODE), known.trusted)
        for known in KNOWN
    ]


def for_extract() -> list[int]:
    """For the plan of a ReadEngine: where the owner of a link might be that of its target."""
    return [known.magic for known in KNOWN]


def describe(
    met: FileSystem, path: str, purpose: Literal["create", "extract"], unwanted: frozenset[str] = frozenset()
) -> str | None:
    """One sentence on what the file system at ``path`` does not carry; None if nothing is known to be missing.

    ``unwanted``: what the user does not want anyway: xattrs, acls, flags.
    """
    known, kind = KNOWN[met.number], _type_of(met.device)
    asked = (
        (met.xattrs, "xattrs", "extended attributes"),
        (met.capabilities, "xattrs", "capabilities"),
        (met.acls, "acls", "ACLs"),
        (met.flags, "flags", "file flags"),
    )
    missing = [words for is_there, option, words in asked if not is_there and option not in unwanted]
    missing += (_NOT_SHOWN if purpose == "create" else _NOT_KEPT).get(kind or "", ())
    if not missing:
        return None
    listed = " and ".join(filter(None, [", ".join(missing[:-1]), missing[-1]]))
    effect = "does not show {}: the archive will not have them." if purpose == "create" else "does not keep {}."
    return f"{path} ({kind or known.name}) {effect.format(listed)}"


def comparison(met: FileSystem, path: str) -> str | None:
    """How files are compared there when the user named no mode; None where it is done as everywhere."""
    if KNOWN[met.number].trusted:
        return None
    return f"{path}: a file counts as unchanged if ctime, mtime and size are equal; --files-cache disabled reads all."


def _type_of(device: int) -> str | None:
    """The type of a mounted file system as ``mount`` tells it, as ``fuse.sshfs``; None without ``/proc``."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
            for line in mounts:
                fields, _, rest = line.partition(" - ")
                if fields.split(" ")[2:3] == [wanted]:
                    return rest.split(" ")[0] or None
    except OSError:
        pass
    return None
