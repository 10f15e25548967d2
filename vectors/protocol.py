"""What vectors/protocol.json holds: ``python -m vectors.protocol`` writes it. See docs/protocol.md."""

import json
import struct
import zlib
from pathlib import Path
from typing import Any

ID = "0f" * 32
PACK = f"packs/0f/{ID}"


def encoded(value: Any) -> bytes:
    """MessagePack by its own specification, in the shortest forms; written apart from the program."""
    if value is None or isinstance(value, bool):
        return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[value]
    if isinstance(value, int):
        return integer(value)
    if isinstance(value, bytes):
        return sized(len(value), [], [(0xC4, "B"), (0xC5, "H"), (0xC6, "I")]) + value
    if isinstance(value, str):
        data = value.encode()
        return sized(len(data), [(0xA0, 32)], [(0xD9, "B"), (0xDA, "H"), (0xDB, "I")]) + data
    if isinstance(value, list):
        return sized(len(value), [(0x90, 16)], [(0xDC, "H"), (0xDD, "I")]) + b"".join(map(encoded, value))
    pairs = sorted((key.encode(), key, each) for key, each in value.items())
    parts = [encoded(key) + encoded(each) for _, key, each in pairs]
    return sized(len(parts), [(0x80, 16)], [(0xDE, "H"), (0xDF, "I")]) + b"".join(parts)


def integer(value: int) -> bytes:
    for tag, form in [(0, "b"), (0xCC, "B"), (0xCD, "H"), (0xCE, "I"), (0xCF, "Q")] if value >= 0 else []:
        try:
            return (bytes([tag]) if tag else b"") + struct.pack(">" + form, value)
        except struct.error:
            continue
    if value >= -32:
        return struct.pack(">b", value)
    for tag, form in [(0xD0, "b"), (0xD1, "h"), (0xD2, "i"), (0xD3, "q")]:
        try:
            return bytes([tag]) + struct.pack(">" + form, value)
        except struct.error:
            continue
    raise ValueError(value)


def sized(length: int, short: list[tuple[int, int]], long: list[tuple[int, str]]) -> bytes:
    for tag, end in short:
        if length < end:
            return bytes([tag + length])
    for tag, form in long:
        try:
            return bytes([tag]) + struct.pack(">" + form, length)
        except struct.error:
            continue
    raise ValueError(length)


def message(body: dict[str, Any], data: bytes) -> bytes:
    content = encoded(body)
    start = struct.pack(">III", len(content), len(data), zlib.crc32(content + data))
    return start + struct.pack(">I", zlib.crc32(start)) + content + data


NUMBERS = [0, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**64 - 1]
NUMBERS += [-1, -32, -33, -128, -129, -32768, -32769, -(2**31), -(2**31) - 1, -(2**63)]
VALUES: list[Any] = [
    *(None, True, False, *NUMBERS),
    *("", "a", "x" * 31, "x" * 32, "x" * 255, "x" * 256, "grün", "\0"),
    *(b"", b"\xff", bytes(255), bytes(256)),
    *([], [1, 2], list(range(15)), list(range(16)), [[[[1]]]]),
    *({}, {"a": 1, "b": [b"x", None]}, {f"k{n:02d}": n for n in range(16)}, {"é": 1, "z": 2}),
]
REFUSED = {
    "cc7f": "a number in two bytes that fits into one",
    "cd00ff": "a number in three bytes that fits into two",
    "ce0000ffff": "a number in five bytes that fits into three",
    "cf00000000ffffffff": "a number in nine bytes that fits into five",
    "d0ff": "a small negative number in two bytes",
    "d07f": "a positive number in a negative form",
    "d1ff80": "a negative number in three bytes that fits into two",
    "d3ffffffff80000000": "a negative number in nine bytes that fits into five",
    "d90161": "text of one byte with a length of its own",
    "da000161": "text with a length of two bytes that fits into one",
    "db0000000161": "text with a length of four bytes that fits into one",
    "c5000161": "bytes with a length of two bytes that fits into one",
    "c60000000161": "bytes with a length of four bytes that fits into one",
    "dc000101": "an array with a length of two bytes that fits into the tag",
    "dd0000000101": "an array with a length of four bytes that fits into the tag",
    "de0001a16101": "a map with a length of two bytes that fits into the tag",
    "a1ff": "text that is not UTF-8",
    "a3eda080": "text that holds half a surrogate pair",
    "a2c080": "text in an overlong form of UTF-8",
    "82a16201a16102": "keys that do not ascend",
    "82a16101a16102": "a key twice",
    "810101": "a key that is a number",
    "81c4016101": "a key that is bytes",
    "ca3f800000": "a float of 32 bits",
    "cb3ff0000000000000": "a float of 64 bits",
    "c1": "the type that MessagePack never uses",
    "d40000": "an extension of one byte",
    "c7010000": "an extension of any length",
    "d6ff00000000": "a time stamp",
    "": "nothing",
    "c0c0": "two values",
    "91": "an array without its value",
    "81a161": "a map without its value",
    "c403ffff": "fewer bytes than promised",
    "91919191919101": "values nested too deeply",
}
MESSAGES: dict[str, tuple[dict[str, Any], bytes]] = {
    "hello of a client": (
        {"features": ["look"], "program": "bork 0.1.0", "role": "client", "versions": [1, 1]},
        b"",
    ),
    "hello of a server": (
        {"features": ["look"], "program": "bork 0.1.0", "role": "server", "versions": [1, 1]},
        b"",
    ),
    "hello of an older server": (
        {"features": [], "program": "bork 0.0.9", "role": "server", "versions": [1, 1]},
        b"",
    ),
    "open": ({"path": b"/~/repo", "request": 1, "verb": "open"}, b""),
    "opened": ({"answer": 1, "append_only": True}, b""),
    "get_ranges": ({"ranges": [[PACK, 64, 3, 100, 2]], "request": 2, "verb": "get_ranges"}, b""),
    "ranges": ({"answer": 2}, b"abcde"),
    "list": ({"collection": "packs", "request": 3, "verb": "list"}, b""),
    "listing": ({"answer": 3, "more": False}, bytes.fromhex(ID) + (1000).to_bytes(8, "big")),
    "look": ({"contents": True, "holders": True, "request": 3, "verb": "look", "what": "sessions"}, b""),
    "shown": (
        {"answer": 3, "more": False},
        bytes.fromhex(ID) + (7).to_bytes(8, "big") + (7).to_bytes(4, "big") + b"\1\0\0\0" + b"session"
        + bytes.fromhex("0e" * 32) + (9).to_bytes(8, "big") + b"\xff\xff\xff\xff" + b"\0\0\0\0",
    ),
    "commit": (
        {"name": f"archives/{ID}", "request": 4, "session": f"sessions/{ID}", "verb": "put_while_held"},
        b"head",
    ),
    "committed": ({"answer": 4, "intact": True}, b""),
    "delete_if": (
        {"content": bytes.fromhex(ID), "name": f"archives/{ID}", "request": 4, "verb": "delete_if"},
        b"",
    ),
    "deleted": ({"answer": 4, "deleted": True}, b""),
    "put": ({"name": f"archives/{ID}", "request": 4, "verb": "put_if_absent"}, b"head"),
    "refusal": (
        {
            "answer": 4,
            "error": "ObjectExists",
            "message": f"There is already an object archives/{ID} in /srv/repo.",
            "values": [f"archives/{ID}", "/srv/repo"],
        },
        b"",
    ),
    "last words": (
        {
            "answer": 0,
            "error": "ConnectionBrokenWithHint",
            "message": "Connection to remote host is broken: no hello came for 60 seconds.",
            "values": ["no hello came for 60 seconds"],
        },
        b"",
    ),
}


def shown(value: Any) -> Any:
    """JSON has no byte strings."""
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, dict):
        return {key: shown(each) for key, each in value.items()}
    return [shown(each) for each in value] if isinstance(value, list) else value


def content() -> dict[str, Any]:
    return {
        "values": [{"value": shown(value), "encoded": encoded(value).hex()} for value in VALUES],
        "refused": [{"encoded": data, "why": why} for data, why in REFUSED.items()],
        "messages": [
            {"name": name, "body": shown(body), "data": data.hex(), "message": message(body, data).hex()}
            for name, (body, data) in MESSAGES.items()
        ],
    }


if __name__ == "__main__":
    path = Path(__file__).resolve().parent / "protocol.json"
    path.write_text(json.dumps(content(), indent=1, ensure_ascii=True) + "\n")
