"""Begins the corpora: ``python fuzz/seed.py`` writes what vectors/ has for each decoder to ``fuzz/corpus/<target>/``.

What the fuzzer found later lies there, too; seeds that are there already stay as they are.
"""

import bz2
import hashlib
import io
import json
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VECTORS = ROOT / "vectors"
HEADER, TRAILER, TAG, RECORD = 64, 32, 16, 16  # bytes; see docs/format/pack.md
PATTERNS = {
    0: ["*.o", "a/*/b", "[!a-c]?", "home/user/", "*", "[]]x", "a[", "\xff*"],
    1: ["**/x", "a/**/b", "*/", "[a-z]*", "a/?", "**", "[!/]x", "/a//b"],
    2: [
        "^a.*b$",
        r"(?i)A(b|c){2,3}\Z",
        r"(?x) a # b",
        r"(?P<n>a)|[^\s/]+",
        r"\x41\u0042{,2}",
        "[[:a]&&b]",
        "(?s:.)*?$",
    ],
    3: ["a/b", "/", "./a/../b", ""],
    4: ["a/b", "//a", "."],
}
PATHS = [b"a/b", b"home/user/x.o", b"/a/c/b", b"\xffx", b"A\nb", b""]
FORMATS = [
    "{mode} {user:6} {size:8} {mtime} {path}{extra}{NL}",
    "{{{isomtime:>30}}}",
    "{mtime:%Y-%j %z}",
    "{sha256}{uid:+010d}",
]


def packs(repository: str = "none") -> Iterator[bytes]:
    """The packs of a repository that hides nothing."""
    yield from (path.read_bytes() for path in sorted((VECTORS / "repositories" / repository / "packs").glob("*/*")))


def read(name: str) -> dict[str, object]:
    """One file of vectors."""
    answer: dict[str, object] = json.loads((VECTORS / name).read_text())
    return answer


def strings(value: object) -> Iterator[str]:
    """All strings in a JSON value that are hexadecimal digits."""
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from strings(one)
    elif isinstance(value, str) and value and not set(value) - set("0123456789abcdef") and len(value) % 2 == 0:
        yield value


def from_packs() -> Iterator[tuple[str, bytes]]:
    """What packs are made of."""
    for repository in sorted((VECTORS / "repositories").iterdir()):
        for kind in ("packs/*/*", "indexes/*", "archives/*"):
            yield from (("header", path.read_bytes()[:HEADER]) for path in sorted(repository.glob(kind))[:2])
    for data in packs():
        yield "trailer", data[-TRAILER:]
        length, count = (int.from_bytes(data[at : at + 4], "little") for at in (-TRAILER, 4 - TRAILER))
        table = data[-TRAILER - length : -TRAILER - TAG]
        yield "toc", count.to_bytes(4, "little") + table
        at = HEADER
        for number in range(count):
            record = table[number * RECORD : (number + 1) * RECORD]
            yield "record", record
            stored, payload = (int.from_bytes(record[at : at + 4], "little") for at in (0, 4))
            yield from from_object(record, data[at : at + payload])
            at += stored


def from_object(record: bytes, payload: bytes) -> Iterator[tuple[str, bytes]]:
    """An object: its payload, and what it holds if that is not compressed."""
    plain_length, codec, kind = record[8:11], record[12], record[13]
    if len(payload) < 20_000:
        yield "decompress", bytes([codec]) + plain_length + payload
        if codec == 0 and kind in (2, 3):
            yield {2: {1: "leaf", 2: "inner"}[payload[0]], 3: "content_list"}[kind], payload


def from_vectors() -> Iterator[tuple[str, bytes]]:
    """What the vectors of single structures say, accepted and refused."""
    for text in strings(read("items.json")):
        yield "item", bytes.fromhex(text)
    for text in strings(read("nodes.json")):
        node = bytes.fromhex(text)
        if node[:1] in (b"\1", b"\2") and len(node) >= 2:
            yield ("leaf" if node[0] == 1 else "inner"), node
    yield "table", bytes.fromhex(str(read("packs.json")["table"]))
    for text in strings(read("keys.json")):
        if len(text) > 200:
            yield "key", bytes.fromhex(text)
    payloads = read("payloads.json")
    plain = bytes.fromhex(str(payloads["plain"]))
    for codec, text in enumerate(strings(payloads["payloads"])):
        yield "decompress", bytes([codec]) + len(plain).to_bytes(3, "little") + bytes.fromhex(text)


def from_words() -> Iterator[tuple[str, bytes]]:
    """Patterns, formats, ACLs, numbers, content lists, and streams that other programs write."""
    for style, patterns in PATTERNS.items():
        for pattern in patterns:
            data = pattern.encode("latin-1" if "\xff" in pattern else "utf-8")
            paths = (PATHS[len(data) % 6], PATHS[(len(data) + 3) % 6])
            yield from (("pattern", bytes([style, len(data)]) + data + path) for path in paths)
    bodies = [bytes.fromhex(text) for text in strings(read("items.json"))]
    for form in FORMATS:
        yield from (("render", bytes([len(form)]) + form.encode() + body) for body in bodies[:6])
    entry = [
        bytes.fromhex(text) for text in ("01000700ffffffff", "02000600e8030000", "04000500ffffffff", "20000000ffffffff")
    ]
    for count in range(len(entry) + 1):
        yield "acl", bytes.fromhex("02000000") + b"".join(entry[:count])
    for kind in range(7):
        for value in (
            "00",
            "7f",
            "cc80",
            "cd0100",
            "ce00010000",
            "cf0000000100000000",
            "d0df",
            "d3ffffffff7fffffff",
            "e0",
        ):
            yield "msgpack", bytes([kind]) + bytes.fromhex(value)
        yield (
            "msgpack",
            bytes([kind]) + bytes.fromhex(["c40161", "c5010000", "91", "dc0010", "8f", "de0010", "808001"][kind]),
        )
    one = bytes.fromhex("aa" * 32 + "0000000010000000")
    yield from (("content_list", one * count + tail) for count in (1, 3) for tail in (b"", bytes(32) + one[-8:]))
    text = b"what other programs write " * 20
    for codec, payload in [(3, zlib.compress(text)), (4, lzma.compress(text)), (4, bz2.compress(text)), (0, text)]:
        yield "decompress", bytes([codec]) + len(text).to_bytes(3, "little") + payload


def from_tapes() -> Iterator[tuple[str, bytes]]:
    """Tar streams of another program, in its formats, with members of most kinds."""
    kinds = [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        for kind in kinds:
            name = "a/b" if form == tarfile.USTAR_FORMAT else "long/" * 21 + "name"
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.mtime = kind, "x" * (kind in kinds[2:4]), 1_700_000_000
            member.pax_headers = {"SCHILY.xattr.user.x": "y", "atime": "1.5"}
            member.size = 700 if kind == tarfile.REGTYPE else 0
            stream = io.BytesIO()
            with tarfile.open(fileobj=stream, mode="w", format=form) as tape:
                tape.addfile(member, io.BytesIO(bytes(700)))
            used = len(stream.getvalue().rstrip(b"\0"))
            data = stream.getvalue()[: -(-used // 512) * 512 + 2048]
            yield from (("tar", part) for part in (data, data[:-2048], data[:300], data[:100] + b"7" + data[101:]))


def from_pulls() -> Iterator[tuple[str, bytes]]:
    """Frames of the pull protocol: heads, and bodies as they are without their compression."""
    targets = {1: "pull_hello", 2: "pull_unit", 3: "pull_object", 16: "pull_plan"}
    for each in read("pull.json")["frames"]:  # type: ignore[attr-defined]  # what is in a JSON file
        data = bytes.fromhex(each["frame"])
        kind, body = data[4], data[5:]
        yield "pull_head", data[:5]
        if kind in targets:
            if kind == 2:
                body = body[1 + next(at for at, byte in enumerate(body[1:], 1) if byte < 0x80) :]
            yield from ((targets[kind], part) for part in (body, body[:-1], body[:3], body[1:]))
    problem = bytes.fromhex("93c4017802c4026e6f")
    yield from (("pull_problems", part) for part in (b"\x90", b"\x91" + problem, b"\x92" + problem * 2, problem))
    yield from (("pull_head", part) for part in (b"\xff" * 5, bytes(5), b"\0\0\0\0\x63", b"\1\0\0\0\x12"))


def main() -> None:
    """Writes the seeds under names that their content gives them, as libFuzzer does."""
    for seeds in (from_packs(), from_vectors(), from_words(), from_tapes(), from_pulls()):
        for target, data in seeds:
            directory = ROOT / "fuzz" / "corpus" / target
            directory.mkdir(parents=True, exist_ok=True)
            (directory / hashlib.sha1(data, usedforsecurity=False).hexdigest()).write_bytes(data)


if __name__ == "__main__":
    main()
