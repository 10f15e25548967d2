"""A small tree that holds what backup programs like to lose: one entry for each habit of Linux file systems.

What the machine or the user does not allow (device nodes without root, ACLs on a file system without them) is left out
and named in the answer.
"""

import fcntl
import os
import stat
import struct
from collections.abc import Callable
from pathlib import Path

from demo.comparison import FS_IOC_GETFLAGS

FS_IOC_SETFLAGS = 0x40086602
FLAG_NODUMP = 0x40
SECOND_NS = 1_000_000_000
HOLE_BYTES = 8 << 20


def acl(*entries: tuple[int, int, int]) -> bytes:
    """The bytes of a POSIX ACL attribute: version 2, then (tag, permissions, id) entries, all little-endian."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


NOBODY = 0xFFFFFFFF
# user::rw-, user:1234:r--, group::r--, mask::r--, other::---
ACL_ACCESS = acl((1, 6, NOBODY), (2, 4, 1234), (4, 4, NOBODY), (0x10, 4, NOBODY), (0x20, 0, NOBODY))
ACL_DEFAULT = acl((1, 7, NOBODY), (2, 5, 1234), (4, 5, NOBODY), (0x10, 5, NOBODY), (0x20, 0, NOBODY))
# cap_net_bind_service=ep, revision 2
CAPABILITY = struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0)


def names(root: Path) -> None:
    """Names: 255 bytes, no UTF-8, a newline, blanks, a leading dash, and the whole of Unicode's charm."""
    directory = os.path.join(os.fsencode(root), b"names")
    os.mkdir(directory)
    for name in (b"n" * 255, b"not utf-8 \xff\xfe", b"two\nlines", b" blank ", b"-rf", "größe-日本語-🍞".encode()):
        with open(os.path.join(directory, name), "wb") as file:
            file.write(name)


def links(root: Path) -> None:
    """Hard links across directories, symbolic links to something, to nothing and to a non-UTF-8 name."""
    directory = root / "links"
    (directory / "elsewhere").mkdir(parents=True)
    (directory / "one").write_bytes(b"one file, three names\n")
    (directory / "two").hardlink_to(directory / "one")
    (directory / "elsewhere" / "three").hardlink_to(directory / "one")
    (directory / "relative").symlink_to("elsewhere/three")
    (directory / "dangling").symlink_to("/nowhere/at all")
    os.symlink(b"\xff\xfe", os.path.join(os.fsencode(directory), b"raw"))


def modes(root: Path) -> None:
    """Permission bits up to set-id and sticky, an unwritable directory, an empty one, a fifo."""
    directory = root / "modes"
    directory.mkdir()
    for mode in (0o000, 0o400, 0o644, 0o4755, 0o2755, 0o6711):
        file = directory / f"{mode:04o}"
        file.write_bytes(b"x" * mode)
        file.chmod(mode if os.geteuid() == 0 else mode | 0o400)
    (directory / "empty").mkdir()
    (directory / "empty").chmod(0o1777)
    os.mkfifo(directory / "fifo", 0o620)


def times(root: Path) -> None:
    """Times before 1970, beyond 2038 and 2106, to the nanosecond."""
    directory = root / "times"
    directory.mkdir()
    for name, time_ns in {
        "1969": -SECOND_NS * 86_400 + 1,
        "1970": 0,
        "2026": 1_780_000_000 * SECOND_NS + 123_456_789,
        "2040": 2_208_988_800 * SECOND_NS + 999_999_999,
        "2200": 7_258_118_400 * SECOND_NS + 1,
    }.items():
        (directory / name).write_text(name)
        os.utime(directory / name, ns=(time_ns, time_ns))
    os.utime(directory, ns=(0, 987_654_321 * SECOND_NS + 42))


def holes(root: Path) -> None:
    """A sparse file: data, a hole, data, a hole at the end."""
    directory = root / "holes"
    directory.mkdir()
    with (directory / "sparse").open("wb") as file:
        file.write(b"start")
        file.seek(HOLE_BYTES)
        file.write(b"middle")
        file.truncate(2 * HOLE_BYTES)


def attributes(root: Path) -> None:
    """Extended attributes on a file and on a directory, text and binary."""
    directory = root / "attributes"
    directory.mkdir()
    (directory / "file").write_bytes(b"attributed\n")
    for path in (directory, directory / "file"):
        os.setxattr(path, "user.note", "größe".encode())
        os.setxattr(path, "user.binary", bytes(range(256)))


def access_lists(root: Path) -> None:
    """POSIX ACLs: on a file, and the default ones of a directory."""
    directory = root / "access-lists"
    directory.mkdir()
    (directory / "file").write_bytes(b"for user 1234 too\n")
    os.setxattr(directory / "file", "system.posix_acl_access", ACL_ACCESS)
    os.setxattr(directory, "system.posix_acl_default", ACL_DEFAULT)


def flags(root: Path) -> None:
    """The nodump flag (chattr +d), as the harmless one of the file flags."""
    file = root / "nodump"
    file.write_bytes(b"a flag\n")
    with file.open("rb") as handle:
        now = struct.unpack("i", fcntl.ioctl(handle, FS_IOC_GETFLAGS, struct.pack("l", 0))[:4])[0]
        fcntl.ioctl(handle, FS_IOC_SETFLAGS, struct.pack("l", now | FLAG_NODUMP))


def devices_and_owners(root: Path) -> None:
    """What only root may make: device nodes, files of other users, a capability."""
    directory = root / "root-only"
    directory.mkdir()
    os.mknod(directory / "character", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    os.mknod(directory / "block", stat.S_IFBLK | 0o640, os.makedev(7, 250))
    (directory / "owned").write_bytes(b"of a user that this machine does not know\n")
    os.chown(directory / "owned", 54321, 12345)
    (directory / "capable").write_bytes(b"#!/bin/true\n")
    (directory / "capable").chmod(0o755)
    os.setxattr(directory / "capable", "security.capability", CAPABILITY)


PARTS: tuple[Callable[[Path], None], ...] = (
    names, links, modes, holes, attributes, access_lists, flags, devices_and_owners, times,
)  # fmt: skip


def make_rich_tree(root: Path) -> list[str]:
    """Fill ``root``, which must exist and be empty. Returns what could not be made, one line each."""
    left_out = []
    for part in PARTS:
        try:
            part(root)
        except OSError as error:
            left_out.append(f"{part.__name__.replace('_', ' ')} ({error.strerror})")
    return left_out
