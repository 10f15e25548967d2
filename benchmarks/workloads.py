"""The trees to back up: made from a seed, the same on every machine (but for the copy of /usr)."""

import json
import os
import random
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

MIB = 1 << 20
LARGE_BYTES = 1024 * MIB  # at scale 1
USR_BYTES = 1024 * MIB
SMALL_FILES = 100_000
FILES_PER_DIRECTORY = 100
CHANGED_SHARE = 0.01
USR_SHARES = {
    "bin": 0.2,
    "lib": 0.45,
    "share": 0.25,
    "include": 0.1,
}  # of USR_BYTES at most, so that one does not fill it
MARK = "made.json"  # beside the tree: how it was made, and whether it was changed since

_VOWELS, _CONSONANTS = "aeiou", "bcdfghklmnprstvw"


def vocabulary(rng: random.Random, words: int = 4000) -> list[str]:
    return [
        "".join(rng.choice(_CONSONANTS) + rng.choice(_VOWELS) for _ in range(rng.randint(1, 4))) for _ in range(words)
    ]


class Writer:
    """Makes content of each kind; never hands out the same bytes twice, so that only what is meant to be equal is."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.words = vocabulary(self.rng)
        self.ranks = [1000 * 1000 // (rank + 10) for rank in range(len(self.words))]  # Zipf, as in real text
        self.sums = [sum(self.ranks[:1])]
        for rank in self.ranks[1:]:
            self.sums.append(self.sums[-1] + rank)
        self.clock = 1_700_000_000.0

    def pick(self, count: int) -> list[str]:
        return self.rng.choices(self.words, cum_weights=self.sums, k=count)

    def text(self, size: int) -> bytes:
        words = self.pick(size // 5 + 16)
        lines = (" ".join(words[at : at + 12]) for at in range(0, len(words), 12))
        return self._filled("\n".join(lines).encode(), size, self.text)

    def logs(self, size: int) -> bytes:
        rng, lines = self.rng, []
        for _ in range(size // 110 + 1):
            self.clock += rng.random()
            one, two, three = self.pick(3)
            lines.append(
                f"{self.clock:.6f} host{rng.randrange(20):02d} {one}[{rng.randrange(32768)}]: {two} {three} from "
                f"10.0.{rng.randrange(256)}.{rng.randrange(256)} status={rng.choice((200, 200, 200, 304, 404))} "
                f"bytes={rng.randrange(100_000)} took={rng.random():.4f}s"
            )
        return self._filled("\n".join(lines).encode(), size, self.logs)

    def json(self, size: int) -> bytes:
        rng, records, length = self.rng, [], 0
        while length < size:
            name, title, *tags = self.pick(5)
            record = {"id": rng.getrandbits(48), "name": name, "title": title, "tags": tags, "score": rng.random()}
            records.append(record)
            length += 110
        return self._filled(json.dumps(records, indent=1).encode(), size, self.json)

    def binary(self, size: int) -> bytes:
        """Like machine code and tables: few distinct opcodes, small operands, rising addresses."""
        rng, parts, made = self.rng, [], 0
        address = rng.getrandbits(24)
        opcodes = [rng.randbytes(rng.randint(1, 4)) for _ in range(200)]
        while made < size:
            address += rng.randrange(4, 4096)
            part = b"".join(rng.choices(opcodes, k=24)) + address.to_bytes(8, "little") + rng.randbytes(4) + bytes(4)
            parts.append(part)
            made += len(part)
        return b"".join(parts)[:size]

    def noise(self, size: int) -> bytes:
        return self.rng.randbytes(size)

    def shifted(self, original: bytes) -> bytes:
        """A near copy: some bytes in front, some in the middle, some gone."""
        at, cut = self.rng.randrange(len(original)), self.rng.randrange(len(original))
        inserted = original[:at] + self.rng.randbytes(self.rng.randint(1, 999)) + original[at:]
        return self.rng.randbytes(self.rng.randint(1, 4000)) + inserted[:cut] + inserted[cut + 77 :]

    @staticmethod
    def _filled(made: bytes, size: int, more: Callable[[int], bytes]) -> bytes:
        return made[:size] if len(made) >= size else made + more(size - len(made))


def make_large(tree: Path, scale: float) -> None:
    """Mixed files of 64 KiB to 48 MiB: 30 % logs, 15 % text, 20 % binaries, 20 % noise, 15 % near copies (by bytes)."""
    writer, budget, number = Writer(1), int(LARGE_BYTES * scale), 0
    kinds = ("logs", "text", "binary", "noise", "copy")
    shares = dict(zip(kinds, (0.30, 0.15, 0.20, 0.20, 0.15), strict=True))
    made = dict.fromkeys(kinds, 0)
    makers = {"logs": writer.logs, "text": writer.text, "binary": writer.binary, "noise": writer.noise}
    last: list[bytes] = []
    while (total := sum(made.values())) < budget:
        kind = min(kinds if last else kinds[:4], key=lambda name: made[name] / shares[name])
        size = min(int(2 ** writer.rng.uniform(16, 25.6)), max(64 << 10, min(budget - total, budget // 20)))
        content = writer.shifted(writer.rng.choice(last)) if kind == "copy" else makers[kind](size)
        if kind != "copy":
            last = [*last[-5:], content]
        directory = tree / kind / f"{number % 7}"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{kind}-{number:05d}.dat").write_bytes(content)
        made[kind] += len(content)
        number += 1


def small_content(writer: Writer) -> tuple[str, bytes]:
    size = min(max(int(writer.rng.lognormvariate(8.1, 0.9)), 512), 20 << 10)  # median 3.2 KiB, mean about 4.4 KiB
    at = writer.rng.random()
    if at < 0.5:
        return "txt", writer.text(size)
    return ("json", writer.json(size)) if at < 0.8 else ("bin", writer.noise(size))


def make_small(tree: Path, scale: float) -> None:
    """Many files of 0.5 to 20 KiB, 100 in a directory: half text, 30 % JSON, 20 % noise."""
    writer = Writer(2)
    for number in range(int(SMALL_FILES * scale)):
        group = number // FILES_PER_DIRECTORY
        directory = tree / f"{group // 32:03d}" / f"{group % 32:02d}"
        if number % FILES_PER_DIRECTORY == 0:
            directory.mkdir(parents=True, exist_ok=True)
        ending, content = small_content(writer)
        (directory / f"file{number:07d}.{ending}").write_bytes(content)


def change_small(tree: Path) -> None:
    """1 % of the files: of ten, seven written anew in part or whole, one or two removed, as many added."""
    writer = Writer(3)
    files = sorted(path for path in tree.rglob("*") if path.is_file())
    for path in writer.rng.sample(files, max(int(len(files) * CHANGED_SHARE), 3)):
        lot = writer.rng.random()
        if lot < 0.35:
            path.write_bytes(path.read_bytes() + writer.text(200))
        elif lot < 0.7:
            path.write_bytes(small_content(writer)[1])
        elif lot < 0.85:
            path.unlink()
        else:
            path.with_name(f"new-{path.name}").write_bytes(small_content(writer)[1])


def copy_usr(tree: Path, scale: float, source: Path = Path("/usr")) -> None:
    """Files, symlinks and hard links of /usr in sorted order, each top directory up to its share."""
    links: dict[tuple[int, int], Path] = {}
    for top, share in USR_SHARES.items():
        left = USR_BYTES * scale * share
        for folder, directories, names in os.walk(source / top):
            directories.sort()
            if left <= 0:
                break
            target = tree / Path(folder).relative_to(source)
            target.mkdir(parents=True, exist_ok=True)
            for name in sorted(names):
                left -= _copy(Path(folder, name), target / name, links)
                if left <= 0:
                    break


def _copy(path: Path, target: Path, links: dict[tuple[int, int], Path]) -> int:
    known = os.lstat(path)
    if known.st_nlink > 1 and (known.st_dev, known.st_ino) in links:
        os.link(links[known.st_dev, known.st_ino], target)
        return 0
    if not (stat.S_ISREG(known.st_mode) or stat.S_ISLNK(known.st_mode)):
        return 0
    shutil.copy2(path, target, follow_symlinks=False)
    links[known.st_dev, known.st_ino] = target
    return known.st_size


MAKERS = {"large": make_large, "small": make_small, "usr": copy_usr}


def ensure(name: str, home: Path, scale: float) -> Path:
    """The tree of that name below home, unchanged; made if it is not there or was made otherwise."""
    tree, mark = home / name / "tree", home / name / MARK
    wanted = {"scale": scale, "changed": False}
    if not (mark.exists() and json.loads(mark.read_text()) == wanted):
        shutil.rmtree(home / name, ignore_errors=True)
        tree.mkdir(parents=True)
        MAKERS[name](tree, scale)
        mark.write_text(json.dumps(wanted))
    return tree


def change(home: Path, scale: float) -> None:
    """Change 1 % of the small tree, once; the next `ensure` makes it anew."""
    mark = home / "small" / MARK
    if not json.loads(mark.read_text())["changed"]:
        mark.write_text(json.dumps({"scale": scale, "changed": True}))
        change_small(home / "small" / "tree")


def change_share(tree: Path, number: int, share: int) -> None:
    """Give one file in `share` new content of its old length, another one for each `number`."""
    files = sorted(path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    for at, path in enumerate(files):
        if at % share == number % share:
            path.write_bytes(random.Random(f"{number} {at}").randbytes(path.stat().st_size))
