"""What a hostile client shows by SFTP, in trees: ``python -m tests.real.lies TREE LOG`` stands in the place of ssh."""

import stat
import sys
from pathlib import Path

from tests.real.lying_sftp import Node, Tree, directory, serve, tree_of
from vectors.fixed import noise

LINK = stat.S_IFLNK | 0o777
STEERS = b"\x1b]0;owned\x07\x1b[2J"
FORGES = b"\nforged line"
KNOWN = noise(300_000, 1)  # two clients have it
OUT = (b"../out", b"../../out", b"below/out", b"/etc/passwd", b"..", b".", b"", b"zero\0byte", b"x" * 300)


def deep(path: bytes) -> Node | None:
    """Directories in directories, without an end."""
    return directory(b"d" * 200) if path.strip(b"/d") == b"" else None


def leading_out(path: bytes) -> Node | None:
    """Names that are no names, each in a directory of its own, and one between good ones."""
    numbers = [b"%d" % number for number in range(len(OUT))]
    parts = path.split(b"/")[1:]
    if parts == [b""]:
        return directory(*numbers, b"good")
    if parts[0] in numbers and len(parts) == 1:
        return directory(b"before", OUT[int(parts[0])], b"behind")
    return Node(content=b"x") if parts == [b"good"] or parts[0] in numbers else None


TREES: dict[str, Tree] = {
    "honest": tree_of({b"/etc/passwd": Node(content=b"root:x:0:0::/:\n"), b"/srv/known": Node(content=KNOWN)}),
    "lies": tree_of(
        {
            b"/etc/passwd": Node(content=STEERS + b":x:0:0::/:\n"),
            b"/etc/group": Node(LINK, b"/proc/self/root/etc/group"),
            b"/names/" + STEERS + FORGES: Node(content=b"x"),
            b"/links/out": Node(LINK, b"/etc/passwd"),
            b"/links/up": Node(LINK, b"../" * 100 + b"etc/passwd"),
            b"/links/steers": Node(LINK, STEERS + FORGES),
            b"/links/long": Node(LINK, b"x" * 50_000),
            b"/links/empty": Node(LINK),
            b"/links/directory": Node(LINK, b"/etc"),
            b"/links/directory/passwd": Node(content=b"x"),
            b"/sizes/huge": Node(content=b"x", size=2**63 - 1),
            b"/sizes/negative": Node(content=b"x" * 100, size=2**64 - 1),
            b"/sizes/more than it says": Node(content=b"x" * 100_000, size=1),
            b"/kinds/none": Node(0o644),
            b"/kinds/all": Node(0o177777),
            b"/kinds/device": Node(stat.S_IFBLK | 0o666),
            b"/kinds/set-uid": Node(stat.S_IFREG | 0o6777, b"#!/bin/sh\ntouch /tmp/owned\n"),
        }
    ),
    "an answer too long": tree_of({b"/link": Node(LINK, b"x" * 100_000), b"/near": Node(content=b"x")}),
    "leading out": leading_out,
    "deep": deep,
}

if __name__ == "__main__":
    serve(TREES[sys.argv[1]], Path(sys.argv[2]))
