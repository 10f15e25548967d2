"""What it costs to start bork: CPU of `--version`, and of `list` of a small repository beside the key derivation.

    python3 benchmarks/startup.py --work /var/tmp/bork-startup

The key derivation is told apart by listing the same archives in a repository with `--encryption none`, which has none;
what decrypting a few objects costs is lost in that, and is far below a millisecond. Exit code 1 if a target is missed.
"""

import argparse
import shutil
import sys
from pathlib import Path
from statistics import median

from compare import given_peers, scratch
from measure import Command, Sample, measure
from programs import OURS, PROGRAMS, Borg, find
from report import table

VERSION_TARGET, LIST_TARGET = 0.040, 0.080  # seconds of CPU
ARCHIVES = 3


def repository(kind: type[Borg], binary: Path, home: Path, encryption: str, tree: Path) -> Command:
    """A repository with three archives; returns its `list`."""
    program = kind(binary, home)
    program.encryption = encryption
    program.home.mkdir(parents=True)
    output = home / "output"
    for command in program.init():
        measure(command, output)
    for number in range(ARCHIVES):
        measure(program.create(tree, f"archive-{number}"), output)
    return program.command("list", program.repository)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="scratch directory")
    parser.add_argument("--runs", type=int, default=20, metavar="N", help="default: %(default)s")
    parser.add_argument("--program", default=OURS, choices=(OURS, Borg.name), help="default: %(default)s")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PATH", help="where the program is")
    chosen = parser.parse_args()
    binary = find(chosen.program, given_peers(chosen.peer))
    if binary is None:
        sys.exit(f"{chosen.program} is neither on PATH nor given by --peer")
    work = scratch(chosen.work)
    state, kind = work / "state", PROGRAMS[chosen.program]
    assert issubclass(kind, Borg)  # by choices=
    shutil.rmtree(state, ignore_errors=True)
    tree = state / "tree"
    tree.mkdir(parents=True)
    (tree / "file").write_text("content\n")

    commands = {
        "--version": kind(binary, state).command("--version"),
        "list, encrypted": repository(kind, binary, state / "encrypted", kind.encryption, tree),
        "list, none": repository(kind, binary, state / "none", "none", tree),
    }
    samples: dict[str, list[Sample]] = {name: [] for name in commands}
    for number in range(chosen.runs + 1):  # the first warms up
        for name, command in commands.items():
            sample = measure(command, work / "output")
            samples[name] += [sample] if number else []
    shutil.rmtree(state)
    shutil.rmtree(work / "output")

    cpu = {name: median(sample.cpu for sample in taken) for name, taken in samples.items()}
    targets = {"--version": VERSION_TARGET, "list, none": LIST_TARGET}
    lines = [
        [
            chosen.program,
            name,
            f"{cpu[name] * 1000:.1f}",
            f"{median(sample.wall for sample in taken) * 1000:.1f}",
            f"<= {targets[name] * 1000:.0f}" if name in targets else "",
        ]
        for name, taken in samples.items()
    ]
    print(table(["program", "command", "CPU ms", "wall ms", "CPU target"], lines))
    print(f"\nKey derivation: {(cpu['list, encrypted'] - cpu['list, none']) * 1000:.1f} ms CPU")
    met = all(cpu[name] <= target for name, target in targets.items())
    print(f"Targets: {'met' if met else 'missed'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
