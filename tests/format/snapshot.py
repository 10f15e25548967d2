"""What a directory tree holds, as plain data that can be kept in a file and compared with another tree."""

import os
from typing import TypeAlias

from blake3 import blake3

from demo.comparison import read_tree

Entry: TypeAlias = dict[str, object]


def text(path: bytes) -> str:
    """Bytes as text that JSON can hold; what is not UTF-8 becomes lone surrogates."""
    return path.decode("utf-8", "surrogateescape")


def snapshot(root: bytes) -> dict[str, Entry]:
    """Every entry below ``root`` with all of its metadata and the digest of its content, by path."""
    found: dict[str, Entry] = {}
    for path, entry in sorted(read_tree(root).items()):
        values: Entry = {
            "mode": f"{entry.kind | entry.mode:06o}",
            "uid": entry.uid,
            "gid": entry.gid,
            "mtime_ns": entry.mtime_ns,
            "size": entry.size_bytes,
            "target": text(entry.target),
            "device": [os.major(entry.device), os.minor(entry.device)] if entry.device else [],
            "xattrs": {text(name): value.hex() for name, value in entry.xattrs},
            "flags": entry.flags,
            "linked_with": [text(other) for other in entry.linked_with],
        }
        found[text(path)] = {name: value for name, value in values.items() if value not in ("", [], {}, 0)}
        if values["mode"][:3] == "100":  # type: ignore[index]  # it is a text
            with open(os.path.join(root, path), "rb") as file:
                found[text(path)]["blake3"] = blake3(file.read()).hexdigest()
    return found
