"""A repository with a long history: what prune, delete, compact, diff, export-tar and check take.

    python3 benchmarks/history.py --work /var/tmp/bork-history --archives 500 --files 10000 --programs bork,borg,restic

Each archive has one file in a hundred changed since the one before. Every command is run once, in this order, on the
same repository; what it says is thrown away. Programs are found as compare.py finds them.
"""

import argparse
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import workloads
from compare import given_peers, say, scratch
from measure import Command, CommandError, measure, settle, warm
from programs import PROGRAMS, Borg, Program, Restic, find

SHARE = 100


def tree(directory: Path, files: int) -> Path:
    """Files of 1 to 4 KiB, a hundred in a directory."""
    for number in range(files):
        path = directory / f"{number // 100:04d}" / f"{number % 100:02d}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((b"%d " % number) * (150 + number % 450))
    return directory


def steps(program: Program, archives: int) -> Iterator[tuple[str, Command]]:
    """What is measured. A program that has no such command is left out of the row."""
    first, last = "history-0", f"history-{archives - 1}"
    if isinstance(program, Borg):
        repository = program.repository
        yield "list archives", program.command("list", repository)
        yield "diff of neighbours", program.command("diff", f"{repository}::history-{archives - 2}", last)
        yield "diff of first and last", program.command("diff", f"{repository}::{first}", last)
        yield "export-tar", program.command("export-tar", f"{repository}::{last}", "/dev/null")
        yield "check", program.command("check", repository)
        yield "delete one", program.command("delete", f"{repository}::history-1")
        yield "prune to 50", program.command("prune", "--keep-last", "50", repository)
        yield "compact", program.command("compact", repository)
        yield "check after", program.command("check", repository)
    elif type(program) is Restic:
        one, two = program.oldest()[:2]
        yield "list archives", program.command("snapshots")
        yield "diff of first and last", program.command("diff", one, "latest")
        yield "export-tar", program.command("dump", "latest", "/")
        yield "check", program.command("check")
        yield "delete one", program.command("forget", two)
        yield "prune to 50", program.command("forget", "--keep-last", "50")
        yield "compact", program.command("prune")
        yield "check after", program.command("check")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--archives", type=int, default=500)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--programs", default="bork,borg,restic")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PATH")
    chosen = parser.parse_args()
    work = scratch(chosen.work)
    given = given_peers(chosen.peer)
    source = work / "tree"
    print("| program | what | wall s | CPU s | peak MiB | repository MiB |\n|---|---|---:|---:|---:|---:|")
    for name in chosen.programs.split(","):
        binary = find(name, given)
        if binary is None:
            say(f"{name}: left out: not found")
            continue
        shutil.rmtree(source, ignore_errors=True)
        tree(source, chosen.files)
        warm(source)
        program = PROGRAMS[name](binary, work / name)
        shutil.rmtree(program.home, ignore_errors=True)
        program.home.mkdir(parents=True)
        run(program, source, chosen.archives, work / "output")
        shutil.rmtree(program.home, ignore_errors=True)
    return 0


def run(program: Program, source: Path, archives: int, output: Path) -> None:
    for command in program.init():
        measure(command, output)
    for number in range(archives):
        if number:
            workloads.change_share(source, number, SHARE)
        sample = measure(program.create(source, f"history-{number}"), output)
        if number in (0, archives - 1):
            show(program, f"create number {number + 1}", sample.wall, sample.cpu, sample.peak)
    for what, command in steps(program, archives):
        settle()
        try:
            sample = measure(command, output)
        except CommandError as error:
            say(f"{program.name}: {what}: {error}")
            continue
        show(program, what, sample.wall, sample.cpu, sample.peak)


def show(program: Program, what: str, wall: float, cpu: float, peak: int) -> None:
    size = sum(path.stat().st_size for path in program.repository.rglob("*") if path.is_file())
    row = f"| {program.name} | {what} | {wall:.2f} | {cpu:.2f} | {peak / 2**20:.0f} | {size / 2**20:.1f} |"
    print(row, flush=True)


if __name__ == "__main__":
    sys.exit(main())
