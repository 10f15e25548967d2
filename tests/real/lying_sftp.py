"""An SFTP server in the hands of whoever has taken over a client. It has no disk: what it shows it makes up.

See https://datatracker.ietf.org/doc/html/draft-ietf-secsh-filexfer-02 for the protocol.
"""

import os
import posixpath
import stat
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tests.reference.binary import Cursor

INIT, VERSION, OPEN, CLOSE, READ, LSTAT, FSTAT, OPENDIR, READDIR, REALPATH, STAT = 1, 2, 3, 4, 5, 7, 8, 11, 12, 16, 17
READLINK, STATUS, HANDLE, DATA, NAME, ATTRS, EXTENDED = 19, 101, 102, 103, 104, 105, 200
OF_PATHS = {LSTAT, STAT, READLINK, REALPATH, OPEN, OPENDIR}
OF_HANDLES = {CLOSE, READ, FSTAT, READDIR}
READ_ONLY = 1  # the flag of OPEN
END, MISSING, UNSUPPORTED = 1, 2, 8
OLD_S = 1_500_000_000
PAGE = 100  # names in an answer


@dataclass(frozen=True)
class Node:
    """What is said of a path. ``content``: of a file, or where a link leads. ``names``: None, if it is no directory."""

    mode: int = stat.S_IFREG | 0o644
    content: bytes = b""
    size: int | None = None  # None: the length of the content
    names: tuple[bytes, ...] | None = None

    def attributes(self) -> bytes:
        """Size, owner, mode, times."""
        size = len(self.content) if self.size is None else self.size
        return struct.pack(">IQIIIII", 15, size, 0, 0, self.mode, OLD_S, OLD_S)


Tree = Callable[[bytes], Node | None]  # by path


def directory(*names: bytes) -> Node:
    return Node(stat.S_IFDIR | 0o755, names=names)


def tree_of(nodes: Mapping[bytes, Node]) -> Tree:
    """With the directories that the paths need."""

    def find(path: bytes) -> Node | None:
        below = path.rstrip(b"/") + b"/"
        inside = [name[len(below) :].partition(b"/")[0] for name in nodes if name.startswith(below)]
        return nodes.get(path) or (directory(*dict.fromkeys(inside)) if inside else None)

    return find


class Liar:
    """One session."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._open: dict[bytes, tuple[bytes, Node, Iterator[bytes]]] = {}
        self._opened = 0

    def answer(self, kind: int, cursor: Cursor) -> bytes:
        """Type, id and body of the answer."""
        if kind == INIT:
            return bytes([VERSION]) + struct.pack(">I", 3)
        number = cursor.take(4)
        said, body = status(UNSUPPORTED)
        if kind in OF_PATHS:
            said, body = self._of_path(kind, posixpath.normpath(string(cursor)))
        elif kind in OF_HANDLES:
            said, body = self._of_handle(kind, string(cursor), cursor)
        return bytes([said]) + number + body

    def _of_path(self, kind: int, path: bytes) -> tuple[int, bytes]:
        node = self._tree(path)
        if node is None:
            return status(MISSING)
        if kind in (LSTAT, STAT):
            return ATTRS, node.attributes()
        if kind in (READLINK, REALPATH):
            return NAME, struct.pack(">I", 1) + named(path if kind == REALPATH else node.content, node)
        self._opened += 1
        handle = struct.pack(">I", self._opened)
        self._open[handle] = path, node, iter(node.names or ())
        return HANDLE, sized(handle)

    def _of_handle(self, kind: int, handle: bytes, cursor: Cursor) -> tuple[int, bytes]:
        path, node, names = self._open[handle]
        if kind == FSTAT:
            return ATTRS, node.attributes()
        if kind == READ:
            offset, length = struct.unpack(">QI", cursor.take(12))
            part = node.content[offset : offset + length]
            return (DATA, sized(part)) if part else status(END)
        if kind == READDIR:
            page = list(islice(names, PAGE))
            shown = b"".join(named(name, self._tree(posixpath.join(path, name)) or Node()) for name in page)
            return (NAME, struct.pack(">I", len(page)) + shown) if page else status(END)
        return status(0)


def string(cursor: Cursor) -> bytes:
    """The next one."""
    return cursor.take(int.from_bytes(cursor.take(4), "big"))


def sized(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def named(name: bytes, node: Node) -> bytes:
    return sized(name) * 2 + node.attributes()


def status(code: int) -> tuple[int, bytes]:
    return STATUS, struct.pack(">I", code) + sized(b"") * 2


def serve(tree: Tree, log: Path) -> None:
    """On the standard streams, to their end. All that is asked is kept in ``log``."""
    liar = Liar(tree)
    with log.open("ab", buffering=0) as heard, open(0, "rb", closefd=False) as asked:
        while len(start := asked.read(4)) == 4:
            request = asked.read(int.from_bytes(start, "big"))
            heard.write(start + request)
            answer = sized(liar.answer(request[0], Cursor(request[1:], "request")))
            while answer:
                answer = answer[os.write(1, answer) :]


def requests(log: Path) -> Iterator[tuple[int, bytes]]:
    """Type and body of all that was asked; without ids and handles, which are numbers."""
    cursor = Cursor(log.read_bytes(), "log")
    while cursor.left:
        request = Cursor(string(cursor), "request")
        kind = request.number(1)
        request.take(4)
        if kind in OF_HANDLES:
            string(request)
        yield kind, request.take(request.left)


def flags(opened: bytes) -> int:
    """Of the body of an OPEN."""
    request = Cursor(opened, "request")
    string(request)
    return int.from_bytes(request.take(4), "big")
