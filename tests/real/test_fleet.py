"""A fleet behind a real sshd: a host sets the key up, is checked, pulled, and gives the key nothing more."""

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bork.pull import bootstrap
from tests.conftest import Bork
from tests.pull.fleet.scene import Scene
from tests.real.sshd import SSHServer

pytestmark = [pytest.mark.needs("sshd", "ssh", "ssh-keygen"), pytest.mark.timeout(400)]

PASSPHRASE = "correct horse battery staple"
NAMES = ("plain", 'a "quoted" one', "it's; $(touch pwned) `x`", "back\\slash")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SSHServer]:
    with SSHServer(tmp_path_factory.mktemp("ssh")) as running:
        yield running


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    directory = tmp_path / "fleet"
    directory.mkdir()
    return Scene(directory)


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    """The agent as an administrator would install it."""
    (packed,) = [path for machine, path in bootstrap.agents().items() if machine == "x86_64"]
    program = tmp_path / "bork-agent"
    program.write_bytes(packed.with_suffix("").read_bytes())
    program.chmod(0o755)
    return program


def test_a_key_that_was_set_up_reads_what_it_may_and_does_nothing_else(
    server: SSHServer, scene: Scene, agent: Path, bork: Bork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [tmp_path / "files" / name for name in NAMES]
    for path in files:
        path.mkdir(parents=True)
        (path / "plan.txt").write_text("a plan")
    scene.fake.write_text(f'#!/bin/sh\nexec {sys.executable} -m bork "$@"\n')
    (scene.directory / "secret").write_text(f"{PASSPHRASE}\n")
    key = server.directory / "restricted"
    scene.write(
        f"""\
        [hosts.web]
        destination = "{server.user}@127.0.0.1"
        repository = "{scene.repositories}/{{name}}"
        paths = [{", ".join(json.dumps(str(path)) for path in files)}]
        agent = "{agent}"
        public-key = "{key}.pub"
        passphrase-file = "{scene.directory}/secret"
        ssh-options = ["Port={server.port}", "IdentityFile={key}"]
        keep-last = 3
        """
    )
    bork("init", "-e", "repokey", scene.repositories / "web")
    monkeypatch.delenv("BORK_PASSPHRASE")

    # The administrator's login is another key; its home is not that of the user who runs the test.
    home = tmp_path / "remote home"
    home.mkdir()
    server.authorize("client", f'command="HOME={shlex.quote(str(home))} sh -c \\"$SSH_ORIGINAL_COMMAND\\""')
    done = scene.run("pull", "--setup", "web", "--apply", BORK_RSH=server.rsh("client"))
    assert done.stdout == "web: the line was added\n", done.stderr
    line = (home / ".ssh" / "authorized_keys").read_text()
    server.authorize("restricted", line.partition(" ssh-ed25519 ")[0])

    # The fleet has that key alone.
    rsh = shlex.join([word for word in shlex.split(server.rsh("restricted")) if word not in ("-i", str(key))])
    done = scene.run("pull", "--check", "web", BORK_RSH=rsh)
    levels = dict(line.split()[:2] for line in done.stdout.splitlines())
    assert {*levels} == {"reach", "versions", "rights", "repository", "space"}, done.stdout
    assert "error" not in levels.values(), done.stdout
    done = scene.run("pull", "--all", BORK_RSH=rsh)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    known = json.loads(scene.run("status", "--json").stdout)["hosts"][0]["last_good"]
    assert (known["nfiles"], known["original_size"]) == (len(NAMES), 6 * len(NAMES))
    assert not list(tmp_path.rglob("pwned"))

    # What it may not: a path beside, a shell.
    (tmp_path / "files" / "other").mkdir()
    scene.write(scene.config.read_text().replace(json.dumps(str(files[0])), json.dumps(str(files[0].parent / "other"))))
    done = scene.run("pull", "--check", "web", BORK_RSH=rsh)
    assert done.returncode == 2
    assert "rights      error" in done.stdout
    words = [*shlex.split(server.rsh("restricted")), "-p", str(server.port), f"{server.user}@127.0.0.1", "echo hello"]
    shell = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert b"hello" not in shell.stdout
