"""What a server cannot do any more, tried in a process of its own, for it is for good."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bork.server.confinement import Confinement

SCRIPT = """
import ctypes, json, os, socket, subprocess, sys
from bork.core import digest
from bork.server.confinement import Confinement
home, fences, repository = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
libc = ctypes.CDLL(None, use_errno=True)
before = os.open(home + "/before", os.O_WRONLY | os.O_CREAT)
confinement = Confinement()
confinement.begin(fences)
def opened(path):
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT))
def system_call(number, *arguments):
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "")
TRIES = {
    "write the repository": lambda: opened(repository + "/tmp/new"),
    "link within the repository": lambda: os.link(repository + "/tmp/new", repository + "/packs/new"),
    "rename within the repository": lambda: os.rename(repository + "/tmp/new", repository + "/packs/other"),
    "unlink in the repository": lambda: os.unlink(repository + "/packs/new"),
    "make a directory in the repository": lambda: os.mkdir(repository + "/made"),
    "read elsewhere": lambda: open("/etc/passwd").read(),
    "hash with threads": lambda: digest(bytes(1 << 22)),
    "write to what was open": lambda: os.write(before, b"x"),
    "write beside it": lambda: opened(home + "/beside"),
    "write to the file system": lambda: opened(home + "/../outside"),
    "truncate beside it": lambda: os.truncate(home + "/here", 0),
    "unlink beside it": lambda: os.unlink(home + "/here"),
    "make a directory beside it": lambda: os.mkdir(home + "/made"),
    "link out of it": lambda: os.link(repository + "/packs/other", home + "/out"),
    "rename out of it": lambda: os.rename(repository + "/packs/other", home + "/out"),
    "make a symbolic link": lambda: os.symlink("/", repository + "/tmp/root"),
    "make a fifo": lambda: os.mkfifo(repository + "/tmp/fifo"),
    "start a program": lambda: subprocess.run(["true"]),
    "start a program by itself": lambda: os.execv("/bin/true", ["true"]),
    "fork": os.fork,
    "open a socket": lambda: socket.socket(),
    "open a socket of Unix": lambda: socket.socketpair(),
    "trace": lambda: system_call(101 if os.uname().machine == "x86_64" else 117, 16, os.getppid(), 0, 0),
    "use io_uring": lambda: system_call(425, 8, ctypes.create_string_buffer(120)),
    "make a namespace": lambda: system_call(272 if os.uname().machine == "x86_64" else 97, 0x10000000),
}
def tried(stage):
    for what, attempt in TRIES.items():
        try:
            attempt()
            done = "done"
        except OSError as fault:
            done = type(fault).__name__
        print(json.dumps([stage, what, done]), flush=True)
tried("begun")
confinement.to_repository(repository)
TRIES = {"write the repository": TRIES["write the repository"], "write another": lambda: opened(home + "/other/x")}
tried("opened")
"""
ALLOWED = (
    *("write the repository", "link within the repository", "rename within the repository", "unlink in the repository"),
    *("make a directory in the repository", "read elsewhere", "hash with threads", "write to what was open"),
)


@pytest.fixture
def inner(tmp_path: Path) -> Path:
    """A directory that has a place of this test alone around it: what gets out is seen, and meets no other test."""
    return tmp_path / "inner"


def run(home: Path, fences: list[str]) -> dict[tuple[str, str], str]:
    repository = home / "repo"
    for name in ("repo/tmp", "repo/packs", "other"):
        (home / name).mkdir(parents=True)
    (home / "here").write_bytes(b"content")
    command = [sys.executable, "-c", SCRIPT, str(home), json.dumps(fences), str(repository)]
    done = subprocess.run(command, capture_output=True, check=True)
    return {(stage, what): result for stage, what, result in map(json.loads, done.stdout.splitlines())}


def landlock() -> bool:
    confinement = Confinement()
    return confinement._landlock_abi() >= 2


@pytest.mark.skipif(not landlock(), reason="needs a kernel with Landlock")
def test_a_confined_process_writes_nowhere_else_and_starts_nothing(inner: Path) -> None:
    results = run(inner, [str(inner / "repo"), str(inner / "other")])
    for (stage, what), result in results.items():
        is_allowed = what in ALLOWED
        assert (result == "done") is is_allowed, (stage, what, result)
    assert (inner / "here").read_bytes() == b"content"
    assert not (inner.parent / "outside").exists()
    assert ("opened", "write another") in results


@pytest.mark.skipif(not landlock(), reason="needs a kernel with Landlock")
def test_without_fences_the_repository_that_was_opened_is_the_fence(inner: Path) -> None:
    results = run(inner, [])
    assert results["begun", "write beside it"] == "done"
    assert results["begun", "write to the file system"] == "done"
    assert (inner.parent / "outside").exists()
    assert results["opened", "write the repository"] == "done"
    assert results["opened", "write another"] == "PermissionError"
    for what in ("start a program", "fork", "open a socket"):
        assert results["begun", what] != "done"


@pytest.mark.skipif(not landlock(), reason="needs a kernel with Landlock")
def test_a_fence_that_is_not_there_yet_is_its_nearest_directory(inner: Path) -> None:
    results = run(inner, [str(inner / "repo" / "deep" / "new")])
    assert results["begun", "write the repository"] == "done"
    assert results["begun", "write beside it"] == "PermissionError"


def test_what_holds_is_said() -> None:
    script = (
        "from bork.server.confinement import Confinement as C; c = C(); c.begin(['/nowhere/x']); print(c.description)"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout.decode()
    assert "seccomp" in said
    assert "Landlock" in said
