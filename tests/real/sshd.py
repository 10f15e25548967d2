"""A real sshd on the loopback interface, with a configuration, keys and a home of its own."""

import getpass
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tests.conftest import SYSTEM_PATH


class SSHServer:
    """Anybody with the key ``client`` may log in, as the user who runs the test. ``home`` is where its Bork runs.

    ``more_settings``: lines of sshd_config(5). ``within``: words in front of its command line, such as
    ``ip netns exec NAME``; then ``address`` is its own.
    """

    def __init__(
        self, directory: Path, address: str = "127.0.0.1", within: Sequence[str] = (), more_settings: str = ""
    ) -> None:
        self.directory = directory
        self.address = address
        self._within = within
        self._more_settings = more_settings
        self.home = directory / "server home"
        self.home.mkdir(parents=True)
        self._welcome: dict[str, str] = {}
        self._authorized = directory / "authorized_keys"
        self._log = directory / "sshd.log"
        self.port = _free_port()
        self.user = getpass.getuser()
        for name in ("host", "client", "restricted", "stranger"):
            _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name))
        public = (directory / "host.pub").read_text()
        (directory / "known_hosts").write_text(f"[{address}]:{self.port} {public}")
        self.program = self._program()
        self.authorize("client")
        self._process = self._start()

    def _program(self) -> Path:
        """The Bork of the server: in a home of its own, without the variables of the test."""
        program = self.directory / "bork"
        home = shlex.quote(str(self.home))
        program.write_text(f'#!/bin/sh\ncd {home} && HOME={home} exec {sys.executable} -m bork "$@"\n')
        program.chmod(0o755)
        return program

    def authorize(self, key: str, options: str = "") -> None:
        """Let a key in, with these options in ``authorized_keys``, in place of those it had."""
        self._welcome[key] = f"{options} {(self.directory / f'{key}.pub').read_text()}".lstrip()
        self._authorized.write_text("".join(self._welcome.values()))
        self._authorized.chmod(0o600)

    def _start(self) -> subprocess.Popen[bytes]:
        settings = {
            "AuthorizedKeysFile": self._authorized,
            "HostKey": self.directory / "host",
            "KbdInteractiveAuthentication": "no",
            "ListenAddress": f"{self.address}:{self.port}",
            "MaxStartups": "100",
            "PasswordAuthentication": "no",
            "PermitRootLogin": "yes",
            "PidFile": "none",
            "StrictModes": "no",
            "UsePAM": "no",
        }
        config = self.directory / "sshd_config"
        config.write_text("".join(f'{name} "{value}"\n' for name, value in settings.items()) + self._more_settings)
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where it locks up the process that reads the network
        program = shutil.which("sshd", path=SYSTEM_PATH)
        assert program is not None
        process = subprocess.Popen([*self._within, program, "-D", "-f", str(config), "-E", str(self._log)])
        deadline = time.monotonic() + 20
        while True:
            try:
                self._knock()
            except (OSError, subprocess.CalledProcessError):
                assert process.poll() is None, self._log.read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)
            else:
                return process

    def _knock(self) -> None:
        """Raises, if nobody answers."""
        knock = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=1).close()"
        command = [*self._within, sys.executable, "-c", knock, self.address, str(self.port)]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)

    def rsh(self, key: str = "client") -> str:
        """For ``--rsh`` and ``BORK_RSH``: nothing of the developer's own configuration is used."""
        words = ["ssh", "-F", "none", "-i", str(self.directory / key)]
        for option in (
            f"UserKnownHostsFile={self.directory / 'known_hosts'}",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "BatchMode=yes",
            "StrictHostKeyChecking=yes",
        ):
            words += ["-o", option]
        return shlex.join(words)

    def url(self, path: str | Path) -> str:
        """``ssh://user@address:port/path``."""
        return f"ssh://{self.user}@{self.address}:{self.port}{path}"

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _run(*words: str) -> None:
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
