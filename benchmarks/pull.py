"""A pull over loopback ssh beside a local backup, and beside the other ways in which a server can fetch a tree.

    python3 benchmarks/pull.py --work /var/tmp/bork-pull [--files 100000] [--megabytes 1000] [--runs 3] [--delay 50]

Needs sshd, and for the others what they use: borg, restic, rsync, sshfs, socat on PATH (or --peer NAME=PATH); who lacks
something is left out, by name. Wall time in seconds, and as a multiple of `bork create` in the same round, which reads
the same tree on the same machine without a line. `--delay MS` puts a proxy of this round trip into the line.
"""

import argparse
import os
import random
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from tests.real.sshd import SSHServer  # noqa: E402 (behind the path)

from report import table  # noqa: E402 (behind the path)

WORDS = 5000
SENT = ("BORG_PASSPHRASE", "BORG_BASE_DIR", "BORG_RELOCATED_REPO_ACCESS_IS_OK")
PASSPHRASE = "correct horse battery staple"


def make_tree(tree: Path, files: int, megabytes: int) -> None:
    """Small files of words, and large ones that are half noise and half words."""
    rng = random.Random(1)
    words = [rng.randbytes(3).hex() for _ in range(WORDS)]
    for number in range(files):
        directory = tree / "small" / f"{number // 200:04}"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{number % 200:03}").write_text(" ".join(rng.choices(words, k=rng.randint(15, 850))))
    (tree / "large").mkdir(parents=True)
    text = " ".join(rng.choices(words, k=150_000)).encode()[: 1 << 20]
    for number in range(max(1, megabytes // 128)):
        with (tree / "large" / str(number)).open("wb") as file:
            for _ in range(64):
                file.write(rng.randbytes(1 << 20) + bytes(rng.randrange(256) for _ in range(8)) + text[8:])


class Ways:
    """Each is a function of a number: back up, or fetch, the tree once more."""

    def __init__(self, work: Path, tree: Path, sshd: SSHServer, peers: dict[str, str], delay: int) -> None:
        self.work, self.tree, self.sshd, self.peers = work, tree, sshd, peers
        self.mount = work / "mount"
        self.rsh = sshd.rsh()
        if delay:
            proxy = Path(__file__).with_name("delay.py")
            self.rsh = shlex.join([sys.executable, str(proxy), "--ms", str(delay), *shlex.split(self.rsh)])
        os.environ.update(
            BORK_PASSPHRASE=PASSPHRASE,
            BORG_PASSPHRASE=PASSPHRASE,
            RESTIC_PASSWORD=PASSPHRASE,
            BORK_BASE_DIR=str(work / "bork base"),
            BORG_BASE_DIR=str(work / "borg base"),
            BORG_RELOCATED_REPO_ACCESS_IS_OK="yes",
            RESTIC_CACHE_DIR=str(work / "restic cache"),
            BORK_RSH=self.rsh,
        )

    def program(self, name: str) -> str | None:
        return self.peers.get(name) or shutil.which(name)

    def all(self) -> dict[str, Callable[[int], None]]:
        """The ways that this machine has, ready to be taken."""
        bork, borg, restic = (self.program(name) for name in ("bork", "borg", "restic"))
        if bork is None:
            sys.exit("bork is neither on PATH nor given by --peer")
        ways: dict[str, Callable[[int], None]] = {}
        for name in ("local", "pulled"):
            run(bork, "init", "-e", "repokey", self.work / name)
        ways["bork create (local)"] = lambda n: run(bork, "create", f"{self.work}/local::{n}", self.tree)
        ways["bork pull"] = lambda n: run(bork, "pull", self.sshd.url(self.tree), f"{self.work}/pulled::{n}")
        if self.program("rsync"):
            source = f"{self.sshd.user}@{self.sshd.address}:{self.tree}/"
            rsh = f"{self.rsh} -p {self.sshd.port}"
            ways["rsync -a"] = lambda _: run("rsync", "-a", "-e", rsh, source, self.work / "rsync")
        if self.program("sshfs"):
            if borg:
                run(borg, "init", "-e", "repokey", self.work / "borg sshfs")
                cache = ("--files-cache", "ctime,size")
                ways["borg over sshfs"] = self.mounted(
                    lambda n: run(borg, "create", *cache, f"{self.work}/borg sshfs::{n}", self.mount)
                )
            if restic:
                repository = ("-q", "-r", self.work / "restic")
                run(restic, *repository, "init")
                ways["restic over sshfs"] = self.mounted(
                    lambda _: run(restic, *repository, "backup", "--no-scan", "--ignore-inode", self.mount)
                )
        if borg and self.program("socat"):
            run(borg, "init", "-e", "repokey", self.work / "borg socat")
            ways["borg by socat"] = lambda n: self.socat(borg, n)
        return ways

    def mounted(self, way: Callable[[int], None]) -> Callable[[int], None]:
        """The mount counts: it is part of each backup."""

        def run_mounted(number: int) -> None:
            self.mount.mkdir(exist_ok=True)
            command = f"{self.rsh} -p {self.sshd.port}"
            source = f"{self.sshd.user}@{self.sshd.address}:{self.tree}"
            run("sshfs", "-o", f"ssh_command={command}", source, self.mount)
            try:
                way(number)
            finally:
                run("fusermount", "-u", self.mount)

        return run_mounted

    def socat(self, borg: str, number: int) -> None:
        """The recipe: serve behind a socket, ssh -R carries it to the client, borg runs there."""
        here, there = self.work / "here.sock", self.work / "there.sock"
        for left in (here, there):
            left.unlink(missing_ok=True)
        serve = shlex.join([borg, "serve"])
        server = subprocess.Popen(["socat", f"UNIX-LISTEN:{here}", f"EXEC:{serve}"])
        while not here.exists():
            time.sleep(0.01)
        connect = shlex.quote(f"exec socat STDIO UNIX-CONNECT:{shlex.quote(str(there))}")
        socat = f"BORG_RSH={shlex.quote(f'sh -c {connect}')}"
        keys = (f"{name}={shlex.quote(os.environ[name])}" for name in SENT)
        location = f"ssh://server{self.work}/borg socat::{number}"
        remote = f"env {' '.join(keys)} {socat} {shlex.join([borg, 'create', location, str(self.tree)])}"
        words = [*shlex.split(self.rsh), "-p", str(self.sshd.port), "-R", f"{there}:{here}"]
        try:
            run(*words, f"{self.sshd.user}@{self.sshd.address}", remote)
        finally:
            server.terminate()
            server.wait()


def run(*words: object) -> None:
    done = subprocess.run([str(word) for word in words], capture_output=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{words[0]} ended with {done.returncode}: {done.stderr.decode(errors='replace')[-400:]}")


def timed(way: Callable[[int], None], number: int) -> float:
    os.sync()
    start = time.perf_counter()
    way(number)
    return time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="scratch directory")
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--delay", type=int, default=0, metavar="MS")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--only", default="", help="names of ways, by their beginnings, with commas")
    chosen = parser.parse_args()
    work, tree = chosen.work.resolve(), chosen.work.resolve() / f"tree-{chosen.files}-{chosen.megabytes}"
    if not tree.exists():
        make_tree(tree, chosen.files, chosen.megabytes)
        time.sleep(0.1)  # what is younger than the start of an archive is read again
    state = work / "state"
    first: dict[str, list[float]] = {}
    again: dict[str, list[float]] = {}
    for _ in range(chosen.runs):
        shutil.rmtree(state, ignore_errors=True)
        state.mkdir(parents=True)
        with SSHServer(state / "ssh", more_settings="Subsystem sftp internal-sftp\n") as sshd:
            peers = dict(peer.split("=", 1) for peer in chosen.peer)
            ways = Ways(state, tree, sshd, peers, chosen.delay).all()
            wanted = tuple(chosen.only.split(","))
            ways = {name: way for name, way in ways.items() if name.startswith(wanted) or "(local)" in name}
            for number, taken in ((1, first), (2, again)):
                for name, way in ways.items():
                    taken.setdefault(name, []).append(timed(way, number))
    lines = []
    for name in first:
        ratios = [
            median(mine / base for mine, base in zip(taken[name], taken["bork create (local)"], strict=True))
            for taken in (first, again)
        ]
        walls = [median(taken[name]) for taken in (first, again)]
        lines.append([name, f"{walls[0]:.2f}", f"{ratios[0]:.2f}", f"{walls[1]:.2f}", f"{ratios[1]:.2f}"])
    print(table(["way", "first s", "x create", "second s", "x create"], lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
