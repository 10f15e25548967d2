"""Start ``bork`` very often: a process that has imported it once, and forks for each command.

Each command is a process of its own, which can be killed at any instant, and runs what ``python -m bork`` runs after
its imports; so almost every instant of its life is one at which it does something. With ``anew`` it is a whole
``python -m bork``. This file is both sides: ``Forker`` for the tests, and the program that it starts.
"""

import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

HUNG_S = 60.0  # on the busiest machine no command of these tests takes as long


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    words: tuple[str, ...]
    code: int  # negative: the signal that ended it
    seconds: float
    out: str
    err: str

    @property
    def was_killed(self) -> bool:
        """Whether it was still running at the instant at which it was to be killed."""
        return self.code == -signal.SIGKILL


class Hung(Exception):
    """A command did not end."""


class Forker:
    """Runs commands one after another, in one directory and one environment. ``scratch`` is new, and for it alone."""

    def __init__(self, scratch: Path, cwd: Path, env: Mapping[str, str]) -> None:
        scratch.mkdir()
        self._scratch = scratch
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__)), str(scratch)],
            cwd=cwd,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def run(
        self, *words: str | Path, kill_after_s: float | None = None, anew: bool = False, cwd: Path | None = None
    ) -> Result:
        """Run one command; SIGKILL ends it after ``kill_after_s`` unless it has ended before. Raises: Hung."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        command = [str(word) for word in words]
        question = {"words": command, "kill_after_s": kill_after_s, "anew": anew, "cwd": cwd and str(cwd)}
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        said = [(self._scratch / name).read_bytes().decode("utf-8", "surrogateescape") for name in ("out", "err")]
        if answer["hung"]:
            raise Hung(f"{command} does not end: {said}")
        return Result(tuple(command), answer["code"], answer["seconds"], *said)


# ---- the other side ----------------------------------------------------------------------------------------------


def _serve(scratch: str) -> None:
    _import_everything()
    for line in sys.stdin.buffer:
        question = json.loads(line)
        started = time.monotonic()
        child = os.fork()
        if child == 0:
            _be_bork(question["words"], scratch, question["cwd"], anew=question["anew"])
        after_s = question["kill_after_s"]
        hung = not _has_ended(child, HUNG_S if after_s is None else after_s)
        if hung:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        answer = {
            "code": os.waitstatus_to_exitcode(status),
            "seconds": time.monotonic() - started,
            "hung": hung and after_s is None,
        }
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _import_everything() -> None:
    for name in ("bork.cli", "bork.operations", "bork.crypto", "bork.storage"):
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, name + "."):
            importlib.import_module(module.name)


def _has_ended(child: int, within_s: float) -> bool:
    descriptor = os.pidfd_open(child)
    try:
        return bool(select.select([descriptor], [], [], within_s)[0])
    finally:
        os.close(descriptor)


def _be_bork(words: Sequence[str], scratch: str, cwd: str | None, *, anew: bool) -> None:
    for descriptor, name in ((1, "out"), (2, "err")):
        file = os.open(f"{scratch}/{name}", os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
        os.dup2(file, descriptor)
        os.close(file)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    if cwd is not None:
        os.chdir(cwd)
    if anew:
        os.execv(sys.executable, [sys.executable, "-m", "bork", *words])
    sys.argv = ["bork", *words]
    code = 70
    try:
        runpy.run_module("bork", run_name="__main__")
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve(sys.argv[1])
