"""Two machines on one: namespaces of their own for network, mounts and host name, with users and an sshd of their own.

``bork-server`` and ``bork-client`` have the names of the recipes in docs/usage/pull.md, so that commands can be run
as they are written there. Each has its own passwd and group: ``borks`` (the server's) and ``borkc`` (the client's) are
on both, with crossed-over numbers. What the hosts write lies in ``/run`` (homes included) and ``/tmp``, which are
memory of their own, and in ``/run/disk``, which is on a disk; all else is this machine.
"""

import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from tests.conftest import SYSTEM_PATH

ROOT = Path(__file__).resolve().parent.parent.parent
NEEDS = ("root", "ip", "nsenter", "setpriv", "ssh", "ssh-keygen", "sshd", "unshare")
PROGRAMS = "/run/bin"  # first in the PATH of everybody on a host
_ADDRESSES = {"bork-server": "10.77.0.1", "bork-client": "10.77.0.2"}
# The numbers of users and groups, by host: those of the one are those of the other, crossed over.
_USERS = {"bork-server": {"borks": 2001, "borkc": 2002}, "bork-client": {"borks": 2002, "borkc": 2001}}


class Host:
    """One of them. ``execute`` runs a script of a shell there, as one of its users."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name, self._directory = name, directory
        directory.mkdir()
        (directory / "disk").mkdir()
        for file, text in _accounts(name).items():
            (directory / file).write_text(text)
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--net", "--uts", "--propagation", "private", "sh", "-c", "echo; exec sleep 3600"],
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.read(1) == b"\n"
        self.pid = self._holder.pid
        self._sshd: subprocess.Popen[bytes] | None = None
        self.must(self._furnish())

    def _furnish(self) -> str:
        """Mounts, homes, host keys, and the program ``bork``."""
        lines = [
            f"hostname {self.name}",
            "ip link set lo up",
            "mount -t tmpfs -o mode=755 none /run",
            "mkdir /run/disk",
        ]
        lines.append(f"mount --bind {shlex.quote(str(self._directory / 'disk'))} /run/disk")
        lines += [f"mount --bind {shlex.quote(str(self._directory / file))} /etc/{file}" for file in _accounts("")]
        lines += _opened(ROOT, Path(sys.prefix), Path(os.path.realpath(sys.base_prefix)))
        for user, number in _USERS[self.name].items():
            lines.append(f"install -d -m 700 -o {number} -g {number} {self.home(user)}")
        program = f'#!/bin/sh\nexec env PYTHONPATH={ROOT / "src"} {sys.executable} -m bork "$@"\n'
        lines += [
            f"mkdir -p {PROGRAMS} /run/sshd",
            f"printf %s {shlex.quote(program)} > {PROGRAMS}/bork",
            f"chmod 755 {PROGRAMS}/bork",
            "ssh-keygen -q -t ed25519 -N '' -f /run/sshd/host",
        ]
        return "\n".join(["set -e", *lines])

    @staticmethod
    def home(user: str) -> str:
        """``~`` of a user there."""
        return f"/run/home/{user}" if user != "root" else "/run/home"

    def inside(self, path: str) -> Path:
        """A path of the host, as the test sees it."""
        return Path(f"/proc/{self.pid}/root{path}")

    def start_sshd(self, *lines: str) -> None:
        """On port 22. Only keys are welcome. ``lines`` are more of its configuration."""
        settings = {
            "AllowStreamLocalForwarding": "yes",
            "AuthorizedKeysFile": ".ssh/authorized_keys",
            "HostKey": "/run/sshd/host",
            "KbdInteractiveAuthentication": "no",
            "PasswordAuthentication": "no",
            "PidFile": "none",
            "SetEnv": f"PATH={PROGRAMS}:{SYSTEM_PATH}",
            "StrictModes": "no",
            "Subsystem": "sftp internal-sftp",
            "UsePAM": "no",
        }
        self.inside("/run/sshd/config").write_text(
            "".join(f"{name} {value}\n" for name, value in settings.items()) + "\n".join(lines)
        )
        program = shutil.which("sshd", path=SYSTEM_PATH)
        (log := self.inside("/run/sshd/log")).unlink(missing_ok=True)
        self._sshd = subprocess.Popen(
            [*self._enter(), str(program), "-D", "-f", "/run/sshd/config", "-E", "/run/sshd/log"],
            start_new_session=True,
        )
        deadline = time.monotonic() + 60
        while "listening" not in (log.read_text() if log.exists() else ""):
            assert self._sshd.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def restart_sshd(self, *lines: str) -> None:
        """With other settings. Sessions that are there go on."""
        assert self._sshd is not None
        self._sshd.kill()
        self._sshd.wait()
        self.start_sshd(*lines)

    def _enter(self) -> list[str]:
        return ["nsenter", "-t", str(self.pid), "--mount", "--net", "--uts", "--"]

    def command(self, script: str, user: str = "root") -> list[str]:
        """The words that run ``script`` in a bash there."""
        words = self._enter()
        if user != "root":
            words += ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--"]
        environment = [f"PATH={PROGRAMS}:{SYSTEM_PATH}", f"HOME={self.home(user)}", f"USER={user}", "LC_ALL=C.UTF-8"]
        # Bash, since a script that fails in the middle is one that fails.
        return [*words, "env", "-i", *environment, "bash", "-c", f"cd; {script}"]

    def execute(self, script: str, user: str = "root", stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run it to its end."""
        command = self.command(script, user)
        return subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=240)

    def must(self, script: str, user: str = "root") -> str:
        """Run it, see it succeed, and give what it prints."""
        done = self.execute(script, user)
        words = os.fsdecode(done.stdout + done.stderr)
        assert done.returncode == 0, f"on {self.name}, as {user}: {script}\nended with {done.returncode}:\n{words}"
        return words

    def launch(self, script: str, user: str = "root") -> "Running":
        """Start it, and stop it when the ``with`` ends."""
        return Running(self.command(script, user))

    def close(self) -> None:
        for process in (self._sshd, self._holder):
            if process is not None:
                process.kill()
                process.wait()
        assert self._holder.stdout is not None
        self._holder.stdout.close()


class Running:
    """A process that goes on while commands beside it run, with everything that it starts."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, 15)
        self.words()

    def words(self) -> str:
        """What it said, when it has ended."""
        out, _ = self.process.communicate(timeout=90)
        return os.fsdecode(out or b"")


class TwoHosts:
    """``server`` and ``client``, joined by a cable. Each user of the server may log in to the client by its own key."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        self.server = Host("bork-server", directory / "server")
        self.client = Host("bork-client", directory / "client")
        self._connect()
        for host in (self.server, self.client):
            host.start_sshd()
        key = f"{self.server.home('borks')}/.ssh/id_ed25519"
        self.server.must(f"install -m 700 -d ~/.ssh && ssh-keygen -q -t ed25519 -N '' -f {key}", "borks")
        public = self.server.must(f"cat {key}.pub", "borks")
        for user in ("borkc", "root"):
            self.client.must(f"install -m 700 -d ~/.ssh && echo '{public.strip()}' >> ~/.ssh/authorized_keys", user)
        host_key = self.client.must("cut -d' ' -f1,2 /run/sshd/host.pub").strip()
        self.server.must(f"echo 'bork-client {host_key}' > ~/.ssh/known_hosts", "borks")

    def _connect(self) -> None:
        # Made inside, so that no name on this machine is taken, and gone with the namespaces.
        cable = f"ip link add eth0 type veth peer name eth0 netns {self.client.pid}"
        for host in (self.server, self.client):
            cable_here = f"{cable} &&" if host is self.server else ""
            host.must(f"{cable_here} ip address add {_ADDRESSES[host.name]}/24 dev eth0 && ip link set eth0 up")

    def close(self) -> None:
        self.client.close()
        self.server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _accounts(name: str) -> dict[str, str]:
    """The files below ``/etc`` that are a host's own."""
    users = {"root": 0, **_USERS.get(name, {})}
    hosts = "".join(f"{address} {host}\n" for host, address in _ADDRESSES.items())
    return {
        "passwd": "".join(f"{u}:x:{n}:{n}::{Host.home(u)}:/bin/bash\n" for u, n in users.items())
        + "sshd:x:105:65534::/run/sshd:/usr/sbin/nologin\n",
        "group": "".join(f"{user}:x:{number}:\n" for user, number in users.items()) + "nogroup:x:65534:\n",
        "shadow": "".join(f"{user}:*:19000:0:99999:7:::\n" for user in users),
        "hosts": f"127.0.0.1 localhost\n{hosts}",
    }


def _opened(*places: Path) -> list[str]:
    """Commands after which everybody can read ``places``, although they lie in directories of root (as ``/root``).

    All else in these directories is hidden, and in ``/tmp``.
    """
    lines: list[str] = []
    closed: dict[Path, list[Path]] = {Path("/tmp"): []}
    for place in places:
        above = [each for each in reversed(place.parents) if each in closed or not each.stat().st_mode & 0o001]
        if above:
            closed.setdefault(above[0], []).append(place)
    for directory, inside in closed.items():
        for number, place in enumerate(inside):
            lines += [f"mkdir -p /run/keep/{number}", f"mount --bind {shlex.quote(str(place))} /run/keep/{number}"]
        mode = "1777" if directory == Path("/tmp") else "755"
        lines.append(f"mount -t tmpfs -o mode={mode} none {shlex.quote(str(directory))}")
        for number, place in enumerate(inside):
            words = shlex.quote(str(place))
            lines += [f"mkdir -p {words}", f"mount --bind /run/keep/{number} {words}", f"umount /run/keep/{number}"]
    return lines
