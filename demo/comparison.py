"""Compare two directory trees: every byte, and every piece of metadata that Linux lets a program set.

Knows nothing of bork, so that it can be a judge; the tests use it too. Two trees are equal when ``differences`` is
empty. Not compared: access and birth times and inode numbers, which no restore can or should reproduce.
"""

import errno
import fcntl
import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass

BLOCK_BYTES = 1 << 20
FS_IOC_GETFLAGS = 0x80086601
SETTABLE_FLAGS = 0x000000FA  # sync, immutable, append, nodump, noatime and the like; not "extents", which is the disk's
HAS_FLAGS = (stat.S_IFREG, stat.S_IFDIR)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a tree, as the kernel describes it."""

    kind: int  # stat.S_IFMT
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size_bytes: int
    device: int
    target: bytes
    xattrs: tuple[tuple[bytes, bytes], ...]  # ACLs and capabilities are xattrs
    flags: int
    linked_with: tuple[bytes, ...]  # the other names of the same file in this tree

    def differing_fields(self, other: "Entry") -> Iterator[str]:
        """``mode: 0o644 is 0o600`` for each field that is not the same."""
        for name in self.__slots__:
            here, there = getattr(self, name), getattr(other, name)
            if here != there:
                shown = (oct(here), oct(there)) if name in ("kind", "mode") else (here, there)
                yield f"{name}: {shown[0]} became {shown[1]}"


def walk(root: bytes, below: bytes = b"") -> Iterator[bytes]:
    """Every path below ``root``, relative to it, the root itself as ``b"."`` first."""
    yield below or b"."
    for entry in sorted(os.scandir(os.path.join(root, below)), key=lambda one: one.name):
        path = os.path.join(below, entry.name)
        if entry.is_dir(follow_symlinks=False):
            yield from walk(root, path)
        else:
            yield path


def file_flags(path: bytes) -> int:
    """What ``lsattr`` shows, as far as a user can set it; 0 where the file system has no flags."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        answer = fcntl.ioctl(handle, FS_IOC_GETFLAGS, struct.pack("l", 0))
    except OSError as error:
        if error.errno in (errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL):
            return 0
        raise
    finally:
        os.close(handle)
    flags: int = struct.unpack("i", answer[:4])[0]
    return flags & SETTABLE_FLAGS


def extended_attributes(path: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """All extended attributes; none where the file system has none."""
    try:
        names = [os.fsencode(name) for name in os.listxattr(path, follow_symlinks=False)]
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        return ()
    return tuple(sorted((name, os.getxattr(path, name, follow_symlinks=False)) for name in names))


def read_tree(root: bytes) -> dict[bytes, Entry]:
    """Every entry below ``root`` by its relative path. File contents are not read."""
    status = {path: os.lstat(os.path.join(root, path)) for path in walk(root)}
    names: dict[tuple[int, int], list[bytes]] = {}
    for path, found in status.items():
        if found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode):
            names.setdefault((found.st_dev, found.st_ino), []).append(path)
    entries = {}
    for path, found in status.items():
        full, kind = os.path.join(root, path), stat.S_IFMT(found.st_mode)
        entries[path] = Entry(
            kind=kind,
            mode=stat.S_IMODE(found.st_mode),
            uid=found.st_uid,
            gid=found.st_gid,
            mtime_ns=found.st_mtime_ns,
            size_bytes=found.st_size if kind in (stat.S_IFREG, stat.S_IFLNK) else 0,
            device=found.st_rdev if kind in (stat.S_IFBLK, stat.S_IFCHR) else 0,
            target=os.readlink(full) if kind == stat.S_IFLNK else b"",
            xattrs=extended_attributes(full),
            flags=file_flags(full) if kind in HAS_FLAGS else 0,
            linked_with=tuple(one for one in names.get((found.st_dev, found.st_ino), ()) if one != path),
        )
    return entries


def first_difference(one: bytes, other: bytes) -> int | None:
    """The offset of the first byte in which two files differ, or None."""
    with open(one, "rb") as left, open(other, "rb") as right:
        offset = 0
        while True:
            here, there = left.read(BLOCK_BYTES), right.read(BLOCK_BYTES)
            if here != there:
                same = (index for index, pair in enumerate(zip(here, there, strict=False)) if pair[0] != pair[1])
                return offset + next(same, min(len(here), len(there)))
            if not here:
                return None
            offset += len(here)


def differences(source: bytes, restored: bytes) -> list[str]:
    """Everything in which the trees differ, one line each; the paths are shown as Python would."""
    before, after = read_tree(source), read_tree(restored)
    lines = [f"{path!r}: missing" for path in before.keys() - after.keys()]
    lines += [f"{path!r}: was never there" for path in after.keys() - before.keys()]
    for path in before.keys() & after.keys():
        lines += [f"{path!r}: {line}" for line in before[path].differing_fields(after[path])]
        if before[path].kind == after[path].kind == stat.S_IFREG:
            offset = first_difference(os.path.join(source, path), os.path.join(restored, path))
            if offset is not None:
                lines.append(f"{path!r}: content differs from byte {offset} on")
    return sorted(lines)
