"""The main job, from an empty directory to a restored tree, with the real program: ``python -m demo``.

Makes a source (a part of the machine's documentation and data files, and one entry for each speciality of Linux file
systems), backs it up twice, lists, checks and restores it, and lets ``demo.comparison`` judge. Exit code 0 means:
nothing was lost. Everything happens below one temporary directory, which is removed at the end.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from demo.comparison import differences, read_tree
from demo.rich_tree import make_rich_tree

SHARE = Path("/usr/share")
SHARE_BYTES_MAX = 120 << 20
SHARE_FILES_MAX = 8_000
SHOWN_LINES = 14
PASSPHRASE = "a passphrase for demonstration only"
COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ


class DemoFailed(Exception):
    """Something that must not happen has happened; the message says what."""


def styled(text: str, code: str) -> str:
    """Bold, green or dim, on a terminal."""
    return f"\033[{code}m{text}\033[0m" if COLOUR else text


def title(text: str) -> None:
    """The heading of a step."""
    print(f"\n{styled(text, '1')}", flush=True)


def seconds(value: float) -> str:
    """``0.42 s``."""
    return f"{value:.2f} s"


def size(count: float) -> str:
    """``1.5 MB``."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"


@dataclass(slots=True)
class Stage:
    """The directory of one demonstration, and how long each step took."""

    directory: Path
    times: dict[str, float] = field(default_factory=dict)

    @property
    def source(self) -> Path:
        """What is backed up."""
        return self.directory / "source"

    @property
    def repository(self) -> Path:
        """Where it is backed up to."""
        return self.directory / "repository"

    @property
    def restored(self) -> Path:
        """Where it is restored to."""
        return self.directory / "restored"

    def bork(self, step: str, *arguments: str, cwd: Path | None = None, exit_code: int = 0, **settings: str) -> None:
        """Run ``bork``, show the first lines that it says, and stop the demonstration if it ends otherwise."""
        command = ["bork", *arguments]
        print(styled("$ " + " ".join(command).replace(str(self.directory), "~"), "36"), flush=True)
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("BORG_", "BORK_"))}
        kept |= {"BORK_BASE_DIR": str(self.directory / "home"), "BORK_PASSPHRASE": PASSPHRASE, **settings}
        started = time.monotonic()
        result = subprocess.run(
            [sys.executable, "-m", *command], cwd=cwd or self.directory, env=kept, capture_output=True, check=False
        )
        self.times[step] = time.monotonic() - started
        said = (result.stdout + result.stderr).decode(errors="backslashreplace").splitlines()
        for line in said[:SHOWN_LINES]:
            print(f"  {line}".replace(str(self.directory), "~"))
        if len(said) > SHOWN_LINES:
            print(styled(f"  ... and {len(said) - SHOWN_LINES:,} lines more", "2"))
        if result.returncode != exit_code:
            raise DemoFailed(f"bork {arguments[0]} ended with exit code {result.returncode}, not {exit_code}")


def copy_share(target: Path) -> None:
    """Copy whole directories of /usr/share, smallest names first, until there is enough."""
    target.mkdir()
    files_left, bytes_left = SHARE_FILES_MAX, SHARE_BYTES_MAX
    for directory in sorted(SHARE.iterdir()):
        found = [path for path in directory.rglob("*") if path.is_file() and not path.is_symlink()]
        weight = sum(path.stat().st_size for path in found)
        if directory.is_symlink() or len(found) > files_left or weight > bytes_left:
            continue
        subprocess.run(["cp", "-a", str(directory), str(target)], check=True)
        files_left, bytes_left = files_left - len(found), bytes_left - weight


def make_source(stage: Stage) -> list[str]:
    """The tree to back up. Returns what the machine or the user does not allow."""
    stage.source.mkdir()
    copy_share(stage.source / "share")
    rich = stage.source / "rich"
    rich.mkdir()
    return make_rich_tree(rich)


def change_source(stage: Stage) -> None:
    """What a day does to a tree: one file edited, one new, one gone."""
    (stage.source / "rich" / "links" / "one").write_bytes(b"one file, three names, and a new sentence\n")
    (stage.source / "today").write_bytes(os.urandom(300_000))
    (stage.source / "rich" / "names" / " blank ").unlink()


def judge(stage: Stage) -> None:
    """Compare, and see that the judge is awake: a single flipped bit must be noticed."""
    source, restored = os.fsencode(stage.source), os.fsencode(stage.restored / "source")
    started = time.monotonic()
    found = differences(source, restored)
    stage.times["compare"] = time.monotonic() - started
    if found:
        for line in found[:SHOWN_LINES]:
            print(f"  {line}")
        raise DemoFailed(f"{len(found)} differences between the source and what was restored")
    witness = stage.restored / "source" / "today"
    status, data = witness.stat(), bytearray(witness.read_bytes())
    data[len(data) // 2] ^= 1
    witness.write_bytes(data)
    os.utime(witness, ns=(status.st_atime_ns, status.st_mtime_ns))
    if len(differences(source, restored)) != 1:
        raise DemoFailed("the comparison did not notice one flipped bit")
    print("  no difference; and one bit, flipped on purpose in the restored tree, is noticed")


def disk_bytes(root: Path) -> int:
    """What all files below ``root`` hold together."""
    return sum(path.lstat().st_size for path in root.rglob("*") if not path.is_dir())


def summary(stage: Stage, left_out: list[str]) -> None:
    """What a person wants to know at the end."""
    entries = read_tree(os.fsencode(stage.source))
    original = sum(entry.size_bytes for entry in entries.values())
    stored = disk_bytes(stage.repository)
    first, second = stage.times["first backup"], stage.times["second backup"]
    title("Summary")
    print(f"  backed up      {len(entries):,} entries, {size(original)} in {seconds(first)}, then in {seconds(second)}")
    print(f"  repository     {size(stored)} for two archives of {size(2 * original)}: encrypted, verified")
    print(f"  restored       in {seconds(stage.times['restore'])}, and equal in every byte: contents, owners, modes,")
    print("                 times (ns), links, holes, attributes, ACLs, flags")
    for line in left_out:
        print(f"  not shown      {line}")
    print(styled("  Nothing was lost.", "1;32"))


def demonstrate(stage: Stage) -> None:
    """All steps in order. Raises DemoFailed."""
    repository = str(stage.repository)
    title("A source: a part of /usr/share, and one of everything that Linux file systems know")
    left_out = make_source(stage)
    print(f"  {len(read_tree(os.fsencode(stage.source))):,} entries, {size(disk_bytes(stage.source))}")
    title("A repository, encrypted with a passphrase")
    stage.bork("init", "init", "--encryption", "repokey", repository)
    title("Two backups, with a day's work between them")
    stage.bork("first backup", "create", "--stats", f"{repository}::monday", "source")
    change_source(stage)
    stage.bork("second backup", "create", "--stats", f"{repository}::tuesday", "source")
    title("What is in it")
    stage.bork("list archives", "list", repository)
    stage.bork("list", "list", f"{repository}::tuesday", "source/rich")
    title("Every byte of the repository, verified")
    stage.bork("check", "check", "--verify-data", repository)
    title("Somebody without the passphrase")
    stage.bork("refusal", "list", repository, exit_code=2, BORK_PASSPHRASE="a guess")
    title("Back again")
    stage.restored.mkdir()
    stage.bork("restore", "extract", "--sparse", f"{repository}::tuesday", cwd=stage.restored)
    title("Compared, byte for byte and with all metadata, by a judge that does not know bork")
    judge(stage)
    summary(stage, left_out)


def main() -> int:
    """Parse the two options, run, tidy up."""
    parser = argparse.ArgumentParser(prog="python -m demo", description="Back up, restore and compare a real tree.")
    parser.add_argument("--keep", action="store_true", help="leave the directory behind, to look around in")
    parser.add_argument("--directory", type=Path, help="make the temporary directory here (default: TMPDIR or /tmp)")
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="bork-demo-", dir=options.directory))
    try:
        demonstrate(Stage(directory))
    except DemoFailed as failure:
        print(styled(f"\nThe demonstration failed: {failure}", "1;31"), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if options.keep:
            print(f"  kept           {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
