"""What is backed up goes away in the middle: the process behind a real sshfs is killed while ``create`` reads."""

import os
import re
import signal
from pathlib import Path

import pytest

from tests.conftest import Bork
from tests.real.disks import run, unmount
from tests.real.program import launch, measured

pytestmark = [pytest.mark.needs("root", "sshfs"), pytest.mark.timeout(200)]

SFTP_SERVER = "/usr/lib/openssh/sftp-server"
FILES = 2000


@pytest.fixture
def client(tmp_path: Path) -> Path:
    tree = tmp_path / "client"
    for number in range(FILES):
        path = tree / f"{number // 100:02d}" / f"{number % 100:02d}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d " % number * 1000)
    return tree


def mount(client: Path, point: Path, pid: Path) -> None:
    """``pid``: gets the number of the process at the other end."""
    ssh = point.with_name("ssh")
    ssh.write_text(f"#!/bin/sh\necho $$ >{pid}\nexec {SFTP_SERVER}\n")
    ssh.chmod(0o755)
    point.mkdir(exist_ok=True)
    run("sshfs", "-F", "none", "-o", f"ssh_command={ssh}", f"root@host:{client}", point)


def create_and_cut(pid: Path, *words: str | Path, verb: str = "create") -> tuple[int, str]:
    """Code and last line of a backup whose source is cut when the first file has been read."""
    with launch(verb, "--list", *words) as child:
        assert child.stderr is not None
        first = child.stderr.readline()
        while b"00/" not in first:
            first = child.stderr.readline()
        os.kill(int(pid.read_text()), signal.SIGKILL)
        said = child.stderr.read().decode().splitlines()
    return child.returncode, said[-1]


def test_a_file_system_of_a_client_that_goes_away_leaves_no_archive_of_a_pull(
    bork: Bork, client: Path, tmp_path: Path
) -> None:
    repository, point, pid = tmp_path / "repository", tmp_path / "mnt", tmp_path / "pid"
    bork("init", "-e", "none", repository)
    mount(client, point, pid)
    try:
        words = ("--rsh", "sh -c 'eval \"$2\"' sh", f"client:{point}", f"{repository}::one")
        code, last = create_and_cut(pid, *words, verb="pull")
    finally:
        unmount(point)
    assert code == 2
    assert "went away while it was backed up" in last
    assert bork("list", repository).stdout == b""


@pytest.mark.parametrize("way", ["--root", "path"])
def test_a_file_system_that_goes_away_leaves_no_archive(way: str, bork: Bork, client: Path, tmp_path: Path) -> None:
    repository, point, pid = tmp_path / "repository", tmp_path / "mnt", tmp_path / "pid"
    bork("init", "-e", "none", repository)
    words = ("--root", point, f"{repository}::one", "/") if way == "--root" else (f"{repository}::one", point)
    mount(client, point, pid)
    try:
        code, last = create_and_cut(pid, *words)
        assert code == 2
        assert re.fullmatch(rf"{re.escape(str(point))}/? went away during the backup: .*repeat the backup.*", last)
        assert bork("list", repository).stdout == b""
    finally:
        unmount(point)
    mount(client, point, pid)
    try:
        ended = measured("create", *words)
    finally:
        unmount(point)
    assert ended.code in (0, 1), ended.says()
    listed = bork("list", "--format", "{type}{NL}", f"{repository}::one").stdout
    assert listed.split().count(b"-") == FILES
