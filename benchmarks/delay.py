"""A distance: runs a command and delays each direction of its stdin and stdout by half a round trip.

    BORK_RSH="python3 benchmarks/delay.py --ms 200 --count /tmp/turns ssh" bork list ssh://host/repo

What is under way is not limited, so data that is sent ahead costs one delay and no throughput. ``--count`` adds a line
to a file: how often the client has spoken after it had heard something, which is the number of round trips that it
waited for, one after the other (with a delay that is longer than what it computes in between).
"""

import argparse
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable

PIECE = 1 << 18  # bytes of one read
PIPE_LENGTH = 1 << 20  # bytes
F_SETPIPE_SZ = 1031  # fcntl.h of Linux


class Turns:
    """Counts changes of who speaks."""

    def __init__(self) -> None:
        self.count, self._heard = 0, True
        self._lock = threading.Lock()

    def spoke(self) -> None:
        with self._lock:
            self.count += self._heard
            self._heard = False

    def heard(self) -> None:
        with self._lock:
            self._heard = True


class Direction:
    """Bytes of one direction, and when each piece may arrive; memory is what the distance holds."""

    def __init__(self, read_fd: int, write_fd: int, delay_s: float) -> None:
        self._read_fd, self._write_fd, self._delay_s = read_fd, write_fd, delay_s
        self._under_way: deque[tuple[float, bytes]] = deque()
        self._changed = threading.Condition()

    def start(self, spoke: Callable[[], None], arrived: Callable[[], None]) -> threading.Thread:
        threading.Thread(target=self._take, args=(spoke,), daemon=True).start()
        thread = threading.Thread(target=self._give, args=(arrived,), daemon=True)
        thread.start()
        return thread

    def _take(self, spoke: Callable[[], None]) -> None:
        while True:
            try:
                data = os.read(self._read_fd, PIECE)
            except OSError:
                data = b""
            if data:
                spoke()
            with self._changed:
                self._under_way.append((time.monotonic() + self._delay_s, data))
                self._changed.notify()
            if not data:
                return

    def _give(self, arrived: Callable[[], None]) -> None:
        while True:
            with self._changed:
                while not self._under_way:
                    self._changed.wait()
                due, data = self._under_way.popleft()
            time.sleep(max(0.0, due - time.monotonic()))
            if not data:
                os.close(self._write_fd)
                return
            arrived()
            try:
                while data:
                    data = data[os.write(self._write_fd, data) :]
            except OSError:
                return


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ms", type=float, required=True, help="of a round trip")
    parser.add_argument("--count", metavar="FILE", help="append the number of turns")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    chosen = parser.parse_args()
    child = subprocess.Popen(chosen.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pipesize=PIPE_LENGTH)
    assert child.stdin is not None
    assert child.stdout is not None
    turns, half_s = Turns(), chosen.ms / 2000
    there = Direction(sys.stdin.fileno(), os.dup(child.stdin.fileno()), half_s)
    child.stdin.close()
    back = Direction(child.stdout.fileno(), os.dup(sys.stdout.fileno()), half_s)
    there.start(turns.spoke, lambda: None)
    back.start(lambda: None, turns.heard).join()
    code = child.wait()
    if chosen.count:
        with open(chosen.count, "a") as file:
            file.write(f"{turns.count}\n")
    os._exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    sys.exit(main())
