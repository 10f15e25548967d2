"""The recipe of docs/usage/pull.md with a lent agent and a restricted key, and all that such a key must not open."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.recipes import (
    PASSPHRASE,
    REPOSITORY,
    SOURCE,
    furnish,
    owner_says,
    recipe,
    restored_is_the_same,
)
from tests.real.two_hosts import NEEDS, TwoHosts

pytestmark = [pytest.mark.needs(*NEEDS, "ssh-agent", "ssh-add"), pytest.mark.timeout(300)]

URL = "ssh://borks@bork-server/~/repo"
# What stands around the command of the client, in the way of the seed: host keys are taken as they come.
SEED = """(
    eval $(ssh-agent) > /dev/null
    ssh-add -q ~/.ssh/bork-client_key
    echo 'your secure bork key passphrase' | \\
      ssh -A -o StrictHostKeyChecking=no borkc@bork-client "COMMAND"
    kill "${SSH_AGENT_PID}"
  )"""
SEED_INIT = SEED.replace(
    "COMMAND",
    "BORG_PASSPHRASE=\\$(cat) bork --rsh 'ssh -o StrictHostKeyChecking=no' init --encryption repokey"
    " ssh://borks@bork-server/~/repo",
)


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[TwoHosts]:
    """Prepared as the page says."""
    with TwoHosts(tmp_path / "hosts") as pair:
        furnish(pair)
        pair.server.must(recipe("agent-prepare"), "borks")
        yield pair


@pytest.fixture
def known(hosts: TwoHosts) -> TwoHosts:
    """Each host knows the key of the other."""
    for host, user in ((hosts.server, "borks"), (hosts.client, "borkc")):
        host.must("install -m 700 -d ~/.ssh && rm -f ~/.ssh/known_hosts", user)
        for other in (hosts.server, hosts.client):
            key = other.must("cut -d' ' -f1,2 /run/sshd/host.pub").strip()
            host.must(f"echo '{other.name} {key}' >> ~/.ssh/known_hosts", user)
    return hosts


@pytest.fixture
def filled(known: TwoHosts) -> TwoHosts:
    known.server.must(recipe("agent-init"), "borks")
    known.server.must(recipe("agent-create"), "borks")
    return known


def on_client(hosts: TwoHosts, command: str, code: int) -> str:
    """Run something on the client with the agent and the passphrase, as whoever has taken the account over."""
    script = recipe("agent-create")
    (line,) = [each for each in script.splitlines() if each.lstrip().startswith("ssh -A")]
    quoted = f'export BORG_PASSPHRASE="$(cat)"; {command}'.replace("'", "'\\''")
    done = hosts.server.execute(script.replace(line, f"ssh -A borkc@bork-client '{quoted}' < ~/passphrase"), "borks")
    words = (done.stdout + done.stderr).decode(errors="replace")
    assert done.returncode == code, f"{command} ended with {done.returncode}: {words}"
    assert "Traceback" not in words
    return words


def snapshot(hosts: TwoHosts) -> str:
    """All that lies in the home of borks, but what sessions come and go with."""
    find = "find repo other -type f ! -path '*/sessions/*' ! -path '*/tmp/*' 2>/dev/null | sort | xargs sha256sum"
    return hosts.server.must(f"cd && {find}", "borks")


def test_the_page_makes_a_repository_and_an_archive(filled: TwoHosts) -> None:
    restored_is_the_same(filled)
    again = filled.server.execute(recipe("agent-create"), "borks")
    assert again.returncode == 2, "the exit code is that of bork"
    assert b"already exists" in again.stderr
    assert filled.client.must("find ~ -name 'id_*' -o -name '*_key'", "borkc") == "", "no key stays on the client"
    deadline = time.monotonic() + 60
    while list(filled.client.inside("/tmp").glob("ssh-*/agent.*")):
        assert time.monotonic() < deadline, "and no way to the agent"
        time.sleep(0.05)


def test_the_commands_of_borgs_documentation_work_as_they_are_written(hosts: TwoHosts) -> None:
    words = hosts.server.must(SEED_INIT, "borks")
    assert "IMPORTANT" in words
    create = SEED_INIT.replace("init --encryption repokey", "create").replace('~/repo"', f'~/repo::archive {SOURCE}"')
    hosts.server.must(create, "borks")
    passphrase = "BORG_PASSPHRASE='your secure bork key passphrase'"
    hosts.server.must(f"{passphrase} bork check --verify-data {REPOSITORY}", "borks")
    assert hosts.server.must(f"{passphrase} bork list --short {REPOSITORY}", "borks") == "archive\n"
    key = hosts.server.inside("/run/home/borks/.ssh/authorized_keys").stat()
    assert key.st_mode & 0o777 == 0o600


def test_what_exists_cannot_be_destroyed_with_the_agent(filled: TwoHosts) -> None:
    before = snapshot(filled)
    for command in (
        f"bork delete {URL}::archive",
        f"BORG_DELETE_I_KNOW_WHAT_I_AM_DOING=YES bork delete {URL}",
        f"bork prune --keep-last 1 {URL}",
        f"bork compact {URL}",
        f"bork recreate {URL}::archive -e '*/deep'",
        f"bork rename {URL}::archive another",
        f"bork config {URL} append_only 1",
        f"BORG_NEW_PASSPHRASE=mine bork key change-passphrase {URL}",
    ):
        assert "only add" in on_client(filled, command, 2), command
    assert "already exists" in on_client(filled, f"bork init -e repokey {URL}", 2)
    assert snapshot(filled) == before
    assert owner_says(filled, f"bork list --short {REPOSITORY}") == "archive\n"
    restored_is_the_same(filled)


def test_no_other_repository_is_reached_with_the_agent(filled: TwoHosts) -> None:
    owner_says(filled, "bork init -e repokey other 2>/dev/null")
    before = snapshot(filled)
    for path in (
        "/~/other",
        "/~",
        "/~/repo/below",
        "/~/repo/../other",
        "/~/repox",
        "/./other",
        "/run/home/borks/other",
        "/run/home/borks",
        "/~root/repo",
        "/tmp/new",
    ):
        for command in ("list", "init -e none"):
            words = on_client(filled, f"bork {command} 'ssh://borks@bork-server{path}'", 2)
            assert "path not allowed" in words, f"{command} {path}"
    assert snapshot(filled) == before
    owner_says(filled, "bork delete other <<< YES")


def test_no_other_options_and_programs_are_reached_with_the_agent(filled: TwoHosts) -> None:
    before = snapshot(filled)
    for remote_path in (
        "bork serve --restrict-to-path / --",
        "bork serve --storage-quota 10M; id #",
        "sh -c id #",
    ):
        assert "only add" in on_client(filled, f"bork compact --remote-path '{remote_path}' {URL}", 2), remote_path
    for words in ("id", "'sh -c id'", "-tt id", "-s sftp", "bork list repo", "'bork serve'"):
        said = on_client(filled, f"ssh borks@bork-server {words} </dev/null; echo ended", 0)
        assert "uid=" not in said, words
        assert "archive" not in said, words
    batch = "echo 'get repo/config stolen' | timeout 20 sftp -b - borks@bork-server"
    assert on_client(filled, f"{batch} && echo got it; ls stolen 2>&1; echo ended", 0).count("got it") == 0
    assert snapshot(filled) == before


def test_nothing_is_forwarded_for_the_agent(filled: TwoHosts) -> None:
    """Ports and sockets, to and fro, and the agent itself."""
    for option, refusal in (
        ("-R 9022:localhost:22 -o ExitOnForwardFailure=yes", "remote port forwarding failed"),
        ("-R /run/home/borks/x:/tmp/y -o ExitOnForwardFailure=yes", "remote port forwarding failed"),
    ):
        said = on_client(filled, f"timeout 20 ssh -N {option} borks@bork-server </dev/null", 255)
        assert refusal in said, option
    for target in ("localhost:22", "localhost:25"):
        said = on_client(filled, f"timeout 20 ssh -W {target} borks@bork-server </dev/null", 255)
        assert "administratively prohibited" in said, target
    assert not filled.server.inside("/run/home/borks/x").exists()


def test_the_key_goes_the_one_way_that_it_is_bound_to(filled: TwoHosts) -> None:
    """``ssh-add -h``: the agent of the client signs for borks on bork-server, and for nobody and nothing else."""
    public = filled.server.must("cat ~/.ssh/bork-client_key.pub", "borks").strip()
    for host in (filled.server, filled.client):
        host.must(f"install -m 700 -d ~/.ssh && echo '{public}' >> ~/.ssh/authorized_keys", "root")
    assert "Permission denied" in on_client(filled, "ssh -o BatchMode=yes root@bork-server id", 255)
    assert "Permission denied" in on_client(filled, "ssh -o BatchMode=yes root@bork-client id", 255)
    # Without -h the lent agent opens both: the binding is what refuses, not something else.
    free = recipe("agent-create").replace("-h bork-client -h 'bork-client>borks@bork-server' ", "")
    (line,) = [each for each in free.splitlines() if each.lstrip().startswith("ssh -A")]
    for there in ("root@bork-server", "root@bork-client"):
        script = free.replace(line, f"ssh -A borkc@bork-client 'ssh -o BatchMode=yes {there} id'")
        assert "uid=0" in filled.server.must(script, "borks")


def test_a_host_that_only_claims_to_be_the_client_gets_no_passphrase(known: TwoHosts) -> None:
    """The page wants host keys to be known: another one ends it before anything is sent."""
    known.client.must("rm /run/sshd/host* && ssh-keygen -q -t ed25519 -N '' -f /run/sshd/host")
    known.client.restart_sshd()
    trap = "#!/bin/sh\ncat > ~/caught\n"
    known.client.must(f"printf '{trap}' > /run/bin/bork")
    done = known.server.execute(recipe("agent-init"), "borks")
    assert done.returncode == 255
    assert b"REMOTE HOST IDENTIFICATION HAS CHANGED" in done.stderr
    assert PASSPHRASE.encode() not in done.stderr
    assert not known.client.inside(f"{known.client.home('borkc')}/caught").exists()
