"""What vectors/pull.json holds: ``python -m vectors.pull`` writes it. See docs/protocol.md, "The agent".

Bodies are encoded by vectors.protocol, apart from the program; compressed ones are those of codec 0, so that each has
one form.
"""

import json
from pathlib import Path
from typing import Any

from vectors.protocol import encoded, shown

MAGIC = b"\x00BORKA1\n"
KEYS = bytes(range(32)), bytes(range(32, 64))
ITEM = bytes.fromhex("8401cd81a402cd03e803cd03e80692ce6553f10007")
UNIT: list[Any] = [
    2,
    [[1, 3], [b"etc/hosts", ITEM]],
    [[77, 2]],
    [[65, b"/etc/hosts", 0], [77, b"/etc/motd", 1]],
    [[b"/etc/shadow", 2, b"open: Permission denied"]],
]
PLAN: list[Any] = [
    [[b"/etc", b"etc"], [b"home/alice", b"home/alice"]],
    [[ord("-"), b"sh", b"**/*.o"], [ord("+"), b"re", b"^home"], [ord("!"), b"pp", b"etc/ssl"]],
    [b".nobackup"],
    1 << 5 | 1 << 6 | 1 << 13,
    0b1101,
    0,
    [b"AME"],
    [1_700_000_000, 5],
    [-3, 999_999_999],
    [18, 22, 20],
    [2, 3, 0],
    *KEYS,
    1_000_000,
]
BARE: list[Any] = [[[b"/", b"."]], [], [], 0, 32, 2, [], [0, 0], [], [4096, 512], [0, 0, 0], *KEYS, 0]
HELLO = [1, b"0.1.0", b"client", 1000, 0, b"landlock seccomp", [b"/etc", b"/home"], [], 0, 1_700_000_000, 5]


def varint(value: int) -> bytes:
    return bytes([value]) if value < 0x80 else bytes([value & 0x7F | 0x80]) + varint(value >> 7)


def plainly(plain: bytes) -> bytes:
    """The body of a compressed frame that is not compressed."""
    return b"\0" + varint(len(plain)) + plain


def table(parts: list[tuple[bytes, int]]) -> bytes:
    return varint(len(parts)) + b"".join(chunk + varint(length) for chunk, length in parts)


SLICE = bytes([9] * 32) + bytes(4) + (300).to_bytes(4, "little")
FRAMES: dict[str, tuple[int, Any, bytes]] = {
    "hello": (1, HELLO, encoded(HELLO)),
    "unit": (2, UNIT, plainly(encoded(UNIT))),
    "an empty unit": (2, [0, [], [], [], []], plainly(encoded([0, [], [], [], []]))),
    "object": (3, None, b"\0" + table([(bytes([3] * 32), 3), (bytes([4] * 32), 300)]) + b"abc" + bytes(300)),
    "list": (4, None, plainly(SLICE)),
    "query": (5, None, bytes([3] * 32) + bytes([4] * 32)),
    "progress": (6, [123_456, 7, b"/etc/hosts"], encoded([123_456, 7, b"/etc/hosts"])),
    "credit": (7, None, varint(524_288)),
    "done": (8, None, varint(2)),
    "fault": (9, None, b"this client allows no more bytes (--max-bytes)"),
    "plan": (16, PLAN, encoded(PLAN)),
    "a plan with fixed blocks and nothing else": (16, BARE, encoded(BARE)),
    "leaf": (17, None, plainly(b"\1\1\0\3etc" + varint(len(ITEM)) + ITEM)),
    "the end of the leaves": (18, None, b""),
    "answer": (19, None, b"\1"),
}


def frame(kind: int, body: bytes) -> bytes:
    return len(body).to_bytes(4, "little") + bytes([kind]) + body


def content() -> dict[str, Any]:
    return {
        "magic": MAGIC.hex(),
        "frames": [
            {"name": name, "kind": kind, "value": shown(value), "frame": frame(kind, body).hex()}
            for name, (kind, value, body) in FRAMES.items()
        ],
    }


if __name__ == "__main__":
    path = Path(__file__).resolve().parent / "pull.json"
    path.write_text(json.dumps(content(), indent=1, ensure_ascii=True) + "\n")
