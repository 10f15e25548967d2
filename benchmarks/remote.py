"""What a distance costs: the commands against a repository on this machine, behind a loopback sshd, and far away.

Bork local, Bork over ssh, Bork over ssh with an added round trip, borg over ssh and restic over sftp run in turn, each
on a repository of its own. Needs sshd, ssh and the tests of this checkout (tests/real/sshd.py).
"""

import argparse
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.real.sshd import SSHServer  # noqa: E402  # behind the path

DELAY = Path(__file__).with_name("delay.py")
SFTP_SERVER = "/usr/lib/openssh/sftp-server"
ROWS = ("create", "create unchanged", "list", "check", "extract", "prune", "compact")
PASSPHRASE = "correct horse battery staple"


class Contender:
    """One program with one repository, near or far."""

    def __init__(self, name: str, program: str, work: Path, server: SSHServer, source: Path, delay_ms: float) -> None:
        self.name, self._program, self._source = name, program, source
        self._is_local = name.endswith("local")
        self.home = work / name.replace(" ", "-")
        self._place = server.home / name.replace(" ", "-")
        self.turns = self.home / "turns"
        rsh = server.rsh()
        if delay_ms:
            rsh = shlex.join(
                [sys.executable, str(DELAY), "--ms", str(delay_ms), "--count", str(self.turns), *shlex.split(rsh)]
            )
        self._rsh, self._server = rsh, server
        self.home.mkdir(parents=True)

    def environment(self) -> dict[str, str]:
        kept = {"PATH": os.environ["PATH"], "HOME": str(self.home), "XDG_CACHE_HOME": str(self.home / "cache")}
        location = str(self._place) if self._is_local else self._server.url(self._place)
        for prefix in ("BORG", "BORK"):
            kept |= {f"{prefix}_PASSPHRASE": PASSPHRASE, f"{prefix}_RSH": self._rsh, f"{prefix}_REPO": location}
            kept |= {f"{prefix}_BASE_DIR": str(self.home), f"{prefix}_HOST_ID": "benchmark"}
        kept |= {"BORK_REMOTE_PATH": str(self._server.program), "BORG_REMOTE_PATH": self._program}
        kept |= {"RESTIC_PASSWORD": PASSPHRASE, "RESTIC_REPOSITORY": f"sftp:host:{self._place}"}
        return kept

    def _restic(self, *words: str) -> list[str]:
        target = f"{self._rsh} -p {self._server.port} {self._server.user}@127.0.0.1 {SFTP_SERVER}"
        return [self._program, "-o", f"sftp.command={target}", *words]

    def commands(self) -> Mapping[str, Sequence[Sequence[str]]]:
        """For each row, after ``init``."""
        out, source = str(self.home / "out"), str(self._source)
        if "restic" in self.name:
            return {
                "init": [self._restic("init")],
                "create": [self._restic("backup", "--no-scan", source)],
                "create unchanged": [self._restic("backup", "--no-scan", source)],
                "list": [self._restic("ls", "--long", "latest")],
                "check": [self._restic("check", "--read-data")],
                "extract": [self._restic("restore", "latest", "--target", out)],
                "prune": [self._restic("forget", "--keep-last", "1")],
                "compact": [self._restic("prune")],
            }
        rows = {
            "init": ["init", "-e", "repokey"],
            "create": ["create", "::one", source],
            "create unchanged": ["create", "::two", source],
            "list": ["list", "::one"],
            "check": ["check"],
            "extract": ["extract", "::one"],
            "prune": ["prune", "--keep-last", "1"],
            "compact": ["compact"],
        }
        return {row: [[self._program, *words]] for row, words in rows.items()}

    def run(self, row: str) -> tuple[float, int]:
        """Seconds, and round trips where they are counted."""
        out = self.home / "out"
        out.mkdir(exist_ok=True)
        before = len(self.turns.read_text().split()) if self.turns.exists() else 0
        started = time.monotonic()
        for words in self.commands()[row]:
            done = subprocess.run(words, cwd=out, env=self.environment(), capture_output=True, check=False)
            if done.returncode > (0 if "restic" in self.name else 1):
                sys.exit(f"{self.name}: {row}: exit {done.returncode}: {done.stderr.decode(errors='replace')[-500:]}")
        took = time.monotonic() - started
        shutil.rmtree(out)
        counts = self.turns.read_text().split()[before:] if self.turns.exists() else []
        return took, sum(map(int, counts))

    def clear(self) -> None:
        shutil.rmtree(self._place, ignore_errors=True)
        shutil.rmtree(self.home)
        self.home.mkdir()


def make_tree(path: Path, files: int, large_mib: int) -> None:
    """Many small files, and a few large ones that do not compress."""
    for number in range(files):
        if number % 1000 == 0:
            (path / f"d{number // 1000}").mkdir(parents=True)
        (path / f"d{number // 1000}" / f"file {number}").write_bytes(b"%d line\n" % number * 30)
    for number in range(large_mib // 16):
        (path / f"large {number}").write_bytes(os.urandom(16 << 20))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--large-mib", type=int, default=128)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--ms", type=float, action="append", default=[], help="an added round trip; again for another")
    parser.add_argument("--peers", type=Path, help="directory with borg and restic")
    parser.add_argument("--bork", default=str(ROOT / ".venv" / "bin" / "bork"))
    parser.add_argument("--work", type=Path, required=True)
    chosen = parser.parse_args()
    work = Path(tempfile.mkdtemp(dir=chosen.work))
    source = work / "source"
    make_tree(source, chosen.files, chosen.large_mib)
    with SSHServer(work / "server") as server:
        kinds = [("bork local", chosen.bork, 0.0)]
        for ms in (0.0, *chosen.ms):
            far = f" {ms:.0f} ms" if ms else ""
            kinds.append((f"bork ssh{far}", chosen.bork, ms))
            peers = () if chosen.peers is None else ("borg", "restic")
            kinds.extend((f"{peer} ssh{far}", str(chosen.peers / peer), ms) for peer in peers)
        contenders = [Contender(name, program, work, server, source, ms) for name, program, ms in kinds]
        took: dict[tuple[str, str], list[tuple[float, int]]] = {}
        for _ in range(chosen.runs):
            for contender in contenders:
                contender.clear()
                contender.run("init")
            for row in ROWS:
                for contender in contenders:
                    took.setdefault((contender.name, row), []).append(contender.run(row))
                    said = took[contender.name, row][-1]
                    print(
                        f"{row}: {contender.name}: {said[0]:.2f} s, {said[1]} round trips", file=sys.stderr, flush=True
                    )
    print("| command | " + " | ".join(each.name for each in contenders) + " |")
    print("|---|" + "---:|" * len(contenders))
    for row in ROWS:
        cells = []
        for contender in contenders:
            seconds = statistics.median(each[0] for each in took[contender.name, row])
            pairs = zip(took[contender.name, row], took["bork local", row], strict=True)
            ratio = statistics.median(ours[0] / local[0] for ours, local in pairs)
            trips = max(each[1] for each in took[contender.name, row])
            cells.append(f"{seconds:.2f} s, {ratio:.2f} x" + (f", {trips} trips" if trips else ""))
        print(f"| {row} | " + " | ".join(cells) + " |")
    shutil.rmtree(work)
    return 0


if __name__ == "__main__":
    sys.exit(main())
