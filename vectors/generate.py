"""Make the golden files of this directory anew: ``python -m vectors.generate``, as root, from the top of the tree.

The repositories are made by the real program. Their salts are random, so that they are never the same twice: they are
made once for each version of the format and then kept. The JSON files are computed by tests/reference and are the same
each time: ``python -m vectors.generate json`` writes only those.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from demo.rich_tree import make_rich_tree
from tests.format.snapshot import snapshot
from vectors.fixed import PASSPHRASE, noise, words
from vectors.units import FILES

ROOT = Path(__file__).resolve().parent.parent
HERE = ROOT / "vectors"
STAGE = Path("/tmp/vectors")  # the path is kept in the archive heads
DAY_NS = 86_400 * 10**9
PROGRAM = "import sys; sys.argv[0] = 'bork'; from bork.cli.main import main; sys.exit(main())"
WITHOUT_AES = "import bork.crypto.slots as slots; slots._CPU_FLAGS = '/dev/null'; " + PROGRAM

Tree = Callable[[Path], object]


def hello(root: Path) -> None:
    (root / "hello").write_bytes(b"hello, world\n")


def small(root: Path) -> None:
    """Files that share objects."""
    for number in range(40):
        (root / f"{number % 3}").mkdir(exist_ok=True)
        (root / f"{number % 3}" / f"file {number}").write_bytes(words(number * 17, number))


def chunks(root: Path) -> None:
    """A file of several chunks, the same one with an insertion, and one with a hole between two chunks."""
    (root / "several").write_bytes(noise(30_000, 1))
    (root / "inserted").write_bytes(noise(15_000, 1) + b"inserted" + noise(30_000, 1)[15_000:])
    with (root / "hole").open("wb") as file:
        file.write(noise(5_000, 1))
        file.seek(3 << 20)
        file.write(b"behind the hole")
        file.truncate((3 << 20) + 100_000)


def texts(seed: int) -> Tree:
    """One file that compresses and one that does not."""

    def make(root: Path) -> None:
        (root / "text").write_bytes(words(6_000, seed))
        (root / "noise").write_bytes(noise(500, seed))

    return make


def rich(root: Path) -> None:
    if left_out := make_rich_tree(root):
        sys.exit(f"this machine cannot make {left_out}")


# Repository: its mode, then each archive with its tree and the options of `bork create`.
CODECS = ["none", "lz4", "zstd,3", "zlib,6", "lzma,6", "auto,zstd,9", "obfuscate,110,zstd,3", "obfuscate,250,none"]
QUIET = ["--numeric-ids", "--noctime", "--nobirthtime", "--noflags"]
REPOSITORIES: dict[str, tuple[str, dict[str, tuple[Tree, list[str]]]]] = {
    "hello": ("none", {"hello": (hello, ["--compression=none", *QUIET])}),
    "none": ("none", {"rich": (rich, ["--atime"]), "small": (small, ["--comment=gr\u00f6\u00dfer"])}),
    "authenticated": ("authenticated", {"rich": (rich, []), "small": (small, [])}),
    "repokey": ("repokey", {"rich": (rich, []), "small": (small, [])}),
    "keyfile": ("keyfile", {"rich": (rich, []), "small": (small, [])}),
    "chacha20": ("repokey", {"rich": (rich, []), "small": (small, [])}),
    "codecs": ("none", {name: (texts(seed), [f"--compression={name}"]) for seed, name in enumerate(CODECS)}),
    "chunkers": (
        "none",
        {"gear": (chunks, ["--chunker-params=gear,10,14,12"]), "fixed": (chunks, ["--chunker-params=fixed,4096,512"])},
    ),
}


def bork(*arguments: str, program: str = PROGRAM, cwd: Path = STAGE) -> None:
    """Run the program with everything fixed that can be."""
    settings = {"HOME": str(STAGE / "home"), "PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    settings |= {"PYTHONPATH": os.pathsep.join(sys.path), "BORK_PASSPHRASE": PASSPHRASE}
    settings |= {"BORK_HOSTNAME": "vectors", "BORK_USERNAME": "vectors"}
    subprocess.run([sys.executable, "-c", program, *arguments], env=settings, cwd=cwd, check=True)


def make_repository(name: str) -> None:
    """A repository, what it must restore to, and its key if that lies outside."""
    encryption, archives = REPOSITORIES[name]
    shutil.rmtree(STAGE, ignore_errors=True)
    (STAGE / "home").mkdir(parents=True)
    program = WITHOUT_AES if name == "chacha20" else PROGRAM
    bork("init", f"--encryption={encryption}", "repository", program=program)
    expected = {}
    for number, (archive, (make, options)) in enumerate(archives.items()):
        source = STAGE / "source"
        source.mkdir()
        make(source)
        for path in sorted(source.rglob("*"), reverse=True):
            if not path.is_symlink() and path.parent.name != "times":
                os.utime(path, ns=((400 + number) * DAY_NS, (500 + number) * DAY_NS + 123_456_789))
        os.utime(source, ns=(0, DAY_NS))
        source.chmod(0o750)
        day = f"2026-11-{number + 1:02}T12:00:00"
        bork("create", f"--timestamp={day}", *options, f"../repository::{archive}", paths(name), cwd=source)
        expected[archive] = snapshot(os.fsencode(source))
        if name == "hello":
            del expected[archive]["."]  # only the file was named
        shutil.rmtree(source)
    keep(STAGE / "repository", HERE / "repositories" / name)
    if encryption == "keyfile":
        (HERE / "keys").mkdir(exist_ok=True)
        (key,) = (STAGE / "home" / ".config").rglob("keys/*")
        shutil.copyfile(key, HERE / "keys" / name)
    write_json(HERE / "expected" / f"{name}.json", expected)


def paths(name: str) -> str:
    """What is backed up: the smallest repository has one item only."""
    return "hello" if name == "hello" else "."


def keep(made: Path, target: Path) -> None:
    """Copy the objects of a repository, without empty directories."""
    shutil.rmtree(target, ignore_errors=True)
    for path in made.rglob("*"):
        if path.is_file():
            (target / path.relative_to(made)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / path.relative_to(made))


def write_json(path: Path, value: object) -> None:
    """Readable, and the same each time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_json(value))


def to_json(value: object) -> str:
    return json.dumps(value, indent=1, sort_keys=True) + "\n"


def main() -> None:
    for name, make in FILES.items():
        write_json(HERE / f"{name}.json", make())
    if sys.argv[1:] != ["json"]:
        for name in sys.argv[1:] or REPOSITORIES:
            make_repository(name)
        shutil.rmtree(STAGE, ignore_errors=True)


if __name__ == "__main__":
    main()
