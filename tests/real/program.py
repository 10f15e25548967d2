"""``bork`` as a process that can be watched: memory, time, signals, other users, limits. And what it may say."""

import ctypes
import json
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

BORK = (sys.executable, "-m", "bork")
MIB = 1 << 20
PR_SET_SECUREBITS, SECBIT_NOROOT_LOCKED, PR_SET_NO_NEW_PRIVS = 28, 3, 38
CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")  # all but tab and newline


@dataclass(frozen=True)
class Ended:
    """How a process ended, and what it needed."""

    code: int
    out: bytes
    err: bytes
    seconds: float
    peak_bytes: int

    def says(self) -> str:
        """Both outputs, for messages and searches."""
        return os.fsdecode(self.out + b"\n" + self.err)


def launch(
    *arguments: str | bytes | Path,
    cwd: Path | None = None,
    stdin: int = subprocess.DEVNULL,
    stdout: int | IO[bytes] = subprocess.PIPE,
    before: Callable[[], None] | None = None,
) -> subprocess.Popen[bytes]:
    """Start ``bork``; it is not waited for. ``before`` runs in it."""
    return subprocess.Popen(
        [*BORK, *arguments],
        cwd=cwd,
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        preexec_fn=before,  # noqa: PLW1509 (it only makes system calls)
    )


def measured(
    *arguments: str | bytes | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    limits: Mapping[int, int] | None = None,
    before: Callable[[], None] | None = None,
    timeout_s: float = 60,
) -> Ended:
    """Run ``bork`` below ``limits`` (as ``{resource.RLIMIT_AS: bytes}``), with its peak memory. ``before`` runs in it.

    Outputs go to files, so that a process that says much is not slowed down by its reader.
    """

    def prepare() -> None:
        for limit, value in (limits or {}).items():
            resource.setrlimit(limit, (value, value))
        if before is not None:
            before()

    with open(os.memfd_create("out"), "w+b") as out, open(os.memfd_create("err"), "w+b") as err:
        started = time.monotonic()
        child = subprocess.Popen(
            [*BORK, *arguments],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            preexec_fn=prepare,  # noqa: PLW1509 (it only makes system calls)
        )
        peak_kib = _wait(child, started + timeout_s)
        seconds = time.monotonic() - started
        out.seek(0)
        err.seek(0)
        return Ended(child.returncode, out.read(), err.read(), seconds, peak_kib << 10)


def _wait(child: subprocess.Popen[bytes], deadline: float) -> int:
    """Wait for the end; the peak memory that was seen, in KiB. What rusage says is no use: it includes its parent's."""
    peak_kib = 0
    while child.poll() is None:
        try:
            status = Path(f"/proc/{child.pid}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        peak_kib = max(peak_kib, int(found[1]) if found else 0)
        if time.monotonic() > deadline:
            child.kill()
            child.wait()
            raise AssertionError("bork does not end: it was killed after its time")
        time.sleep(0.003)
    return peak_kib


SESSION = """
import json, os, re, sys, time
from bork.cli.main import main
for number, words in enumerate(json.loads(sys.argv[1])):
    for descriptor, name in ((1, "out"), (2, "err")):
        file = os.open(f"{sys.argv[2]}/{number}.{name}", os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
        os.dup2(file, descriptor)
        os.close(file)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak begins anew
    started = time.monotonic()
    code = main(words)
    seconds = time.monotonic() - started
    sys.stdout.flush()
    sys.stderr.flush()
    peak = re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]
    with open(f"{sys.argv[2]}/{number}.end", "w") as file:
        file.write(f"{code} {seconds} {peak}")
"""


def session(
    commands: Sequence[Sequence[str]], directory: Path, *, cwd: Path, limits: Mapping[int, int], timeout_s: float
) -> list[Ended]:
    """Several commands in one process, which saves most of the time that small ones take. ``directory`` is new.

    Raises: AssertionError, if it ends before all commands have, or takes longer.
    """

    def prepare() -> None:
        for limit, value in limits.items():
            resource.setrlimit(limit, (value, value))

    directory.mkdir()
    child = subprocess.Popen(
        [sys.executable, "-c", SESSION, json.dumps(commands), directory],
        cwd=cwd,
        preexec_fn=prepare,  # noqa: PLW1509 (it only makes system calls)
    )
    try:
        child.wait(timeout_s)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    ended = []
    for number, words in enumerate(commands):
        out, err, end = (directory / f"{number}.{name}" for name in ("out", "err", "end"))
        said = err.read_bytes() if err.exists() else b""
        assert end.exists(), (
            f"{words} did not end, or the process died: {child.returncode}\n{os.fsdecode(said[-3000:])}"
        )
        code, seconds, peak_kib = end.read_text().split()
        ended.append(Ended(int(code), out.read_bytes(), said, float(seconds), int(peak_kib) << 10))
    return ended


def without_privilege() -> None:
    """For ``before``: root becomes an ordinary user. The number stays 0, so that it still reaches its own Python."""
    libc = ctypes.CDLL(None, use_errno=True)
    for option, value in ((PR_SET_SECUREBITS, SECBIT_NOROOT_LOCKED), (PR_SET_NO_NEW_PRIVS, 1)):
        if libc.prctl(option, value, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


def assert_clear(code: int, err: bytes, what: object = "") -> None:
    """An end that a user can understand: no traceback, no panic, no words of our inside; a reason where one is due."""
    text = os.fsdecode(err)
    for inside in (
        "Traceback",
        "panicked",
        "InternalError",
        "internal error",
        "Internal error",
        "unwrap",
        "bug in Bork",
    ):
        assert inside not in text, f"{what}: {text}"
    assert code in (0, 1, 2, 130, 143), f"{what}: exit code {code}: {text}"
    if code:
        assert text.strip(), f"{what}: exit code {code}, and not a word"
    assert not CONTROL.search(err), f"{what}: control characters on stderr: {err!r}"
