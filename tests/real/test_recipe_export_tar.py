"""The recipe of docs/usage/pull.md that restores by export-tar, ssh and tar, with all that tar can carry."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.comparison import differences
from demo.rich_tree import make_rich_tree
from tests.real.recipes import PASSPHRASE, REPOSITORY, recipe
from tests.real.two_hosts import NEEDS, TwoHosts

pytestmark = [pytest.mark.needs(*NEEDS, "tar"), pytest.mark.timeout(300)]


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[TwoHosts]:
    """An archive on the server of everything that a file system can say, and a directory on the client."""
    with TwoHosts(tmp_path / "hosts") as pair:
        (tree := pair.server.inside("/run/disk/tree")).mkdir()
        make_rich_tree(tree)
        (tree / "noise").write_bytes(os.urandom(3_000_000))
        pair.server.must(f"export BORG_PASSPHRASE='{PASSPHRASE}'; bork init -e repokey {REPOSITORY} 2>&1")
        pair.server.must(f"export BORG_PASSPHRASE='{PASSPHRASE}'; cd /run/disk; bork create {REPOSITORY}::archive tree")
        pair.server.must(f"chown -R borks:borks {REPOSITORY}")
        pair.client.must("mkdir /run/disk/target && ln -s /run/disk/target /run/target")
        yield pair


def piped(hosts: TwoHosts, name: str, code: int = 0, change: tuple[str, str] = ("", "")) -> str:
    environment = f"export BORG_PASSPHRASE='{PASSPHRASE}' BORG_RELOCATED_REPO_ACCESS_IS_OK=yes"
    done = hosts.server.execute(f"{environment}\n{recipe(name).replace(*change)}", "borks")
    words = os.fsdecode(done.stdout + done.stderr)
    assert done.returncode == code, words
    return words


def lost(hosts: TwoHosts) -> set[str]:
    """Which fields of items have not come over."""
    source, target = hosts.server.inside("/run/disk/tree"), hosts.client.inside("/run/disk/target/tree")
    return {line.split(": ")[1] for line in differences(os.fsencode(source), os.fsencode(target))}


def test_the_full_form_loses_nothing_but_file_flags(hosts: TwoHosts) -> None:
    said = piped(hosts, "tar-full")
    assert [line for line in said.splitlines() if "time stamp" not in line] == [], "some are of 1969 and 2200"
    assert lost(hosts) == {"flags"}


def test_the_simple_form_works_as_it_is_written_and_loses_what_the_page_says(hosts: TwoHosts) -> None:
    piped(hosts, "tar-simple")
    assert lost(hosts) == {"flags", "xattrs", "mtime_ns"}


def test_owners_go_by_name_unless_numbers_are_wanted(hosts: TwoHosts) -> None:
    """borks is 2001 on the server and 2002 on the client."""
    owned = hosts.server.inside("/run/disk/tree/owned by borks")
    owned.write_text("x")
    os.chown(owned, 2001, 2001)
    change = ("archive", "owned")
    environment = f"BORG_PASSPHRASE='{PASSPHRASE}' BORG_RELOCATED_REPO_ACCESS_IS_OK=yes"
    hosts.server.must(f"cd /run/disk; {environment} bork create {REPOSITORY}::owned tree; chown -R borks: {REPOSITORY}")
    there = hosts.client.inside("/run/disk/target/tree/owned by borks")
    piped(hosts, "tar-simple", change=change)
    assert there.stat().st_uid == 2002
    piped(hosts, "tar-full", change=change)
    assert there.stat().st_uid == 2001


def test_the_line_fails_if_any_part_of_it_does(hosts: TwoHosts) -> None:
    assert "does not exist" in piped(hosts, "tar-full", 2, ("::archive", "::nothing"))
    assert "No such file" in piped(hosts, "tar-full", 2, ("/run/target", "/run/nowhere"))
    pack = hosts.server.must(f"find {REPOSITORY}/packs -type f -size +1000k", "borks").split()[0]
    hosts.server.must(f"truncate -s 100000 {pack}")
    said = piped(hosts, "tar-full", 2)
    assert Path(pack).name in said, "what is damaged"
    assert "tar: " in said, "and tar knows that the stream has not ended"
