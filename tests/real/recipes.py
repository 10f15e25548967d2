"""The command blocks of docs/usage/pull.md, to be run as they stand there, between two hosts.

A block has a name, in a comment above it. Only places are replaced by those of the tests; host and user names are real.
"""

import re

from tests.real.two_hosts import ROOT, TwoHosts

PAGE = ROOT / "docs" / "usage" / "pull.md"
PASSPHRASE = "correct horse battery staple"
SOCKET = "/run/bork/reponame.sock"
REPOSITORY = "/run/home/borks/repo"
SOURCE = "/run/data"
_PLACES = {"/path/to/repo": REPOSITORY, "/path_to_backup": SOURCE, "-C / ": "-C /run/target "}
_BLOCK = re.compile(r"^<!-- recipe: (?P<name>[\w-]+) -->\n```sh\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> dict[str, str]:
    """Every block that has a name, as on the page."""
    return {block["name"]: block["text"].rstrip("\n") for block in _BLOCK.finditer(PAGE.read_text())}


def here(script: str) -> str:
    """A script with its places replaced."""
    for place, ours in _PLACES.items():
        script = script.replace(place, ours)
    return script


def recipe(name: str) -> str:
    """A block of the page, ready to be run."""
    return here(blocks()[name])


def furnish(hosts: TwoHosts) -> None:
    """What recipes take for granted: sudo, a passphrase in a file of borks, something to back up."""
    for host in (hosts.server, hosts.client):
        sudo = r'printf "#!/bin/sh\nexec \"\$@\"\n" > /run/bin/sudo && chmod 755 /run/bin/sudo'
        host.must(sudo)
    hosts.server.must(f"umask 077; echo '{PASSPHRASE}' > ~/passphrase", "borks")
    hosts.client.must(
        f"mkdir -m 755 {SOURCE}; cd {SOURCE}; mkdir deep; echo hello > deep/text; head -c 3000000 /dev/urandom > noise;"
        " ln -s nowhere link; chown -hR borkc: .; chmod 600 noise"
    )


def owner_says(hosts: TwoHosts, command: str) -> str:
    """What bork tells the owner of the repository, on the server."""
    return hosts.server.must(f"BORG_PASSPHRASE='{PASSPHRASE}' BORG_RELOCATED_REPO_ACCESS_IS_OK=yes {command}", "borks")


def restored_is_the_same(hosts: TwoHosts, archive: str = f"{REPOSITORY}::archive") -> None:
    """Restore on the server, and compare names, modes, times, numbers of owners and content with the client's."""
    hosts.server.must("rm -rf /run/restored && mkdir /run/restored")
    environment = f"BORG_PASSPHRASE='{PASSPHRASE}' BORG_RELOCATED_REPO_ACCESS_IS_OK=yes"
    hosts.server.must(f"cd /run/restored && {environment} bork extract --numeric-ids {archive}")
    show = "find . -printf '%P %y %m %U %G %T@ %l\\n' | sort; find . -type f | sort | xargs -d '\\n' sha256sum"
    assert hosts.server.must(f"cd /run/restored{SOURCE} && {show}") == hosts.client.must(f"cd {SOURCE} && {show}")
