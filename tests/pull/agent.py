"""The real agent, spoken to over pipes, by a server that may say anything."""

import os
import re
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bork.pull.bootstrap import agents
from tests.pull import speaker
from tests.pull.speaker import HELLO, MAGIC, Frame, Line

MACHINE = os.uname().machine


def program() -> Path:
    """The agent of this machine."""
    return agents()[MACHINE].with_suffix("")


@dataclass(frozen=True, slots=True)
class Ended:
    """How an agent ended."""

    code: int
    said: str  # on stderr
    frames: list[Frame]  # after the hello
    peak_bytes: int

    def fault(self) -> str:
        """The words of its fault, if it sent one."""
        return next((frame.body.decode() for frame in self.frames if frame.kind == speaker.FAULT), "")


class RealAgent:
    """``bork-agent serve`` with some options. ``before``: words in front of the command, as ``strace``."""

    def __init__(self, *options: str | Path, before: Sequence[str | Path] = (), cwd: Path | None = None) -> None:
        self.child = subprocess.Popen(
            [*before, program(), "serve", *options],
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.line = Line(self.child.stdout.fileno(), self.child.stdin.fileno())
        self._peak_kib = 0
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        for stream in (self.child.stdin, self.child.stdout, self.child.stderr):
            assert stream is not None
            stream.close()

    def _look(self) -> None:
        """What rusage says includes the memory of the parent, before exec."""
        while self.child.poll() is None:
            try:
                status = Path(f"/proc/{self.child.pid}/status").read_text()
            except OSError:
                break
            if "bork-agent" in status.partition("\n")[0]:
                found = re.search(r"VmHWM:\s+(\d+) kB", status)
                self._peak_kib = max(self._peak_kib, int(found[1]) if found else 0)
            time.sleep(0.005)

    def greeted(self) -> Self:
        """Hears its hello."""
        assert self.line.take(len(MAGIC)) == MAGIC
        assert self.line.receive().kind == HELLO
        return self

    def say(self, data: bytes) -> None:
        """All that it takes."""
        try:
            self.line.send(data)
        except BrokenPipeError:
            pass

    def hang_up(self) -> None:
        assert self.child.stdin is not None
        self.child.stdin.close()

    def finish(self, *, hang_up: bool = True, timeout_s: float = 30) -> Ended:
        """Hears all that it says, until its end."""
        if hang_up:
            self.hang_up()
        try:
            frames = self.line.rest()
        except speaker.Malformed:
            frames = []
        code = self.child.wait(timeout_s)
        self._watch.join()
        assert self.child.stderr is not None
        said = self.child.stderr.read().decode()
        return Ended(code, said, frames, self._peak_kib << 10)
