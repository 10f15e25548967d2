"""Put the items of an archive back below one directory. See docs/format/item.md, "Restoring"."""

import fcntl
import os
import stat
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from tests.reference.binary import Refused
from tests.reference.item import AclEntry, Item
from tests.reference.repository import Repository

Link: TypeAlias = "tuple[int, int]"

FS_IOC_GETFLAGS, FS_IOC_SETFLAGS = 0x80086601, 0x40086602
NO_ID = 0xFFFFFFFF
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


@dataclass(slots=True)
class Open:
    """A directory that is being filled. Its own attributes are set when everything below it is done."""

    name: bytes
    fd: int
    item: Item | None  # None: the archive does not describe it
    path: bytes


@dataclass(slots=True)
class Restorer:
    """Restores into a directory that is empty, so that everything below it was made here.

    Each directory is held open and each name is one component, so no path of the archive is ever followed.
    """

    repository: Repository
    root: int
    problems: list[str] = field(default_factory=list)
    stack: list[Open] = field(default_factory=list)
    links: dict[int, tuple[bytes, int]] = field(default_factory=dict)  # group: first path, names still to come
    is_root: bool = field(default_factory=lambda: os.geteuid() == 0)

    def run(self, root_node: bytes) -> None:
        """All items, in tree order: a directory comes before what is in it."""
        self.stack.append(Open(b"", self.root, None, b""))
        for path, item in self.repository.items(root_node):
            if path == b"":
                self.stack[0].item = item
                continue
            try:
                self.restore(self.enter(path), path, item)
            except (Refused, OSError) as fault:
                self.problems.append(f"{os.fsdecode(path)}: {fault}")
        while self.stack:
            self.leave()

    def enter(self, path: bytes) -> int:
        """The descriptor of the directory that holds ``path``; parents that are no items are made."""
        *parents, _ = path.split(b"/")
        while [one.name for one in self.stack[1:]] != parents[: len(self.stack) - 1]:
            self.leave()
        for depth in range(len(self.stack) - 1, len(parents)):
            os.mkdir(parents[depth], 0o777, dir_fd=self.stack[-1].fd)
            self.push(parents[depth], None, b"/".join(parents[: depth + 1]))
        return self.stack[-1].fd

    def push(self, name: bytes, item: Item | None, path: bytes) -> None:
        """Open a directory that was just made."""
        self.stack.append(Open(name, os.open(name, DIRECTORY, dir_fd=self.stack[-1].fd), item, path))

    def leave(self) -> None:
        """Finish the innermost directory."""
        directory = self.stack.pop()
        if directory.item is not None:
            self.attributes(directory.path, directory.item, directory.fd, os.fsencode(f"/proc/self/fd/{directory.fd}"))
        if directory.fd != self.root:
            os.close(directory.fd)

    def restore(self, parent: int, path: bytes, item: Item) -> None:
        """Make one entry."""
        name, kind = path.rpartition(b"/")[2], stat.S_IFMT(item.mode)
        if kind == stat.S_IFDIR:
            os.mkdir(name, 0o700, dir_fd=parent)
            return self.push(name, item, path)
        if item.link is not None and self.link(item.link, parent, name, path):
            return None
        if kind == stat.S_IFREG:
            fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=parent)
            try:
                self.write(fd, item)
                return self.attributes(path, item, fd, os.fsencode(f"/proc/self/fd/{fd}"))
            finally:
                os.close(fd)
        if kind == stat.S_IFLNK:
            os.symlink(item.target, name, dir_fd=parent)
        elif kind == stat.S_IFIFO:
            os.mkfifo(name, 0o600, dir_fd=parent)
        else:
            os.mknod(name, kind | 0o600, os.makedev(*item.device or (0, 0)), dir_fd=parent)
        return self.attributes(path, item, None, os.fsencode(f"/proc/self/fd/{parent}/") + name)

    def link(self, link: Link, parent: int, name: bytes, path: bytes) -> bool:
        """Make a further name of a file that is there already. The first name of each set holds the content."""
        group, count = link
        first, left = self.links.get(group, (b"", 0))
        self.links[group] = (first or path, (left or count) - 1)
        if self.links[group][1] <= 0:
            del self.links[group]
        if first:
            os.link(first, name, src_dir_fd=self.root, dst_dir_fd=parent, follow_symlinks=False)
        return bool(first)

    def write(self, fd: int, item: Item) -> None:
        """The content; a hole is what nobody writes."""
        offset = 0
        for one in self.repository.slices(item):
            if not one.is_hole:
                data = memoryview(self.repository.content(one))
                while data:
                    written = os.pwrite(fd, data, offset + one.length - len(data))
                    data = data[written:]
            offset += one.length
        os.ftruncate(fd, item.size)

    # ---- attributes, in an order in which no step undoes another -------------------------------------------------

    def attributes(self, path: bytes, item: Item, fd: int | None, place: bytes) -> None:
        """Owner, extended attributes, ACLs, mode, times, flags."""
        is_link = stat.S_ISLNK(item.mode)
        steps: list[tuple[str, Callable[[], None]]] = []
        if self.is_root:
            steps.append(("owner", lambda: os.chown(place, item.uid, item.gid, follow_symlinks=fd is not None)))
        acls = ((b"access", item.acl_access), (b"default", item.acl_default))
        attributes = [*item.xattrs, *((b"system.posix_acl_" + name, encode_acl(acl)) for name, acl in acls if acl)]
        for name, value in attributes:
            set_it = partial(os.setxattr, place, name, value, follow_symlinks=fd is not None)
            steps.append((f"attribute {name!r}", set_it))
        if not is_link:
            steps.append(("mode", lambda: os.chmod(place, stat.S_IMODE(item.mode))))
        times = nanoseconds(item.atime or item.mtime), nanoseconds(item.mtime)
        steps.append(("times", lambda: os.utime(place, ns=times, follow_symlinks=fd is not None)))
        if item.flags and fd is not None:
            steps.append(("flags", lambda: set_flags(fd, item.flags)))
        for what, step in steps:
            try:
                step()
            except OSError as fault:
                self.problems.append(f"{os.fsdecode(path)}: {what}: {fault.strerror}")


def nanoseconds(time: tuple[int, int]) -> int:
    """Since 1970, as Python wants it."""
    return time[0] * 1_000_000_000 + time[1]


def encode_acl(entries: tuple[AclEntry, ...]) -> bytes:
    """The value of the attribute that Linux keeps an ACL in: version 2, then tag, permissions, id of each entry."""
    records = sorted((entry.tag, entry.id if entry.tag in (2, 8) else NO_ID, entry.permissions) for entry in entries)
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", tag, mode, number) for tag, number, mode in records)


def set_flags(fd: int, flags: int) -> None:
    """Add file flags to those that the file system has set itself."""
    (now,) = struct.unpack("i", fcntl.ioctl(fd, FS_IOC_GETFLAGS, bytes(8))[:4])
    fcntl.ioctl(fd, FS_IOC_SETFLAGS, struct.pack("l", now | flags))
