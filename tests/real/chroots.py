"""The stand-alone executable, and an empty root for it: a C library, a shell, and nothing else."""

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "standalone"
FORMS = {"one file": ROOT / "dist" / "bork", "a directory": ROOT / "dist" / "bork-dir" / "bork"}


def build() -> None:
    """As the sources are now: `make` knows whether anything has to be done. One process at a time does it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(["make", "-s", "standalone"], cwd=ROOT, env=environment, capture_output=True, check=False)
        assert done.returncode == 0, os.fsdecode(done.stdout + done.stderr)


def _libraries() -> set[Path]:
    """What the executable takes from the machine, and the shell."""
    bundled = FORMS["a directory"].parent / "_internal"
    found: set[Path] = set()
    for program in (FORMS["a directory"], Path("/bin/sh"), *bundled.rglob("*.so*")):
        environment = {"LD_LIBRARY_PATH": str(bundled), "PATH": os.defpath}
        told = subprocess.run(["ldd", program], env=environment, capture_output=True, text=True, check=True).stdout
        found |= {Path(path) for path in re.findall(r"(/\S+) \(0x", told) if not path.startswith(str(bundled))}
    # The boot loader wants its zlib before it knows where its own is.
    told = subprocess.run(["ldd", FORMS["one file"]], capture_output=True, text=True, check=True).stdout
    return found | {Path(path) for path in re.findall(r"(/\S+) \(0x", told)}


class Chroot:
    """A root without Python, /proc, /sys and /dev. ``program`` is the path of bork inside."""

    def __init__(self, root: Path, form: str) -> None:
        self.root = root
        for name in ("bin", "tmp", "root", "out", "usr/local/bin"):
            (root / name).mkdir(parents=True)
        for library in _libraries():
            place = root / library.relative_to("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, place)
        shutil.copy("/bin/sh", root / "bin" / "sh")
        if form == "one file":
            shutil.copy(FORMS[form], root / "usr/local/bin/bork")
        else:
            shutil.copytree(FORMS[form].parent, root / "usr/local/lib/bork")
            (root / "usr/local/bin/bork").symlink_to("../lib/bork/bork")

    def run(
        self, *words: str | bytes, cwd: str = "/", exit_code: int = 0, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run ``bork`` inside, found by its PATH. Fails the test if it ends with another exit code."""
        variables = {
            "PATH": "/usr/local/bin:/bin",
            "HOME": "/root",
            "LC_ALL": "C.UTF-8",
            **({"BORK_PASSPHRASE": "correct horse"} if environment is None else environment),
        }
        chroot = shutil.which("chroot", path="/usr/sbin:/sbin:/usr/bin:/bin")
        assert chroot is not None
        command = [chroot, str(self.root), "/bin/sh", "-c", f'cd {cwd} && exec bork "$@"', "sh", *words]
        done = subprocess.run(command, env=variables, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        said = os.fsdecode(done.stdout + done.stderr)
        assert done.returncode == exit_code, f"bork {words} ended with {done.returncode}: {said}"
        assert "Traceback" not in said
        return done
