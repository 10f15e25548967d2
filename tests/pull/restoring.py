"""A server of a push that says whatever it is told to: written from docs/protocol.md, without the encoders of Bork."""

import os
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tests.real.hostile.wire import pack_value, varint

AGENT = Path(__file__).parents[2] / "src" / "bork" / "pull" / "agents" / f"bork-agent-{os.uname().machine}"
MAGIC = b"\x00BORKA1\n"
DONE, FAULT, RESTORE_PLAN, ENTRIES, CONTENT, ENTRIES_END, WANTED, PROBLEMS = 8, 9, 24, 25, 26, 27, 28, 29
NUMERIC_IDS, XATTRS, ACLS, FLAGS, DRY_RUN = 1, 2, 4, 8, 16
EVERYTHING = XATTRS | ACLS | FLAGS


def open_frame(plain: bytes) -> bytes:
    """The body of a frame that could be compressed, and is not."""
    return b"\0" + varint(len(plain)) + plain


def entry(path: bytes, body: bytes, size: int = 0) -> bytes:
    return pack_value((path, size, body))


def data(content: bytes) -> bytes:
    """Runs of at most 1 MiB."""
    pieces = (content[at : at + (1 << 20)] for at in range(0, len(content), 1 << 20))
    return b"".join(b"\2" + varint(len(piece)) + piece for piece in pieces)


def hole(length: int) -> bytes:
    return b"\1" + varint(length)


LEFT_OUT = b"\0"


class Agent:
    """A running ``bork-agent serve``."""

    def __init__(self, *options: str | Path, before: Sequence[str] = ()) -> None:
        self.process = subprocess.Popen(
            [*before, AGENT, "serve", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._in, self._out = self.process.stdin, self.process.stdout
        assert self._out.read(len(MAGIC)) == MAGIC
        assert self.hear()[0] == 1

    def say(self, kind: int, body: bytes) -> None:
        """An agent that has had enough takes nothing more."""
        try:
            self._in.write(struct.pack("<IB", len(body), kind) + body)
            self._in.flush()
        except BrokenPipeError:
            pass

    def hear(self) -> tuple[int, bytes]:
        """The next frame; (0, b"") at the end of the line."""
        head = self._out.read(5)
        if len(head) < 5:
            return 0, b""
        length, kind = struct.unpack("<IB", head)
        return kind, self._out.read(length)

    def plan(self, target: Path | bytes, flags: int = EVERYTHING) -> None:
        self.say(RESTORE_PLAN, pack_value((os.fsencode(target), flags)))

    def entries(self, *entries: bytes) -> None:
        self.say(ENTRIES, open_frame(b"".join(entries)))

    def content(self, *runs: bytes) -> None:
        self.say(CONTENT, open_frame(b"".join(runs)))

    def end(self) -> dict[int, list[bytes]]:
        """Say that all was said; what is heard until the line ends, by kind."""
        self.say(ENTRIES_END, b"")
        return self.rest()

    def rest(self) -> dict[int, list[bytes]]:
        heard: dict[int, list[bytes]] = {}
        self.hang_up()
        while (frame := self.hear())[0]:
            heard.setdefault(frame[0], []).append(frame[1])
        self.process.wait(60)
        return heard

    def hang_up(self) -> None:
        try:
            self._in.close()
        except BrokenPipeError:
            pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            try:
                stream.close()
            except BrokenPipeError:
                pass


def said(frames: dict[int, list[bytes]], kind: int) -> bytes:
    return b"".join(frames.get(kind, []))


def refusal(frames: dict[int, list[bytes]]) -> bytes:
    """Why the agent ended early: it must have said so."""
    assert FAULT in frames, frames
    assert DONE not in frames
    return said(frames, FAULT)
