"""Repositories behind a real sshd: forms of locations, exit codes, what a restricted key may do, lines that break."""

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Bork
from tests.real.program import assert_clear, launch
from tests.real.sshd import SSHServer

# Each command starts two programs and ssh; some tests run twenty of them.
pytestmark = [pytest.mark.needs("sshd", "ssh", "ssh-keygen"), pytest.mark.timeout(400)]

PASSPHRASE = "correct horse battery staple"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SSHServer]:
    with SSHServer(tmp_path_factory.mktemp("ssh")) as running:
        yield running


@pytest.fixture(autouse=True)
def settings(server: SSHServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BORK_RSH", server.rsh())
    monkeypatch.setenv("BORK_REMOTE_PATH", str(server.program))
    monkeypatch.setenv("BORK_PASSPHRASE", PASSPHRASE)
    monkeypatch.setenv("BORK_RELOCATED_REPO_ACCESS_IS_OK", "yes")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    tree = tmp_path / "source"
    (tree / "deep").mkdir(parents=True)
    (tree / "text").write_bytes(b"hello\n" * 1000)
    (tree / "deep" / "noise").write_bytes(os.urandom(3 << 20))
    (tree / "link").symlink_to("text")
    return tree


def said(done: subprocess.CompletedProcess[bytes]) -> str:
    assert_clear(done.returncode, done.stderr)
    return os.fsdecode(done.stdout + done.stderr)


# ---- it works ----------------------------------------------------------------------------------------------------


def test_a_repository_behind_ssh_is_as_good_as_a_local_one(
    server: SSHServer, bork: Bork, source: Path, tmp_path: Path
) -> None:
    repository = server.url(server.home / "round trip")
    bork("init", "-e", "repokey", repository)
    assert "already exists" in said(bork("init", "-e", "repokey", repository, exit_code=2))
    bork("create", f"{repository}::one", "source", cwd=tmp_path)
    (source / "new").write_bytes(os.urandom(100_000))
    bork("create", "--stats", f"{repository}::two", "source", cwd=tmp_path)
    assert "already exists" in said(bork("create", f"{repository}::two", "source", cwd=tmp_path, exit_code=2))
    assert bork("list", "--short", repository).stdout.split() == [b"one", b"two"]
    assert b"deep/noise" in bork("list", f"{repository}::one").stdout
    bork("info", repository)
    bork("check", "--verify-data", repository)
    bork("compact", repository)
    target = tmp_path / "target"
    target.mkdir()
    bork("extract", f"{repository}::two", cwd=target)
    subprocess.run(["diff", "-r", "--no-dereference", source, target / "source"], check=True)
    assert "does not exist" in said(bork("extract", f"{repository}::three", cwd=target, exit_code=2))
    assert f"{repository}-2 does not exist" in said(bork("list", f"{repository}-2", exit_code=2))
    assert f"already exists at {repository}." in said(bork("init", "-e", "none", repository, exit_code=2))
    bork("key", "export", repository, tmp_path / "key")
    local = server.home / "round trip"
    assert bork("list", "--short", local).stdout.split() == [b"one", b"two"]
    assert list((local / "sessions").iterdir()) == []
    assert list((local / "tmp").glob("[0-9]*")) == []


def test_every_form_of_a_location_leads_to_the_same_repository(
    server: SSHServer, bork: Bork, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = server.home / "forms"
    bork("init", "-e", "authenticated", server.url(repository))
    wanted = bork("list", "--json", repository).stdout
    identity = [line for line in wanted.splitlines() if b'"id"' in line]
    for url in (
        server.url("/./forms"),
        server.url("/~/forms"),
        server.url(f"{server.home}/../{server.home.name}/forms"),
    ):
        assert [line for line in bork("list", "--json", url).stdout.splitlines() if b'"id"' in line] == identity
    monkeypatch.setenv("BORK_RSH", f"{server.rsh()} -p {server.port}")
    for path in (repository, "forms", "./forms", "~/forms", "/./forms", "/~/forms"):
        url = f"{server.user}@127.0.0.1:{path}"
        assert [line for line in bork("list", "--json", url).stdout.splitlines() if b'"id"' in line] == identity


def test_options_win_over_variables(server: SSHServer, bork: Bork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BORK_RSH", "false")
    monkeypatch.setenv("BORK_REMOTE_PATH", "false")
    repository = server.url(server.home / "options")
    options = ("--rsh", server.rsh(), "--remote-path", server.program)
    bork(*options, "init", "-e", "authenticated", repository)
    bork("list", repository, *options, "--upload-ratelimit", "100000", "--upload-buffer", "10")


def test_a_command_of_a_shell_may_stand_in_the_place_of_ssh(server: SSHServer, bork: Bork, home: Path) -> None:
    """It gets host and command as arguments, and may ignore them."""
    rsh = f"sh -c {shlex.quote(f'exec {shlex.quote(str(server.program))} serve')}"
    bork("--rsh", rsh, "init", "-e", "authenticated", "ssh://anywhere/./by-shell")
    bork("--rsh", rsh, "list", "ssh://elsewhere:99/~/by-shell")
    assert (server.home / "by-shell" / "config").exists()


def test_the_upload_keeps_to_its_rate(server: SSHServer, bork: Bork, source: Path, tmp_path: Path) -> None:
    repository = server.url(server.home / "rate")
    bork("init", "-e", "authenticated", repository)
    started = time.monotonic()
    bork("create", "--upload-ratelimit", "1000", f"{repository}::one", "source", cwd=tmp_path)
    assert time.monotonic() - started > 2.2, "3 MiB at 1000 KiB/s"


def test_the_server_says_how_it_is_confined(server: SSHServer, bork: Bork) -> None:
    repository = server.url(server.home / "confined")
    text = said(bork("-v", "init", "-e", "authenticated", repository))
    assert "Remote: bork serve" in text
    assert "seccomp" in text
    assert "Landlock" in text


# ---- a key with a forced command ---------------------------------------------------------------------------------


@pytest.fixture
def restricted(server: SSHServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The one repository that the key ``restricted`` may use. It is not there yet."""
    name = tmp_path.name
    # The home of the test is not that of its user: `~` is for Bork, as where socat runs it without a shell.
    command = f"{shlex.quote(str(server.program))} serve --append-only --restrict-to-repo '~/{name}'"
    server.authorize("restricted", f'command="{command}",restrict')
    monkeypatch.setenv("BORK_RSH", server.rsh("restricted"))
    return server.home / name


@pytest.fixture
def filled(server: SSHServer, restricted: Path, bork: Bork, source: Path, tmp_path: Path) -> str:
    """Its URL, when it holds an archive."""
    url = server.url(f"/~/{restricted.name}")
    bork("init", "-e", "repokey", url)
    bork("create", f"{url}::one", "source", cwd=tmp_path)
    return url


def snapshot(path: Path) -> dict[str, bytes]:
    return {str(each): each.read_bytes() for each in path.rglob("*") if each.is_file()}


def test_a_restricted_key_makes_and_reads_backups(
    server: SSHServer, filled: str, bork: Bork, source: Path, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    target.mkdir()
    bork("extract", f"{filled}::one", cwd=target)
    subprocess.run(["diff", "-r", "--no-dereference", source, target / "source"], check=True)
    bork("check", filled)


def test_a_restricted_key_destroys_nothing(
    server: SSHServer, restricted: Path, filled: str, bork: Bork, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(restricted)
    for words in (
        ["delete", f"{filled}::one"],
        ["delete", filled],
        ["prune", "--keep-last", "1", filled],
        ["compact", filled],
        ["recreate", f"{filled}::one", "-e", "*/deep"],
        ["rename", f"{filled}::one", "two"],
        ["config", filled, "append_only", "1"],
        ["break-lock", filled],
        ["key", "change-passphrase", filled],
        ["init", "-e", "repokey", filled],
    ):
        monkeypatch.setenv("BORK_NEW_PASSPHRASE", "of an attacker")
        text = said(bork(*words, exit_code=0 if words[0] == "break-lock" else 2))
        assert "only add" in text or "already exists" in text or words[0] == "break-lock", text
    assert snapshot(restricted) == before
    monkeypatch.delenv("BORK_NEW_PASSPHRASE")
    assert bork("list", "--short", restricted).stdout == b"one\n"


def test_a_restricted_key_reaches_nothing_else(server: SSHServer, restricted: Path, filled: str, bork: Bork) -> None:
    other = server.home / f"other of {restricted.name}"
    bork("init", "-e", "authenticated", other)
    before = snapshot(server.home)
    (server.home / f"link to {restricted.name}").symlink_to(other)
    for path in (
        *(other, server.home, "/etc", "/./x", f"/~/{restricted.name}/below", f"/~/{restricted.name}/../{other.name}"),
        *(f"/~/link to {restricted.name}", f"/~/{restricted.name}x", "/~root/repo", "/tmp/x"),
    ):
        assert "path not allowed" in said(bork("list", server.url(path), exit_code=2)), path
    assert "path not allowed" in said(bork("init", "-e", "none", server.url("/~/new"), exit_code=2))
    assert snapshot(server.home) == before


def test_a_restricted_key_gets_no_other_options(
    server: SSHServer, restricted: Path, filled: str, bork: Bork, tmp_path: Path
) -> None:
    before = snapshot(restricted)
    for remote_path in (
        "bork serve --restrict-to-path / --",
        "sh -c id #",
        f"{server.program} serve --storage-quota 10M;",
    ):
        bork("list", filled, "--remote-path", remote_path)
        assert "only add" in said(bork("compact", filled, "--remote-path", remote_path, exit_code=2))
    shell = [*shlex.split(server.rsh("restricted")), "-p", str(server.port), f"{server.user}@127.0.0.1", "id"]
    done = subprocess.run(shell, input=b"id\n", capture_output=True, check=False)
    assert b"uid=" not in done.stdout
    assert done.returncode == 2
    assert snapshot(restricted) == before


# ---- lines that break --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codes", ["legacy", "modern"])
def test_a_key_that_is_not_welcome_is_told_by_ssh(
    server: SSHServer, bork: Bork, monkeypatch: pytest.MonkeyPatch, codes: str
) -> None:
    monkeypatch.setenv("BORK_RSH", server.rsh("stranger"))
    monkeypatch.setenv("BORK_EXIT_CODES", codes)
    text = os.fsdecode(bork("list", server.url("/x"), exit_code=81 if codes == "modern" else 2).stderr)
    assert "Remote: " in text
    assert text.count("Permission denied (publickey)") == 2, "as it was said, and in the error"


def test_a_server_without_bork_is_told_by_its_shell(server: SSHServer, bork: Bork) -> None:
    text = said(bork("list", server.url("/x"), "--remote-path", "no-such-bork", exit_code=2))
    assert "not found" in text
    assert "exit code 127" in text


def test_a_start_up_file_that_prints_is_shown(server: SSHServer, bork: Bork) -> None:
    text = said(bork("list", server.url("/x"), "--remote-path", "echo Welcome aboard;", exit_code=2))
    assert "Welcome aboard" in text


@pytest.mark.parametrize("host", ["-oProxyCommand=touch /tmp/owned", "a b", "$(id)", "`id`", "h;id", "-l"])
def test_a_host_cannot_be_an_option_or_a_command(server: SSHServer, bork: Bork, host: str) -> None:
    for url in (f"ssh://{host}/x", f"{host}:x", f"ssh://{host}@127.0.0.1/x"):
        done = bork("list", url, exit_code=2)
        assert_clear(2, done.stderr)
        assert b"Remote:" not in done.stderr, "nothing was started"


def connected(child: subprocess.Popen[bytes], path: Path) -> None:
    """Wait until a create has a session and has stored something."""
    deadline = time.monotonic() + 60
    while not (list((path / "sessions").glob("*")) and list((path / "packs").glob("*/*"))):
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def slow_create(server: SSHServer, bork: Bork, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path, str]]:
    """A create in the middle of its work: 40 MiB at 4 MiB/s, in packs of 16 MiB."""
    path = server.home / tmp_path.name
    url = server.url(path)
    bork("init", "-e", "repokey", url)
    (tmp_path / "big").write_bytes(os.urandom(40 << 20))
    child = launch("create", "--upload-ratelimit", "6000", f"{url}::one", "big", cwd=tmp_path)
    connected(child, path)
    yield child, path, url
    child.kill()
    child.wait()


def test_a_connection_that_is_cut_commits_nothing_and_is_continued(
    slow_create: tuple[subprocess.Popen[bytes], Path, str], bork: Bork, tmp_path: Path, server: SSHServer
) -> None:
    child, path, url = slow_create
    children = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
    (ssh,) = [int(each) for each in children if Path(f"/proc/{each}/cmdline").read_bytes().startswith(b"ssh")]
    stored = {each.name: each.stat().st_ino for each in (path / "packs").glob("*/*")}
    os.kill(ssh, signal.SIGKILL)
    _, words = child.communicate(timeout=30)
    assert child.returncode == 2
    assert_clear(2, words)
    assert b"ssh was ended by SIGKILL" in words
    assert list((path / "archives").iterdir()) == []
    deadline = time.monotonic() + 20
    while list((path / "sessions").iterdir()):
        assert time.monotonic() < deadline, "the session of a client that is gone lives on"
        time.sleep(0.05)
    bork("create", f"{url}::one", "big", cwd=tmp_path)
    again = {each.name: each.stat().st_ino for each in (path / "packs").glob("*/*")}
    assert again.items() >= stored.items(), "what had arrived is used"
    bork("check", "--verify-data", url)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_create_leaves_no_session_and_no_process(
    slow_create: tuple[subprocess.Popen[bytes], Path, str], number: signal.Signals
) -> None:
    child, path, _ = slow_create
    child.send_signal(number)
    _, words = child.communicate(timeout=30)
    assert child.returncode == 128 + number
    assert_clear(130, words)
    assert list((path / "archives").iterdir()) == []
    deadline = time.monotonic() + 20
    while list((path / "sessions").iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_client_behind_serve_cannot_choose_when_its_archive_arrived(
    server: SSHServer, restricted: Path, filled: str, bork: Bork, source: Path, tmp_path: Path
) -> None:
    """Its archives of next week would be all that ``--keep-daily`` keeps; by arrival they are of today."""
    (head,) = (restricted / "archives").iterdir()
    yesterday_ns = time.time_ns() - 24 * 3600 * 10**9
    os.utime(head, ns=(yesterday_ns, yesterday_ns))
    for day in range(3):
        bork("create", "--timestamp", f"2099-01-0{day + 1}T12:00:00", f"{filled}::lie{day}", "source", cwd=tmp_path)
    rules = ("prune", "--dry-run", "--list", "--keep-daily", "2", restricted)
    assert "Would prune:" in (text := said(bork(*rules)))
    assert next(line for line in text.splitlines() if " one " in line).startswith("Would prune:")
    text = said(bork(*rules, "--by-arrival"))
    assert "2099" not in text
    assert next(line for line in text.splitlines() if " one " in line).startswith("Keeping archive (rule: daily")
    remote = said(bork("prune", "--dry-run", "--list", "--keep-daily", "2", "--by-arrival", filled))
    verdicts = [line for line in text.splitlines() if line.endswith("]")]
    assert [line for line in remote.splitlines() if line in verdicts] == verdicts, "from elsewhere it is the same"
