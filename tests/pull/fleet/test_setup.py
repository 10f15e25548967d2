"""The key that a host gives the server: the line, and how it gets there."""

import base64
import os
import shlex
import subprocess
from pathlib import Path

import pytest

from bork.errors import CommandError, ConnectionClosedWithHint
from bork.pull.fleet import installing, setup
from bork.pull.fleet.hosts import Host
from bork.pull.fleet.setup import PublicKey

RAW = (11).to_bytes(4, "big") + b"ssh-ed25519" + bytes(36)
BLOB = base64.b64encode(RAW).decode()
KEY = PublicKey("ssh-ed25519", BLOB, "bork@server")
NASTY = ["/a b", "/it's", '/"quoted"', "/back\\slash", '/back\\"both', "/$(id)`id`;&|", "/*?[x]", "/ä", "/#", "/'\"'\\"]


def host(*paths: str, **values: object) -> Host:
    return Host("web", "root@web", paths or ("/etc", "/home"), "/r", "a", "a", **values)  # type: ignore[arg-type]  # of a test


def as_sshd_reads(line: str) -> str:
    """The command of a line of authorized_keys: up to the first quote without a backslash."""
    rest = line.partition('command="')[2]
    command = ""
    while not rest.startswith('"'):
        rest = rest.removeprefix("\\") if rest.startswith('\\"') else rest
        command, rest = command + rest[0], rest[1:]
    assert rest == f'" {KEY.type} {KEY.blob} {KEY.comment}'
    return command


# ---- the line ----------------------------------------------------------------------------------------------------


def test_the_line_restricts_and_names_the_paths() -> None:
    line = setup.authorized_line(host(), KEY)
    assert line == f'restrict,command="bork-agent serve --read /etc --read /home" ssh-ed25519 {BLOB} bork@server'


def test_every_path_arrives_at_the_agent_as_it_is() -> None:
    command = as_sshd_reads(setup.authorized_line(host(*NASTY, agent="echo"), KEY))
    assert shlex.split(command) == ["echo", "serve", *(word for path in NASTY for word in ("--read", path))]
    program = command.replace("echo", "printf '%s\\0'", 1)
    said = subprocess.run(["sh", "-c", program], capture_output=True, check=True).stdout.decode()
    assert said.split("\0")[2:-1:2] == NASTY


def test_a_line_that_sshd_would_not_read_is_refused() -> None:
    with pytest.raises(CommandError, match="so many paths"):
        setup.authorized_line(host(*(f"/a/long/path/{number}" for number in range(1000))), KEY)


def test_a_host_that_encrypts_itself_has_no_agent() -> None:
    with pytest.raises(CommandError, match="client-encrypts"):
        setup.authorized_line(host(client_encrypts=True), KEY)


# ---- the key -----------------------------------------------------------------------------------------------------


def test_the_key_is_the_configured_one_or_beside_the_identity_or_the_usual_one() -> None:
    assert setup.public_key_path(host(public_key="/k.pub", ssh_options=("IdentityFile=/i",)), "/home/user") == "/k.pub"
    assert setup.public_key_path(host(ssh_options=("identityfile=~/.ssh/b",)), "/home/user") == "/home/user/.ssh/b.pub"
    assert setup.public_key_path(host(), "/home/user") == "/home/user/.ssh/id_ed25519.pub"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 !!!!",
        f"ssh-rsa {BLOB}",
        f"ssh-dss {BLOB}",
        f'command="x" ssh-ed25519 {BLOB}',
        f"ssh-ed25519 {BLOB}\nssh-ed25519 {BLOB}",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nx",
    ],
)
def test_what_is_no_public_key_is_not_handed_out(text: str) -> None:
    with pytest.raises(CommandError, match=r"/k\.pub holds"):
        setup.parse_public_key(text, "/k.pub")


def test_a_comment_loses_what_a_terminal_obeys() -> None:
    assert setup.parse_public_key(f"ssh-ed25519 {BLOB} a\x1b[2J b\n", "k") == ("ssh-ed25519", BLOB, "a[2J b")


def test_without_a_key_the_error_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"ssh-keygen -t ed25519 -f /.*/id$"):
        setup.read_public_key(str(tmp_path / "id.pub"))


# ---- the installation --------------------------------------------------------------------------------------------


class Remote:
    """A host whose login shell is run here, with a home of its own."""

    def __init__(self, directory: Path, shell: str = "sh") -> None:
        self.home = directory / "remote home"
        self.home.mkdir()
        self.words = directory / "words"
        self.ssh = directory / "ssh"
        self.ssh.write_text(
            f'#!/bin/sh\nprintf "%s\\n" "$@" > {self.words}\n'
            f'for command; do :; done\nHOME={shlex.quote(str(self.home))} exec {shell} -c "$command"\n'
        )
        self.ssh.chmod(0o755)
        self.file = self.home / ".ssh" / "authorized_keys"

    def install(self, one: Host | None = None, key: PublicKey = KEY) -> str:
        one = one or host()
        return installing.install(one, key, setup.authorized_line(one, key), str(self.ssh))

    def write(self, text: str) -> None:
        self.file.parent.mkdir(mode=0o700, exist_ok=True)
        self.file.write_text(text)
        self.file.chmod(0o600)


SHELLS = [pytest.param(name, marks=pytest.mark.needs(name)) for name in ("dash", "bash")]


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return Remote(tmp_path)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_line_is_added_once(tmp_path: Path, shell: str) -> None:
    remote = Remote(tmp_path, shell)
    previous = os.umask(0o022)
    try:
        assert remote.install() == installing.ADDED
    finally:
        os.umask(previous)
    assert remote.file.read_text() == setup.authorized_line(host(), KEY) + "\n"
    assert remote.file.stat().st_mode & 0o777 == 0o600
    assert remote.file.parent.stat().st_mode & 0o777 == 0o700
    assert remote.install() == installing.THERE
    assert remote.file.read_text().count(BLOB) == 1
    assert [path.name for path in remote.file.parent.iterdir()] == ["authorized_keys"]


@pytest.mark.parametrize("others", ["ssh-ed25519 AAAAother me\n", "ssh-ed25519 AAAAother me", "# a\n\n\tx\\n\n", ""])
def test_other_lines_stay_as_they_are(remote: Remote, others: str) -> None:
    remote.write(others)
    inode = remote.file.stat().st_ino
    assert remote.install() == installing.ADDED
    line = setup.authorized_line(host(), KEY) + "\n"
    assert remote.file.read_text() == (others if others.endswith("\n") or not others else f"{others}\n") + line
    assert remote.file.stat().st_ino == inode


@pytest.mark.parametrize("shell", SHELLS)
def test_an_older_line_for_the_same_key_is_replaced(tmp_path: Path, shell: str) -> None:
    remote = Remote(tmp_path, shell)
    remote.write("# kept \\n\nssh-ed25519 AAAAother me\n")
    remote.install(host("/old"))
    with remote.file.open("a") as file:
        file.write("last without an end")
    remote.file.chmod(0o640)
    new = host(*NASTY)
    assert remote.install(new) == installing.REPLACED
    lines = ["# kept \\n", "ssh-ed25519 AAAAother me", "last without an end", setup.authorized_line(new, KEY)]
    assert remote.file.read_text().split("\n") == [*lines, ""]
    assert remote.file.stat().st_mode & 0o777 == 0o640
    assert remote.install(new) == installing.THERE
    assert [path.name for path in remote.file.parent.iterdir()] == ["authorized_keys"]


@pytest.mark.parametrize("options", ["", 'command="/bin/sh" ', "restrict "])
def test_a_key_that_may_do_more_is_not_hidden_behind_a_new_line(remote: Remote, options: str) -> None:
    before = f"{options}ssh-ed25519 {BLOB} me\n"
    remote.write(before)
    with pytest.raises(CommandError, match="already, with another line"):
        remote.install()
    assert remote.file.read_text() == before


def test_a_line_that_is_commented_out_does_not_count(remote: Remote) -> None:
    remote.write(f"#ssh-ed25519 {BLOB} me\n")
    assert remote.install() == installing.ADDED


def test_a_link_stays_a_link(remote: Remote, tmp_path: Path) -> None:
    remote.write("")
    real = tmp_path / "real keys"
    remote.file.rename(real)
    remote.file.symlink_to(real)
    remote.install(host("/old"))
    assert remote.install() == installing.REPLACED
    assert remote.file.is_symlink()
    assert real.read_text() == setup.authorized_line(host(), KEY) + "\n"


def test_nothing_of_the_configuration_is_in_the_command(remote: Remote) -> None:
    remote.install(host(*NASTY))
    words = remote.words.read_text()
    assert words.startswith("--\nroot@web\nexec /bin/sh -c ")
    assert not [path for path in NASTY if path in words]
    assert BLOB not in words


def test_the_login_is_not_made_with_the_key_that_is_handed_out() -> None:
    one = host(ssh_options=("IdentityFile=/k", "Port=22", "identitiesonly=yes"))
    assert installing.command(one, "ssh")[:4] == ["ssh", "-o", "Port=22", "--"]


def test_two_setups_at_a_time_do_not_meet(remote: Remote) -> None:
    remote.write("")
    (remote.file.parent / ".bork-setup").mkdir()
    with pytest.raises(ConnectionClosedWithHint, match="another setup is at work"):
        remote.install()
    assert remote.file.read_text() == ""


@pytest.mark.parametrize(
    ("script", "hint"),
    [
        ("exit 255", "exit code 255"),
        ("echo hello", "no shell"),
        ("echo bork-setup: \x1b[2J", r"\?\[2J"),
        ("cat >/dev/null; echo 'bork-setup: failed to write it'; exit 1", "failed to write it"),
    ],
)
def test_another_answer_is_a_failure(tmp_path: Path, script: str, hint: str) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text(f"#!/bin/sh\n{script}\n")
    ssh.chmod(0o755)
    with pytest.raises(ConnectionClosedWithHint, match=hint):
        installing.install(host(), KEY, "line", str(ssh))


def test_a_full_or_read_only_home_is_told(remote: Remote) -> None:
    remote.file.parent.write_text("a file where the directory should be")
    with pytest.raises(ConnectionClosedWithHint, match="failed to make"):
        remote.install()
