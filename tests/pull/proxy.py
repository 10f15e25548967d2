"""A fake ssh that cuts the line: ``python -m tests.pull.proxy CUT LOG HOST COMMAND`` runs the command on this machine.

``CUT`` is ``none``, ``up:N`` or ``down:N`` (the line ends after N frames of the agent or of the server, both ways at
once), or ``sent:N`` (after N bytes of the program that is sent). ``LOG`` gets a line for each frame: direction, kind,
bytes.
"""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

from tests.pull.speaker import MAGIC

PIECE = 1 << 16


class Way:
    """One direction: how far its bytes may go on."""

    def __init__(self, name: str, frames: int | None, log: Path) -> None:
        self.name, self._left, self._log = name, frames, log
        self._buffer = bytearray()
        self.in_frames = False

    def take(self, data: bytes) -> tuple[bytes, bool]:
        """What goes on of what has come, and whether the line ends behind it."""
        if not self.in_frames:
            return data, False
        self._buffer += data
        out = b""
        while self._left != 0 and len(self._buffer) >= 5:
            length = 5 + int.from_bytes(self._buffer[:4], "little")
            if len(self._buffer) < length:
                break
            with self._log.open("a") as log:
                log.write(f"{self.name} {self._buffer[4]} {length}\n")
            out += self._buffer[:length]
            del self._buffer[:length]
            if self._left is not None:
                self._left -= 1
        return out, self._left == 0


def main(cut: str, log: Path, command: str) -> None:
    what, _, number = cut.partition(":")
    ways = {name: Way(name, int(number) if what == name else None, log) for name in ("up", "down")}
    limit = int(number) if what == "sent" else None
    child = subprocess.Popen(
        ["sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    routes = {0: ("down", child.stdin.fileno()), child.stdout.fileno(): ("up", 1)}
    noise, sent = b"", 0
    ends = int(number or 1) == 0 and what in ways
    while not ends and routes:
        for source in select.select(list(routes), [], [])[0]:
            name, sink = routes[source]
            data = os.read(source, PIECE)
            if not data:
                del routes[source]
                if sink == 1:
                    sys.exit(child.wait())
                child.stdin.close()
                continue
            way = ways[name]
            if name == "up" and not way.in_frames:
                noise += data
                at = noise.find(MAGIC)
                if at >= 0:  # both sides speak in frames from here on
                    for each in ways.values():
                        each.in_frames = True
                    os.write(1, noise[: at + len(MAGIC)])
                    data, noise = noise[at + len(MAGIC) :], b""
                else:
                    whole = noise.rfind(b"\n") + 1
                    os.write(1, noise[:whole])
                    data, noise = b"", noise[whole:]
            elif name == "down" and not way.in_frames:
                room = len(data) if limit is None else max(0, limit - sent)
                sent += len(data)
                ends = ends or (limit is not None and sent > limit)
                data = data[:room]
            out, is_over = way.take(data)
            ends = ends or is_over
            view = memoryview(out)
            try:
                while view:
                    view = view[os.write(sink, view) :]
            except BrokenPipeError:
                ends = True
    # As sshd does when a connection is lost: the pipes are closed, and the session gets SIGHUP.
    child.stdin.close()
    child.stdout.close()
    os.close(1)
    os.killpg(child.pid, signal.SIGHUP)
    child.wait()
    sys.exit(255)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[-1])
