"""A client that is backed up over sshfs: a root file system with users of its own, behind a real sshd."""

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from tests.real.disks import mount_tmpfs, run, unmount
from tests.real.sshd import SSHServer

# Numbers that mean somebody else on the machine that runs the test: 1 is daemon there, 2 is bin.
ALICE, BORKC, STAFF = 1, 2, 4
PASSWD = (
    f"root:x:0:0::/root:/bin/sh\nalice:x:{ALICE}:{STAFF}::/home/alice:/bin/sh\nborkc:x:{BORKC}:{BORKC}::/:/bin/sh\n"
)
GROUP = f"root:x:0:\nstaff:x:{STAFF}:\nborkc:x:{BORKC}:\n"
OLD_S = 1_500_000_000
ODD_NAMES = (b"not utf-8 \xff\xfe", b"line\nend", b" blanks ", b"-option", b"n" * 255)


class Client:
    """``root`` is its ``/``, as its disk has it. sshd locks everybody into it, so that a link to ``/etc/shadow`` means
    its own, and no test can harm the machine.

    sshd wants every directory above to be root's alone, and ``/tmp`` is not.
    """

    def __init__(self, directory: Path) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="bork-client-", dir="/run"))
        mount_tmpfs(self.root, "size=256m,mode=755")
        settings = f"Subsystem sftp internal-sftp\nChrootDirectory {self.root}\n"
        self._server = SSHServer(directory, more_settings=settings)
        self._config = directory / "ssh_config"
        self._config.write_text(
            f"Host host\n HostName 127.0.0.1\n Port {self._server.port}\n IdentityFile {directory / 'client'}\n"
            f" UserKnownHostsFile {directory / 'known_hosts'}\n IdentitiesOnly yes\n BatchMode yes\n"
        )
        self.programs = directory / "bin"
        self.programs.mkdir()
        self._program("sshfs", "-o no_contain_symlinks")
        self._program("sshfs-today", "")
        self.bork = self.programs / "bork"
        self.bork.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m bork "$@"\n')
        self.bork.chmod(0o755)

    def _program(self, name: str, options: str) -> None:
        """sshfs without the configuration of the developer: the host of the recipe is called ``host``."""
        program = self.programs / name
        program.write_text(f'#!/bin/sh\nexec /usr/bin/sshfs -F {shlex.quote(str(self._config))} {options} "$@"\n')
        program.chmod(0o755)

    @contextmanager
    def mounted(self, point: Path, program: str = "sshfs") -> Iterator[Path]:
        """The client's ``/`` at a directory of the server."""
        point.mkdir(exist_ok=True)
        run(self.programs / program, "root@host:/", point)
        try:
            yield point
        finally:
            unmount(point)

    def clear(self) -> None:
        """A fresh disk."""
        for entry in self.root.iterdir():
            run("rm", "-rf", "--one-file-system", "--", entry)

    def close(self) -> None:
        self._server.close()
        unmount(self.root)
        self.root.rmdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def write(path: Path | bytes, content: bytes, owner: int = 0, group: int = 0, mode: int = 0o644) -> None:
    """A file that is old enough to be compared by its time."""
    with open(path, "wb") as file:
        file.write(content)
    os.chown(path, owner, group)
    os.chmod(path, mode)
    os.utime(path, (OLD_S, OLD_S))


def fill(root: Path) -> None:
    """A small system: users, a secret, a home with a malicious link, and one of everything that sshfs cannot carry."""
    for name in ("etc", "home/alice", "srv", "tmp", "usr/local/bin", "root", "proc", "sys", "dev"):
        (root / name).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    write(root / "etc/passwd", PASSWD.encode())
    write(root / "etc/group", GROUP.encode())
    write(root / "etc/shadow", b"secret", mode=0o600)
    home = root / "home/alice"
    os.chown(home, ALICE, STAFF)
    write(home / "letter", b"Dear Ann", ALICE, STAFF, 0o640)
    (home / "notes").symlink_to("/etc/shadow")
    (home / "upward").symlink_to("../../etc/shadow")
    (home / "near").symlink_to("letter")
    for name in ("notes", "upward", "near"):
        os.chown(home / name, ALICE, STAFF, follow_symlinks=False)
    for odd in ODD_NAMES:
        write(os.fsencode(home) + b"/" + odd, odd, BORKC, BORKC)
    srv = root / "srv"
    write(srv / "linked", b"one file, two names")
    os.link(srv / "linked", srv / "linked too")
    write(srv / "set uid", b"program", ALICE, STAFF, 0o4755)
    write(srv / "attributes", b"x")
    write(srv / "acl", b"x")
    write(srv / "capable", b"x", mode=0o755)
    subprocess.run(["setfattr", "-n", "user.color", "-v", "blue", srv / "attributes"], check=True)
    subprocess.run(["setfacl", "-m", f"u:{BORKC}:r", srv / "acl"], check=True)
    subprocess.run(["setcap", "cap_net_raw=ep", srv / "capable"], check=True)
    os.mkfifo(srv / "fifo")
    os.mknod(srv / "null", 0o020666, os.makedev(1, 3))
