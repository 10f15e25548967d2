"""A repository of many chunks: how long it takes to open, and how much memory compaction needs.

    python3 benchmarks/chunks.py --work /var/tmp/bork-chunks --chunks 10000000

Two archives of one file each, cut into blocks of 64 bytes; the second shares half of its blocks with the first. Then
the first one is deleted, and its space freed. Exit code 1: a bound was missed.

Tables of the index are mapped from the cache, and their pages count as the process's while they are mapped, although
they are page cache, which the kernel takes back when it wants to. So the memory that is a process's own is shown, too.
"""

import argparse
import os
import shutil
import sys
import threading
from pathlib import Path

from compare import given_peers, say, scratch
from measure import Sample, measure, settle
from programs import Bork, find

BLOCK = 64  # bytes; the shortest that a chunker cuts
OPEN_MAX_S = 1.0  # beside the key derivation and the start of Python
MEMORY_MAX = 300 << 20
SAMPLE_S = 0.02  # between two looks at the memory of the processes


class OwnMemory(threading.Thread):
    """The largest anonymous memory that one of our descendants has, looked at again and again."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0  # bytes
        self._done = threading.Event()

    def run(self) -> None:
        while not self._done.wait(SAMPLE_S):
            self.peak = max([self.peak, *(anonymous(child) for child in descendants(os.getpid()))])

    def stop(self) -> int:
        self._done.set()
        self.join()
        return self.peak


def descendants(process: int) -> list[int]:
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{process}/task"):
            children = Path(f"/proc/{process}/task/{thread}/children").read_text().split()
            found += [int(child) for child in children]
    except OSError:
        return []
    return found + [further for child in found for further in descendants(child)]


def anonymous(process: int) -> int:
    """In bytes; 0 if the process has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon:")), 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--chunks", type=int, default=10_000_000)
    parser.add_argument("--peer", action="append", default=[], metavar="bork=PATH")
    chosen = parser.parse_args()
    work = scratch(chosen.work)
    binary = find("bork", given_peers(chosen.peer))
    if binary is None:
        sys.exit("bork was not found on PATH nor by --peer")
    bork = Bork(binary, work / "bork")
    shutil.rmtree(bork.home, ignore_errors=True)
    bork.home.mkdir(parents=True)
    output, source, empty = work / "output", work / "source", work / "empty"
    for directory in (source, empty):
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
    for command in bork.init():
        measure(command, output)
    print("| what | wall s | CPU s | peak MiB | of its own |\n|---|---:|---:|---:|---:|")
    own: list[int] = []

    def timed(what: str, *words: str | Path, cwd: Path = source) -> Sample:
        settle()
        memory = OwnMemory()
        memory.start()
        sample = measure(bork.command(*words, cwd=cwd), output)
        own.append(memory.stop())
        numbers = f"{sample.wall:.2f} | {sample.cpu:.2f} | {sample.peak / 2**20:.0f} | {own[-1] / 2**20:.0f}"
        print(f"| {what} | {numbers} |", flush=True)
        return sample

    def fill(first: int, last: int) -> None:
        """Blocks that are all different: a number, and zeros."""
        with (source / "blocks").open("wb") as file:
            for start in range(first, last, 1 << 16):
                count = min(1 << 16, last - start)
                file.write(b"".join((start + at).to_bytes(BLOCK, "big") for at in range(count)))

    params = ("--chunker-params", f"fixed,{BLOCK}", "-C", "none")
    half = chosen.chunks * 2 // 3
    fill(0, half)
    timed("create, new blocks", "create", *params, f"{bork.repository}::first", ".")
    fill(half // 2, chosen.chunks)
    timed("create, half of the blocks known", "create", *params, f"{bork.repository}::second", ".")
    small = timed("list of the archives, which opens no index", "list", bork.repository)
    (empty / "file").touch()
    timed("create of an empty file, tables not in the cache", "create", f"{bork.repository}::a", ".", cwd=empty)
    warm = timed("create of an empty file, warm", "create", f"{bork.repository}::b", ".", cwd=empty)
    state = sum(path.stat().st_size for path in bork.home.rglob("index-*.table"))
    indexes = sum(path.stat().st_size for path in (bork.repository / "indexes").iterdir())
    print(f"\ntables in the cache: {state / chosen.chunks:.1f} bytes a chunk; indexes: {indexes / chosen.chunks:.1f}\n")
    timed("delete", "delete", f"{bork.repository}::first")
    timed("compact", "compact", bork.repository)
    timed("check", "check", bork.repository)
    missed = [f"{peak >> 20} MiB" for peak in own if peak > MEMORY_MAX]
    opening = warm.wall - small.wall
    if opening > OPEN_MAX_S:
        missed.append(f"opening took {opening:.2f} s")
    if missed:
        say("missed: " + ", ".join(missed))
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
