"""Two hosts on this machine: network namespaces joined by a cable, each with users and groups of its own."""

import os
import subprocess
from pathlib import Path
from typing import Self

SYSTEM_USERS = "root:x:0:0:root:/root:/bin/sh\nsshd:x:997:65534::/run/sshd:/usr/sbin/nologin\n"
SYSTEM_GROUPS = "root:x:0:\nnogroup:x:65534:\n"


class Host:
    """One of them. ``users`` and ``groups``: names with their ids."""

    def __init__(self, directory: Path, name: str, address: str, users: dict[str, int], groups: dict[str, int]) -> None:
        self.name = f"bork-{name}-{os.getpid()}"
        self.address = address
        self._passwd, self._group = directory / f"{name}.passwd", directory / f"{name}.group"
        lines = (f"{user}:x:{uid}:{uid}::/home/{user}:/bin/sh\n" for user, uid in users.items())
        self._passwd.write_text(SYSTEM_USERS + "".join(lines))
        self._group.write_text(SYSTEM_GROUPS + "".join(f"{group}:x:{gid}:\n" for group, gid in groups.items()))
        _ip("netns", "add", self.name)

    def within(self) -> list[str]:
        """Words in front of a command line: it runs on this host."""
        script = f'mount --bind "{self._passwd}" /etc/passwd && mount --bind "{self._group}" /etc/group && exec "$@"'
        return ["ip", "netns", "exec", self.name, "sh", "-c", script, "sh"]

    def close(self) -> None:
        _ip("netns", "delete", self.name)


class Cable:
    """A server and a client whose users have the same names and crossed-over ids."""

    def __init__(self, directory: Path) -> None:
        number = os.getpid() % 250
        crossed = {"alice": 4101, "bob": 4102}
        straight = {"alice": 4102, "bob": 4101}
        self.server = Host(directory, "s", f"10.{number}.7.1", {"borks": 4001, **straight}, {"borks": 4001, **straight})
        self.client = Host(directory, "c", f"10.{number}.7.2", {"borkc": 4002, **crossed}, {"borkc": 4002, **crossed})
        _ip(
            "link",
            "add",
            "cable",
            "netns",
            self.server.name,
            "type",
            "veth",
            "peer",
            "cable",
            "netns",
            self.client.name,
        )
        for host in (self.server, self.client):
            _ip("-n", host.name, "address", "add", f"{host.address}/24", "dev", "cable")
            _ip("-n", host.name, "link", "set", "cable", "up")
            _ip("-n", host.name, "link", "set", "lo", "up")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.close()
        self.client.close()


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
