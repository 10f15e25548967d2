"""Bork against its peers: speed, CPU, memory and size, on the same trees in one run.

    python3 benchmarks/compare.py --work /var/tmp/bork-bench --markdown docs/table.md

Programs are found on PATH, or given by --peer NAME=PATH; benchmarks/install_peers.sh installs the peers.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import report
from bench import Bench, Results
from programs import LZ4, PROGRAMS, ZSTD, Borg, Program, find
from rows import ROWS, in_running_order

MARK = ".bork-bench"  # in a directory that is ours to empty
INSTALLER = Path(__file__).with_name("install_peers.sh")


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="scratch directory, new or of an earlier run; 15 GiB at scale 1")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="runs of each row (default: 3)")
    parser.add_argument("--scale", type=float, default=1.0, metavar="X", help="size of the trees (default: 1.0)")
    parser.add_argument("--only", action="append", default=[], metavar="ROW", help="these rows only (ROW,ROW or again)")
    parser.add_argument("--programs", default=",".join(PROGRAMS), metavar="A,B", help="default: %(default)s")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PATH", help="where a program is")
    parser.add_argument("--compression", default=ZSTD, help=f"{ZSTD}, {LZ4}, or {ZSTD}+{LZ4} (default: {ZSTD})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables and the machine")
    parser.add_argument("--install", type=Path, metavar="DIR", help="install the peers below DIR, and do nothing else")
    parser.add_argument("--list-rows", action="store_true", help="name the rows, and do nothing else")
    chosen = parser.parse_args(given)
    chosen.only = [key for keys in chosen.only for key in keys.split(",")] or [row.key for row in ROWS]
    if unknown := set(chosen.only) - {row.key for row in ROWS}:
        parser.error(f"no such row: {', '.join(sorted(unknown))}; --list-rows names them")
    chosen.programs = chosen.programs.split(",")
    chosen.levels = chosen.compression.split("+")
    if unknown := (set(chosen.programs) - set(PROGRAMS)) | (set(chosen.levels) - {ZSTD, LZ4}):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    if chosen.runs < 1 or chosen.scale <= 0:
        parser.error("--runs must be at least 1, --scale above 0")
    if chosen.work is None and not (chosen.install or chosen.list_rows):
        parser.error("--work is needed")
    return chosen


def scratch(directory: Path) -> Path:
    """The directory, if it is empty or an earlier run made it: what is in it gets deleted."""
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()) and not (directory / MARK).exists():
        sys.exit(f"{directory} is neither empty nor made by an earlier run of this program: choose another --work")
    (directory / MARK).touch()
    return directory.resolve()


def given_peers(texts: Sequence[str]) -> dict[str, Path]:
    """What --peer says."""
    given = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if name not in PROGRAMS or not equals or not Path(path).is_file():
            sys.exit(f"--peer {text}: wanted NAME=PATH, with a name of {', '.join(PROGRAMS)} and the path of a program")
        given[name] = Path(path)
    return given


def contenders(names: Sequence[str], given: dict[str, Path], work: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Binaries and versions of the programs that are there; the others are named on stderr."""
    binaries, versions = {}, {}
    for name in names:
        binary = find(name, given)
        if binary is None or not binary.exists():
            versions[name] = "left out: not found on PATH nor by --peer"
            say(f"{name}: {versions[name]}")
            continue
        home = work / "version"
        try:
            versions[name] = PROGRAMS[name](binary, home).version()
        except (OSError, subprocess.CalledProcessError) as error:
            versions[name] = f"left out: does not run: {error}"
            say(f"{name}: {versions[name]}")
            continue
        finally:
            shutil.rmtree(home, ignore_errors=True)
        binaries[name] = binary
    return binaries, versions


def faster_borg_encryption(size: int = 32 << 20) -> str:
    """Borg hashes each byte twice with SHA-256 (repokey) or BLAKE2b (repokey-blake2): take the one faster here."""
    data, took = bytes(size), {}
    for mode, function in (("repokey", hashlib.sha256), ("repokey-blake2", hashlib.blake2b)):
        start = time.process_time()
        function(data)
        took[mode] = time.process_time() - start
    return min(took, key=lambda mode: took[mode])


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def conditions(runs: int, scale: float) -> list[str]:
    return [
        f"{runs} runs of each row, in turn; medians; scale {scale:g}; page cache warm, sync before each command",
        f"bork, borg: `--encryption {Borg.encryption}`; restic, rustic: their AES-256-CTR; kopia: its AES-256-GCM",
        "zstd 3 is libzstd's for bork, borg, rustic; restic `auto` and kopia `zstd` are a Go library's stand-in",
        "each command opens its repository anew: its key derivation is in wall, CPU and peak",
        "restic, rustic: `--no-scan`; kopia: without maintenance; all else as each program has it by default",
        "restores are compared with their source; a program that restores wrongly has no time",
    ]


def write(chosen: argparse.Namespace, results: Results, about: Mapping[str, str]) -> str:
    """The tables, and the files that were asked for."""
    text = report.markdown(results, about, conditions(chosen.runs, chosen.scale))
    if chosen.markdown:
        chosen.markdown.write_text(text)
    if chosen.json:
        chosen.json.write_text(json.dumps(report.as_json(results, about), indent=1) + "\n")
    return text


def main() -> int:
    chosen = arguments()
    if chosen.list_rows:
        print("\n".join(f"{row.key:14} {row.title}" for row in ROWS))
        return 0
    if chosen.install:
        return subprocess.run([str(INSTALLER), str(chosen.install)], check=False).returncode
    work = scratch(chosen.work)
    given = given_peers(chosen.peer)
    binaries, versions = contenders(chosen.programs, given, work)
    if not binaries:
        sys.exit("none of the programs was found: benchmarks/install_peers.sh installs the peers")
    Borg.encryption = faster_borg_encryption()
    kinds: list[type[Program]] = [PROGRAMS[name] for name in binaries]

    interrupted = False
    bench, results, about = Bench(work, chosen.scale, say), Results(), report.machine(work) | versions
    try:
        for level in chosen.levels:
            for row in in_running_order(set(chosen.only)):
                results[row.key, level] = bench.run(row, kinds, binaries, level, chosen.runs)
                write(chosen, results, about)  # what was measured is not lost with a later row
    except KeyboardInterrupt:
        interrupted = True
        say("interrupted: the rows measured so far follow")
    finally:
        bench.clear()
    print(write(chosen, results, about), end="")
    failed = any(one.error for series in results.values() for one in series.values())
    return 130 if interrupted else int(failed)


if __name__ == "__main__":
    sys.exit(main())
