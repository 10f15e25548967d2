"""Peak memory of bork from 100k to 1M files: below 200 MiB, and flat.

    python3 benchmarks/memory.py --work /var/tmp/bork-memory

The files are tiny: what grows here is the number of names. Exit code 1 if a target is missed.
"""

import argparse
import shutil
import sys
from pathlib import Path

from compare import given_peers, say, scratch
from measure import Command, Sample, measure, settle
from programs import ARCHIVE, OURS, PROGRAMS, Program, find
from report import MIB, PEAK_TARGET, table

FILES_PER_DIRECTORY = 1000
FLAT = 1.25  # peak with the most files, over that with the fewest: at most


def grow(tree: Path, present: int, wanted: int) -> None:
    """Add files up to the wanted number, each with its own few bytes."""
    for number in range(present, wanted):
        directory = tree / f"{number // FILES_PER_DIRECTORY:05d}"
        if number % FILES_PER_DIRECTORY == 0:
            directory.mkdir(parents=True, exist_ok=True)
        directory.joinpath(f"a-name-of-usual-length-{number:08d}.txt").write_bytes(b"content %d\n" % number)


def sizes_to(most: int) -> list[int]:
    """100k, 300k, 1M: or the same proportions of another greatest number."""
    return [most // 10, most * 3 // 10, most]


def peaks(program: Program, tree: Path, output: Path) -> dict[str, Sample]:
    """First backup, unchanged backup, list and check, on a new repository."""
    shutil.rmtree(program.home, ignore_errors=True)
    program.home.mkdir(parents=True)
    for command in program.init():
        measure(command, output)

    def timed(command: Command) -> Sample:
        settle()
        return measure(command, output)

    return {
        "first": timed(program.create(tree, ARCHIVE)),
        "unchanged": timed(program.create(tree, "second")),
        "list": timed(program.list(tree)),
        "check": timed(program.check()),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="scratch directory; 6 GiB and 1M inodes")
    parser.add_argument("--files", type=int, default=1_000_000, metavar="N", help="at most (default: %(default)s)")
    parser.add_argument("--program", default=OURS, choices=PROGRAMS, help="default: %(default)s")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PATH", help="where the program is")
    chosen = parser.parse_args()
    binary = find(chosen.program, given_peers(chosen.peer))
    if binary is None:
        sys.exit(f"{chosen.program} is neither on PATH nor given by --peer")
    work = scratch(chosen.work)
    tree, program = work / "memory", PROGRAMS[chosen.program](binary, work / "state" / chosen.program)
    shutil.rmtree(tree, ignore_errors=True)

    found: dict[int, dict[str, Sample]] = {}
    present = 0
    for count in sizes_to(chosen.files):
        grow(tree, present, count)
        present = count
        found[count] = peaks(program, tree, work / "output")
        say(f"{count} files: done")
    for leftover in (tree, program.home, work / "output"):
        shutil.rmtree(leftover)

    lines = [
        [str(count), action, f"{one.wall:.2f}", f"{one.cpu:.2f}", f"{one.peak / MIB:.1f}"]
        for count, samples in found.items()
        for action, one in samples.items()
    ]
    print(table(["files", "command", "wall s", "CPU s", "peak MiB"], lines))
    fewest, most = found[min(found)], found[max(found)]
    grown = {action: most[action].peak / fewest[action].peak for action in most}
    print("\nGrowth of the peak: " + ", ".join(f"{action} {factor:.2f} x" for action, factor in grown.items()))
    highest = max(one.peak for samples in found.values() for one in samples.values())
    met = highest < PEAK_TARGET and max(grown.values()) <= FLAT
    print(f"Targets (below {PEAK_TARGET // MIB} MiB, growth at most {FLAT} x): {'met' if met else 'missed'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
