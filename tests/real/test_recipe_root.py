"""The recipe of docs/usage/pull.md with sshfs and ``--root``, between two hosts with crossed-over numbers of users."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.recipes import PASSPHRASE, REPOSITORY, recipe
from tests.real.two_hosts import NEEDS, TwoHosts

pytestmark = [pytest.mark.needs(*NEEDS, "sshfs"), pytest.mark.timeout(300)]

ENVIRONMENT = f"export BORG_PASSPHRASE='{PASSPHRASE}'\n"
PLACES = {"root@bork-client:/ ": "root@bork-client:/run/disk/system ", "/mnt/sshfs": "/run/mnt"}
SYSTEM = """
cd /run/disk && mkdir -p system/etc system/home/alice && cd system
echo 'root:x:0:0::/:
alice:x:2001:2001::/:' > etc/passwd
echo 'root:x:0:
alice:x:2001:' > etc/group
echo secret > etc/shadow; chmod 600 etc/shadow
echo hello > home/alice/letter
ln -s /etc/shadow home/alice/notes
chown -hR 2001:2001 home/alice
"""


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[TwoHosts]:
    """A small system on the client, and root of the server may log in there."""
    with TwoHosts(tmp_path / "hosts") as pair:
        pair.client.must(SYSTEM)
        pair.server.must("cp -r ~borks/.ssh ~ && chown -R 0:0 ~/.ssh && mkdir /run/mnt")
        pair.server.must(f"{ENVIRONMENT} bork init -e repokey {REPOSITORY} 2>/dev/null")
        yield pair


def placed(name: str) -> str:
    """Every command but the last may warn: it is the middle one that counts, and everything is unmounted."""
    script = name
    for place, ours in PLACES.items():
        script = script.replace(place, ours)
    first, middle, last = script.splitlines()
    return f"{ENVIRONMENT} {first} && {middle}; code=$?; {last}; exit $code"


def test_a_client_without_bork_is_backed_up_and_restored_by_the_names_of_its_users(hosts: TwoHosts) -> None:
    hosts.client.must("rm /run/bin/bork")
    hosts.server.must(placed(recipe("sshfs-root-create")))
    listed = hosts.server.must(f"{ENVIRONMENT} bork list --format '{{user}} {{path}}{{NL}}' {REPOSITORY}::archive")
    assert "alice home/alice/letter" in listed.splitlines()
    # The client is installed anew: alice has another number now.
    hosts.client.must("cd /run/disk/system && rm -r home/alice && sed -i s/2001/2002/g etc/passwd etc/group")
    done = hosts.server.execute(placed(recipe("sshfs-root-extract")))
    assert done.returncode == 1
    assert b"owners and times of symbolic links are left out" in done.stderr
    system = hosts.client.inside("/run/disk/system")
    assert (system / "home/alice/letter").read_text() == "hello\n"
    assert (system / "home/alice/letter").stat().st_uid == 2002
    assert (system / "etc/shadow").stat().st_uid == 0, "alice's link has not given it to her"
