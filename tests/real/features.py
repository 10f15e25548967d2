"""Everything that a Linux file system can say of a file, one function a subject. Needs root.

What the file system itself refuses (an attribute that is too large for ext4, a link target that is too long for xfs)
is left out of the tree; everything else that fails, fails the test.
"""

import errno
import fcntl
import os
import socket
import stat
import struct
from collections.abc import Callable
from pathlib import Path

from demo.comparison import FS_IOC_GETFLAGS
from demo.rich_tree import ACL_ACCESS, ACL_DEFAULT, CAPABILITY, FS_IOC_SETFLAGS, NOBODY, SECOND_NS, acl

FLAGS = {"sync": 0x08, "immutable": 0x10, "append": 0x20, "nodump": 0x40, "noatime": 0x80}
DAY_S = 86_400
# Whole seconds and the last nanosecond of each of them; ext4 and xfs hold years 1901 to 2446 and 2486.
YEARS = {1902: -68, 1960: -10, 1969: -1, 1970: 0, 2026: 56, 2040: 70, 2110: 140, 2400: 430}
YEARS_BEYOND = {1800: -170, 2600: 630}
XATTR_SIZES = (0, 1, 255, 3_800, 15_000, 60_000)  # ext4 ends below 4 KiB, btrfs at 16 KiB, xfs and Linux at 64 KiB
LONG_TARGETS = (1_000, 3_900)  # xfs ends at 1,023


def offered(call: Callable[..., object], *arguments: object) -> bool:
    """Run ``call(*arguments)``; False if the file system does not offer that."""
    try:
        call(*arguments)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.ENOSPC, errno.ENOTTY, errno.E2BIG, errno.ENAMETOOLONG, errno.EINVAL):
            return False
        raise
    return True


def set_flags(path: Path, flags: int) -> None:
    """``chattr``: these flags beside those that are there."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        now = struct.unpack("i", fcntl.ioctl(handle, FS_IOC_GETFLAGS, struct.pack("l", 0))[:4])[0]
        fcntl.ioctl(handle, FS_IOC_SETFLAGS, struct.pack("l", now | flags))
    finally:
        os.close(handle)


def names(root: Path) -> None:
    """All 254 bytes that a name may hold, alone and in company; long, raw, blank and strange names."""
    directory = os.fsencode(root)
    for byte in set(range(1, 256)) - {ord("/")}:
        with open(os.path.join(directory, b"with " + bytes([byte])), "wb") as file:
            file.write(bytes([byte]))
        if byte != ord("."):
            os.mkdir(os.path.join(directory, bytes([byte])))
    strange = (
        b"n" * 255,
        "ü".encode() * 127,
        b"\xff" * 255,
        b"a\nb",
        b"...",
        b"..a",
        b"-rf",
        b" ",
        b"\\",
        b"a\\..\\b",
        b"~",
        b"*",
    )
    for number, name in enumerate(strange):
        path = os.path.join(directory, b"strange", b"%d" % number, name)
        os.makedirs(path)
        with open(os.path.join(path, name), "wb") as file:
            file.write(name)


def modes_and_owners(root: Path) -> None:
    """Every special bit, owners crossed over, ids that no name belongs to, the largest ids."""
    for number, mode in enumerate((0, 0o1, 0o20, 0o400, 0o755, 0o1777, 0o2755, 0o4755, 0o6711, 0o7777, 0o4000)):
        for uid, gid in ((0, 0), (1, 2), (2, 1), (54_321, 12_345), (65_534, 0), (2**32 - 2, 2**32 - 2)):
            file, directory = root / f"f{number}-{uid}-{gid}", root / f"d{number}-{uid}-{gid}"
            file.write_bytes(b"owned")
            directory.mkdir()
            for path in (file, directory):
                os.chown(path, uid, gid)
                path.chmod(mode)


def times(root: Path) -> None:
    """Years before 1970 and after 2106, to the nanosecond, on files, directories and links."""
    for year, distance in YEARS.items():
        moment_ns = round(distance * 365.25 * DAY_S) * SECOND_NS
        for suffix, offset_ns in (("", 0), ("-1", SECOND_NS - 1)):
            file, directory, link = (root / f"{kind}{year}{suffix}" for kind in ("file", "dir", "link"))
            file.write_text(str(year))
            directory.mkdir()
            (directory / "child").write_bytes(b"")
            link.symlink_to("nowhere")
            for path in (file, directory, link):
                os.utime(path, ns=(0, moment_ns + offset_ns), follow_symlinks=False)


def times_beyond(root: Path) -> None:
    """Years that ext4 and xfs cannot hold and silently replace by the nearest that they can."""
    for year, distance in YEARS_BEYOND.items():
        file = root / str(year)
        file.write_text(str(year))
        os.utime(file, (0, distance * 365 * DAY_S))


def links(root: Path) -> None:
    """Symbolic links with owners and times of their own, odd targets; hard links of every kind of file."""
    targets: tuple[bytes, ...] = (
        b"/",
        b".",
        b"..",
        b"../../../../etc/passwd",
        b"nowhere",
        b"self",
        b" ",
        b"a\nb",
        b"\xff\xfe",
        b"//x//./",
    )
    for number, target in enumerate((*targets, *(b"t" * length for length in LONG_TARGETS))):
        path = os.path.join(os.fsencode(root), b"%d" % number)
        if offered(os.symlink, target, path):
            os.lchown(path, 1000 + number, 2000 + number)
            os.utime(path, ns=(0, (number + 1) * SECOND_NS + 7), follow_symlinks=False)
    (root / "self").symlink_to("self")
    (root / "one").write_bytes(b"one file, many names")
    os.mkfifo(root / "fifo")
    os.mknod(root / "device", stat.S_IFCHR | 0o600, os.makedev(1, 5))
    for name in ("one", "fifo", "device", "0"):
        for place in ("a", "b/c", "z"):
            (root / place).mkdir(parents=True, exist_ok=True)
            os.link(root / name, root / place / f"{name} again", follow_symlinks=False)
    for number in range(50):
        os.link(root / "one", root / f"one {number}")


def special_files(root: Path) -> None:
    """Fifos, devices up to the largest numbers (xfs: smaller ones), and sockets, which no backup holds."""
    os.mkfifo(root / "fifo", 0o620)
    for name, kind in (("char", stat.S_IFCHR), ("block", stat.S_IFBLK)):
        for major, minor in ((1, 3), (0, 0), (7, 250), (4095, 1_048_575)):
            path, device = root / f"{name}-{major}-{minor}", os.makedev(major, minor)
            if offered(os.mknod, path, kind | 0o640, device):
                os.chown(path, 3, 4)
    here = os.getcwd()
    os.chdir(root)  # the path of a socket is limited to 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("socket")
    finally:
        os.chdir(here)


def attributes(root: Path) -> None:
    """Extended attributes in three namespaces, of every size, with raw names; on links where Linux allows it."""
    for size in XATTR_SIZES:
        path = root / f"user-{size}"
        path.write_bytes(b"")
        if not offered(os.setxattr, path, "user.large", b"x" * size):
            path.unlink()
    (root / "directory").mkdir()
    (root / "file").write_bytes(b"attributed")
    (root / "link").symlink_to("nowhere")
    for path in (root / "directory", root / "file"):
        os.setxattr(path, "user.note", "größe".encode())
        os.setxattr(path, b"user.\xff\xfe raw \n", bytes(range(256)))
        os.setxattr(path, "user." + "n" * 250, b"the longest name")
    for path in (root / "directory", root / "file", root / "link"):
        os.setxattr(path, "trusted.test", b"\0\1\2", follow_symlinks=False)
    os.setxattr(root / "file", "security.capability", CAPABILITY)
    os.chown(root / "directory", 12, 13)


def access_lists(root: Path) -> None:
    """Access and default ACLs with named users and groups, known and unknown; on a set-gid directory, too."""
    many = acl(
        (1, 6, NOBODY),
        *((2, 5, user) for user in range(1, 16)),
        (4, 4, NOBODY),
        (8, 7, 4),
        (8, 2, 99_999),
        (0x10, 7, NOBODY),
        (0x20, 1, NOBODY),
    )
    for name, value in (("plain", ACL_ACCESS), ("many", many)):
        file, directory = root / name, root / f"{name} directory"
        file.write_bytes(b"for others, too")
        directory.mkdir()
        (directory / "before").write_bytes(b"made before there was a default")
        os.setxattr(file, "system.posix_acl_access", value)
        os.setxattr(directory, "system.posix_acl_access", value)
        os.setxattr(directory, "system.posix_acl_default", ACL_DEFAULT if name == "plain" else many)
        (directory / "inherits").write_bytes(b"inherits")
        (directory / "inherits too").mkdir()
    (root / "plain directory").chmod(0o2770)
    os.chown(root / "many", 77, 88)


def file_flags(root: Path) -> None:
    """``chattr``: each flag on a file and on a directory with content."""
    for name, bit in FLAGS.items():
        file, directory = root / f"{name} file", root / f"{name} directory"
        directory.mkdir()
        (directory / "child").write_bytes(b"below")
        file.write_bytes(name.encode() * 100)
        os.utime(file, ns=(0, 12_345 * SECOND_NS + 6))
        for path in (file, directory):
            offered(set_flags, path, bit)


def linked_flags(root: Path) -> None:
    """Flagged files with three names each: a name cannot be added to an immutable file."""
    for name, bit in FLAGS.items():
        file, directory = root / f"{name} linked", root / f"{name} directory"
        directory.mkdir()
        file.write_bytes(b"three names")
        (directory / "second name").hardlink_to(file)
        (root / f"zz {name} third name").hardlink_to(file)
        set_flags(file, bit)


def holes(root: Path) -> None:
    """Sparse files: data first, last, in the middle, nowhere; and empty files and directories."""
    layouts = {"none": (), "first": (0,), "last": (3,), "middle": (1, 2), "both": (0, 3)}
    for name, parts in layouts.items():
        with (root / name).open("wb") as file:
            file.truncate(4 << 20)
            for part in parts:
                os.pwrite(file.fileno(), os.urandom(5_000), part << 20)
    (root / "zeros").write_bytes(bytes(2 << 20))
    (root / "empty").write_bytes(b"")
    (root / "empty directory").mkdir()


SUBJECTS: tuple[Callable[[Path], None], ...] = (
    names, modes_and_owners, times, times_beyond, links, special_files, attributes, access_lists, file_flags, holes,
)  # fmt: skip


def make_everything(root: Path) -> None:
    """All subjects, each in a directory of its name."""
    for subject in SUBJECTS:
        directory = root / subject.__name__
        directory.mkdir()
        subject(directory)
