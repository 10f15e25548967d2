"""Wall time, CPU time and peak memory of one command, and the state of the machine around it."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

RUNNER = Path(__file__).with_name("runner.py")
DEFAULT_TIMEOUT = 3600.0  # seconds
READ_BLOCK = 1 << 20  # bytes


class CommandError(Exception):
    """A command ended with a code other than 0; the message has the end of what it said."""


@dataclass(frozen=True)
class Command:
    """One command line, complete: what it needs beside its arguments is here too."""

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path


@dataclass(frozen=True)
class Sample:
    """What one run of a command used. The CPU is that of all its threads and children, waited for or orphaned."""

    wall: float  # seconds
    cpu: float  # seconds, user + system
    peak: int  # bytes, ru_maxrss of the largest process
    repository: int = 0  # bytes, after the command


def measure(command: Command, scratch: Path, timeout: float = DEFAULT_TIMEOUT) -> Sample:
    """Run the command with its output in scratch/stdout and scratch/stderr."""
    scratch.mkdir(parents=True, exist_ok=True)
    request = {
        "argv": list(command.argv),
        "env": dict(command.env),
        "cwd": str(command.cwd),
        "stdout": str(scratch / "stdout"),
        "stderr": str(scratch / "stderr"),
        "timeout": timeout,
    }
    runner = subprocess.run(
        [sys.executable, "-I", "-S", str(RUNNER)],
        check=False,
        input=json.dumps(request),
        capture_output=True,
        text=True,
    )
    if runner.returncode != 0:
        raise CommandError(f"the runner failed: {runner.stderr.strip()}")
    used = json.loads(runner.stdout)
    if used["code"] != 0:
        said = last_words(scratch / "stderr") or last_words(scratch / "stdout")
        raise CommandError(f"{' '.join(command.argv[:4])} ...: exit {used['code']}: {said}")
    return Sample(wall=used["wall"], cpu=used["user"] + used["system"], peak=used["peak_kib"] * 1024)


def last_words(path: Path, length: int = 400) -> str:
    return path.read_text(errors="replace").strip()[-length:].replace("\n", " | ")


def settle() -> None:
    """Write out what earlier commands left dirty, so that nobody pays for somebody else."""
    os.sync()


def warm(tree: Path) -> None:
    """Bring every file below tree, and its metadata, into the page cache."""
    for directory, _, names in os.walk(tree):
        for name in names:
            path = os.path.join(directory, name)
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb", buffering=0) as file:
                    while file.read(READ_BLOCK):
                        pass


def size_of(tree: Path) -> int:
    """Sum of the lengths of all files below tree, in bytes."""
    return sum(
        os.lstat(os.path.join(directory, name)).st_size for directory, _, names in os.walk(tree) for name in names
    )
