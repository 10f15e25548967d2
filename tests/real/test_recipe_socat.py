"""The recipes of docs/usage/pull.md that carry a socket back through ssh: with socat, and with a socket of systemd."""

import contextlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.recipes import (
    PASSPHRASE,
    REPOSITORY,
    SOCKET,
    SOURCE,
    furnish,
    here,
    owner_says,
    recipe,
    restored_is_the_same,
)
from tests.real.test_pull_blind import memory_of
from tests.real.two_hosts import NEEDS, PROGRAMS, ROOT, Host, Running, TwoHosts
from tests.reference.repository import Repository

pytestmark = [pytest.mark.needs(*NEEDS, "socat"), pytest.mark.timeout(300)]

ENVIRONMENT = f"export BORG_PASSPHRASE='{PASSPHRASE}'\n{recipe('socat-create').splitlines()[0]}\n"
URL = f"ssh://bork-server{REPOSITORY}"


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[TwoHosts]:
    """With the directories for sockets, made as the page says."""
    with TwoHosts(tmp_path / "hosts") as pair:
        furnish(pair)
        pair.server.must(recipe("socat-directory-server"))
        pair.client.must(recipe("socat-directory-client"))
        yield pair


def ready(hosts: TwoHosts, name: str) -> None:
    """Wait for the socket on ``server`` or ``client``."""
    host = hosts.server if name == "server" else hosts.client
    deadline = time.monotonic() + 60
    while not host.inside(SOCKET).exists():
        assert time.monotonic() < deadline, f"no socket on the {name}"
        time.sleep(0.02)


@pytest.fixture
def served(hosts: TwoHosts) -> Iterator[Running]:
    with hosts.server.launch(recipe("socat-serve"), "borks") as running:
        ready(hosts, "server")
        yield running


def connected(hosts: TwoHosts) -> Running:
    """The session of ssh, which ends when its stdin does: here a pipe that stays open."""
    running = hosts.server.launch(f"sleep 200 | {recipe('socat-connect')}", "borks")
    ready(hosts, "client")
    return running


def initialize(hosts: TwoHosts) -> None:
    """A repository, by the way through the socket."""
    with connected(hosts):
        hosts.client.must(f"{ENVIRONMENT} bork init --encryption repokey {URL}", "borkc")
    hosts.client.must(f"rm -f {SOCKET}")


def test_every_step_of_the_page_works(hosts: TwoHosts, served: Running) -> None:
    with connected(hosts):
        hosts.client.must(f"{ENVIRONMENT} bork init --encryption repokey {URL}", "borkc")
        hosts.client.must(f"{ENVIRONMENT} {recipe('socat-create')}", "borkc")
        assert hosts.client.must(f"{ENVIRONMENT} bork list --short {URL}", "borkc") == "archive\n"
        hosts.client.must(f"{ENVIRONMENT} mkdir x && cd x && bork extract {URL}::archive", "borkc")
    restored_is_the_same(hosts)
    assert hosts.server.inside(f"{REPOSITORY}/config").stat().st_uid == 2001, "it is borks's"


def test_the_commands_of_borgs_documentation_work_as_they_are_written(hosts: TwoHosts) -> None:
    """No options of ssh, no unlink-early, and the restriction of the seed."""
    serve = f'socat UNIX-LISTEN:{SOCKET},fork EXEC:"bork serve --append-only --restrict-to-path {REPOSITORY}"'
    connect = f"ssh -R {SOCKET}:{SOCKET} borkc@bork-client"
    with hosts.server.launch(serve, "borks"):
        ready(hosts, "server")
        with hosts.server.launch(f"sleep 200 | {connect}", "borks"):
            ready(hosts, "client")
            hosts.client.must(f"{ENVIRONMENT} bork init --encryption repokey {URL}", "borkc")
            hosts.client.must(f"{ENVIRONMENT} bork create {URL}::archive {SOURCE}", "borkc")
    restored_is_the_same(hosts)


def test_the_socket_gives_no_more_than_its_server_allows(hosts: TwoHosts, served: Running) -> None:
    with connected(hosts):
        hosts.client.must(f"{ENVIRONMENT} bork init --encryption repokey {URL}", "borkc")
        hosts.client.must(f"{ENVIRONMENT} bork create {URL}::archive {SOURCE}", "borkc")
        for command, words in (
            (f"bork delete {URL}::archive", "only add"),
            (f"bork compact {URL}", "only add"),
            (f"BORG_NEW_PASSPHRASE=x bork key change-passphrase {URL}", "only add"),
            ("bork init -e none ssh://bork-server/run/home/borks/other", "path not allowed"),
        ):
            done = hosts.client.execute(f"{ENVIRONMENT} {command}", "borkc")
            assert done.returncode == 2, command
            assert words in done.stderr.decode(), command
        others = hosts.client.execute(f"{ENVIRONMENT} bork list {URL}", "borks")
        assert others.returncode == 2, "another user of the client does not get through"
        assert b"Permission denied" in others.stderr
    assert owner_says(hosts, f"bork list --short {REPOSITORY}") == "archive\n"


def test_one_command_makes_a_backup_and_leaves_no_socket(hosts: TwoHosts, served: Running) -> None:
    initialize(hosts)
    hosts.server.must(recipe("socat-one"), "borks")
    assert not hosts.client.inside(SOCKET).exists()
    restored_is_the_same(hosts)
    again = hosts.server.execute(recipe("socat-one"), "borks")
    assert again.returncode == 2, "the exit code is that of bork"
    assert b"Archive archive already exists" in again.stderr
    assert not hosts.client.inside(SOCKET).exists()
    unreadable = "install -m 0 /dev/null /run/data/secret"
    hosts.client.must(unreadable)
    third = hosts.server.execute(recipe("socat-one").replace("::archive", "::third"), "borks")
    assert third.returncode == 1, "a warning is one here, too"
    assert b"secret" in third.stderr


def test_the_form_that_loses_its_quotes_is_refused_in_words_that_say_so(hosts: TwoHosts, served: Running) -> None:
    """As in Borg's documentation: the client's shell gets ``--rsh sh -c 'exec socat ...'``. And rm hides it."""
    initialize(hosts)
    lossy = f"""ssh \\
      -R {SOCKET}:{SOCKET} \\
      borkc@bork-client \\
      bork create \\
      --rsh "sh -c 'exec socat STDIO UNIX-CONNECT:{SOCKET}'" \\
      {URL}::archive {SOURCE} \\
      ';' rm {SOCKET}"""
    done = hosts.server.execute(lossy, "borks")
    assert done.returncode == 0, "this is the exit code of rm"
    assert b"quotes" in done.stderr
    assert owner_says(hosts, f"bork list --short {REPOSITORY}") == ""


def test_a_socket_that_was_left_behind_is_named(hosts: TwoHosts, served: Running) -> None:
    initialize(hosts)
    with connected(hosts):
        pass
    assert hosts.client.inside(SOCKET).exists(), "sshd leaves it behind"
    refused = hosts.server.execute(recipe("socat-one"), "borks")
    assert refused.returncode == 255
    assert b"remote port forwarding failed for listen path /run/bork/reponame.sock" in refused.stderr
    done = hosts.client.execute(f"{ENVIRONMENT} bork list {URL}", "borkc")
    words = done.stderr.decode()
    assert done.returncode == 2
    assert "Connection refused" in words.splitlines()[-1]
    assert SOCKET in words.splitlines()[-1]
    assert "Traceback" not in words
    hosts.client.must(f"rm {SOCKET}")
    hosts.server.must(recipe("socat-one"), "borks")


def test_sshd_can_remove_what_was_left_behind(hosts: TwoHosts, served: Running) -> None:
    line = "StreamLocalBindUnlink yes"
    assert line in (ROOT / "docs" / "usage" / "pull.md").read_text()
    initialize(hosts)
    hosts.client.restart_sshd(line)
    with connected(hosts):
        pass
    assert hosts.client.inside(SOCKET).exists()
    hosts.server.must(recipe("socat-one"), "borks")


def test_a_server_that_was_killed_can_be_started_again(hosts: TwoHosts) -> None:
    """``unlink-early``: the socket of the first is in the way."""
    with hosts.server.launch(recipe("socat-serve"), "borks") as first:
        ready(hosts, "server")
        first.process.kill()
    assert hosts.server.inside(SOCKET).exists()
    with hosts.server.launch(recipe("socat-serve"), "borks") as second:
        time.sleep(0.5)
        assert second.process.poll() is None
        initialize(hosts)


def test_a_client_whose_line_is_cut_is_told_and_commits_nothing(hosts: TwoHosts, served: Running) -> None:
    hosts.client.must(f"head -c 40000000 /dev/urandom > {SOURCE}/large; chmod 644 {SOURCE}/large")
    initialize(hosts)
    session = connected(hosts)
    slow = f"{ENVIRONMENT} bork create --upload-ratelimit 4000 {URL}::archive {SOURCE}"
    with hosts.client.launch(slow, "borkc") as create:
        deadline = time.monotonic() + 60
        while not list(hosts.server.inside(f"{REPOSITORY}/packs").glob("*/*")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        with session:
            pass
        words = create.words()
        assert create.process.returncode == 2
    assert "Traceback" not in words
    assert "socat" in words
    assert owner_says(hosts, f"bork list --short {REPOSITORY}") == ""
    assert list(hosts.server.inside(f"{REPOSITORY}/sessions").iterdir()) == []


def test_the_server_never_has_the_key_of_what_the_socket_brings(hosts: TwoHosts, served: Running) -> None:
    """As long as the passphrase is typed on the client. In the middle of a backup, every process of the server."""
    hosts.server.must("rm ~/passphrase", "borks")
    hosts.client.must(f"head -c 40000000 /dev/urandom > {SOURCE}/large; chmod 644 {SOURCE}/large")
    initialize(hosts)
    slow = f"{ENVIRONMENT} exec bork create --upload-ratelimit 4000 {URL}::archive {SOURCE}"
    with connected(hosts), hosts.client.launch(slow, "borkc"):
        deadline = time.monotonic() + 60
        while not list(hosts.server.inside(f"{REPOSITORY}/packs").glob("*/*")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        secrets = Repository(hosts.server.inside(REPOSITORY), PASSPHRASE.encode).secrets
        wanted = (PASSPHRASE.encode(), secrets.id_secret, *secrets.epochs)
        found = {host.name: found_in(processes_of(host), wanted) for host in (hosts.client, hosts.server)}
    assert found["bork-client"] == set(wanted), "or this test looks at nothing"
    assert found["bork-server"] == set()
    done = hosts.server.execute(f"BORG_RELOCATED_REPO_ACCESS_IS_OK=yes bork list {REPOSITORY}", "borks")
    assert done.returncode == 2
    assert b"passphrase" in done.stderr


def processes_of(host: Host) -> list[int]:
    """All that run in its network."""
    network = os.readlink(f"/proc/{host.pid}/ns/net")
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            if os.readlink(path / "ns/net") == network:
                found.append(int(path.name))
    assert len(found) > 3
    return found


def found_in(processes: list[int], secrets: tuple[bytes, ...]) -> set[bytes]:
    """Which of them are in the memory of one of these, where its command line and its environment are, too."""
    found = set()
    for process in processes:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
            memory = memory_of(process)
            found |= {secret for secret in secrets if secret in memory}
    return found


# ---- systemd -----------------------------------------------------------------------------------------------------

UNITS = ROOT / "contrib" / "systemd"


@pytest.mark.needs("systemd-socket-activate")
def test_a_socket_of_systemd_serves_one_client_after_the_other(hosts: TwoHosts) -> None:
    with hosts.server.launch(recipe("systemd-activate"), "borks"):
        ready(hosts, "server")
        initialize(hosts)
        hosts.server.must(recipe("socat-one"), "borks")
    restored_is_the_same(hosts)


@pytest.mark.needs("systemd-socket-activate")
def test_the_command_of_the_shipped_unit_serves(hosts: TwoHosts) -> None:
    (command,) = re.findall(
        "^ExecStart=/usr/local/bin/(.*)$", (UNITS / "bork-serve@.service").read_text(), re.MULTILINE
    )
    activate = f"systemd-socket-activate --listen={SOCKET} --accept --inetd --setenv=PATH"
    with hosts.server.launch(f"{activate} {command.replace('/srv/bork', '/run/home/borks')}", "borks"):
        ready(hosts, "server")
        initialize(hosts)
        hosts.server.must(recipe("socat-one"), "borks")
    restored_is_the_same(hosts)


@pytest.mark.needs("systemd-socket-activate")
def test_a_socket_unit_that_does_not_accept_is_told_so(hosts: TwoHosts) -> None:
    activate = recipe("systemd-activate").replace(" --accept", "")
    with hosts.server.launch(activate, "borks") as running:
        ready(hosts, "server")
        hosts.server.execute(f"socat -u OPEN:/dev/null UNIX-CONNECT:{SOCKET}", "borks")
        words = running.words()
    assert running.process.returncode == 2
    assert "Accept=yes" in words


def test_messages_never_get_into_a_connection_that_is_stderr_too(hosts: TwoHosts) -> None:
    """As under an inetd, and in a unit without ``StandardError=``."""
    talkative = recipe("socat-serve").replace("bork serve", "bork serve -v").replace('repo"', 'repo",stderr')
    assert ",stderr" in talkative
    with hosts.server.launch(talkative, "borks"):
        ready(hosts, "server")
        initialize(hosts)
        hosts.server.must(recipe("socat-one"), "borks")


@pytest.mark.needs("systemd-analyze")
def test_systemd_understands_the_shipped_units(hosts: TwoHosts) -> None:
    hosts.server.must("mkdir /run/units")
    for name in ("bork-serve.socket", "bork-serve@.service"):
        # A program that is there: verify looks for it.
        text = (UNITS / name).read_text().replace("/usr/local/bin/bork", f"{PROGRAMS}/bork")
        hosts.server.inside(f"/run/units/{name}").write_text(text)
    enter = "cd /run/units && systemd-analyze"
    assert hosts.server.must(f"{enter} verify ./bork-serve.socket ./bork-serve@.service").strip() == ""
    judged = hosts.server.must(f"{enter} security --offline=yes ./bork-serve@.service")
    (exposure,) = re.findall(r"Overall exposure level.*: ([\d.]+)", judged)
    assert float(exposure) < 1.5


def test_no_place_is_left_as_the_page_writes_it() -> None:
    assert here("bork list /path/to/repo::a /path_to_backup") == f"bork list {REPOSITORY}::a {SOURCE}"
