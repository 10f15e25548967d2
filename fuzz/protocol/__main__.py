"""``python -m fuzz.protocol [TARGET ...]``: for so long, and what breaks a promise goes to the corpus.

An input that comes to a line of the decoders where none was before is changed further. The corpus on the disk gets only
what broke something. Memory has a limit, which the process does not survive.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import sys
import time
from pathlib import Path
from random import Random
from types import CodeType, FrameType
from typing import TYPE_CHECKING

import bork
from fuzz.protocol.mutation import mutated
from fuzz.protocol.seeds import seeds
from fuzz.protocol.targets import TARGETS

if TYPE_CHECKING:
    from _typeshed import TraceFunction

CORPUS = Path(__file__).resolve().parent / "corpus"
FRAMED = {"server": 1, "client": 1}  # where the frames begin
MEMORY_BYTES = 1 << 30
WATCHED = tuple(str(Path(bork.__file__).parent / part) for part in ("protocol", "server", "storage/remote"))
WATCH_EVERY = 4  # inputs
Line = tuple[CodeType, int]


def kept(target: str) -> list[bytes]:
    """The inputs of a target, in an order that does not change."""
    return [path.read_bytes() for path in sorted((CORPUS / target).iterdir())]


def keep(target: str, data: bytes) -> Path:
    """Put an input into the corpus, under the name that its content gives it."""
    path = CORPUS / target / hashlib.sha1(data, usedforsecurity=False).hexdigest()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def reached(target: str, data: bytes) -> set[Line]:
    """The lines of the decoders that an input comes to. Raises: what breaks a promise."""
    lines: set[Line] = set()

    def in_frame(frame: FrameType, event: str, argument: object) -> TraceFunction:
        lines.add((frame.f_code, frame.f_lineno))
        return in_frame

    def at_call(frame: FrameType, event: str, argument: object) -> TraceFunction | None:
        return in_frame if frame.f_code.co_filename.startswith(WATCHED) else None

    before = sys.gettrace()
    sys.settrace(at_call)
    try:
        TARGETS[target](data)
    finally:
        sys.settrace(before)
    return lines


def run(target: str, seconds: float, random: Random) -> int:
    """Try inputs for so long; how many. Raises: what breaks a promise; its input is in the corpus then."""
    inputs = kept(target)
    lines = set[Line]().union(*(reached(target, data) for data in inputs))
    deadline, count = time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        data = mutated(random, random.choice(inputs), inputs, framed=FRAMED.get(target))
        count += 1
        try:
            # To watch takes four times as long as to try.
            found = reached(target, data) if count % WATCH_EVERY == 0 else None
            if found is None:
                TARGETS[target](data)
        except BaseException:
            print(f"{target}: a broken promise, kept as {keep(target, data)}", file=sys.stderr)
            raise
        if found is not None and not found <= lines:
            lines |= found
            inputs.append(data)
    return count


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m fuzz.protocol", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; default: all")
    parser.add_argument("--seconds", type=float, default=60, help="for each target; default: 60")
    parser.add_argument("--seed", type=int, default=None, help="of the random numbers; default: any")
    parser.add_argument("--write-seeds", action="store_true", help="begin the corpora, and try nothing")
    chosen = parser.parse_args()
    if unknown := set(chosen.targets) - set(TARGETS):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    if chosen.write_seeds:
        for target, data in seeds():
            keep(target, data)
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    for target in chosen.targets or TARGETS:
        seed = time.time_ns() if chosen.seed is None else chosen.seed
        print(f"{target}: seed {seed}", flush=True)
        print(f"{target}: {run(target, chosen.seconds, Random(seed)):,} inputs", flush=True)


if __name__ == "__main__":
    main()
