"""A file system that exists in memory only, writes down every change, and can fail at any call.

It behaves towards ``bork.storage`` as Linux does: descriptors, links, locks that die with the process, errors by
number. What it adds is ``log``, from which ``states.py`` derives what a power cut could have left at every instant.
"""

import errno
import fcntl
import os
import stat as modes
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from typing_extensions import Buffer

ROOT = 0  # the number of the root directory
FREE_BYTES = 1 << 20  # little enough that no reserve is kept for a full disk


# ---- what is written down ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Made:
    """A node that is new. It has no name yet."""

    node: int
    is_directory: bool


@dataclass(frozen=True, slots=True)
class Wrote:
    """Bytes of a file, in the page cache only."""

    node: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Synced:
    """A file's bytes, or a directory's names, are durable."""

    node: int


@dataclass(frozen=True, slots=True, eq=False)
class Named:
    """A name in a directory stands for ``node`` now; None: for nothing. Not durable yet."""

    directory: int
    name: str
    node: int | None
    after: "Named | None" = None  # the new name, if this removes the old one of a rename: it never comes alone


Effect: TypeAlias = Made | Wrote | Synced | Named
Change: TypeAlias = tuple[Effect, ...]  # of one call


@dataclass(frozen=True, slots=True)
class State:
    """What a disk holds: names of directories, bytes of files, both by node. Nodes without a name may be in it."""

    names: Mapping[int, Mapping[str, int]]
    data: Mapping[int, bytes]

    def files(self, directory: int = ROOT, path: str = "") -> Iterator[tuple[str, bytes]]:
        """Path and content of every file below a directory, sorted."""
        for name, node in sorted(self.names[directory].items()):
            if node in self.data:
                yield path + name, self.data[node]
            elif self.names[node]:
                yield from self.files(node, f"{path}{name}/")


EMPTY = State({ROOT: {}}, {})


# ---- the file system ---------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Node:
    """A file or a directory."""

    number: int
    names: dict[str, "Node"] | None  # None: a file
    data: bytearray = field(default_factory=bytearray)
    links: int = 0
    locks: dict[int, int] = field(default_factory=dict)  # descriptor: LOCK_EX or LOCK_SH
    written_ns: int = field(default_factory=time.time_ns)

    @property
    def entries(self) -> dict[str, "Node"]:
        """Of a directory."""
        if self.names is None:
            raise failure(errno.ENOTDIR)
        return self.names


def failure(number: int, path: str = "") -> OSError:
    """As the operating system raises it."""
    return OSError(number, os.strerror(number), path)


class Disk:
    """Use ``machine()`` as the ``Directory`` that stores are opened in.

    ``before`` is called with the name of each call, ``after`` when a call has changed something. Both may raise.
    """

    def __init__(self, state: State = EMPTY) -> None:
        self.before: Callable[[str], None] = lambda _: None
        self.after: Callable[[], None] = lambda: None
        self.log: list[Change] = []
        self.short_write = False  # the next write takes only a part
        self.files: dict[int, Node] = {}  # by descriptor
        self._next_node = 1 + max([*state.names, *state.data])
        self._next_fd = 1000
        nodes = {number: Node(number, {}) for number in state.names}
        nodes |= {number: Node(number, None, bytearray(data)) for number, data in state.data.items()}
        for number, names in state.names.items():
            for name, child in names.items():
                nodes[number].entries[name] = nodes[child]
                nodes[child].links += 1
        self.root = nodes[ROOT]

    def machine(self) -> "SimulatedDirectory":
        """The whole of it, by absolute paths."""
        return SimulatedDirectory(self, self.root)

    def state(self) -> State:
        """What it holds when everything has reached the medium: all is well, or only the process died."""
        names: dict[int, dict[str, int]] = {}
        data: dict[int, bytes] = {}
        todo = [self.root]
        while todo:
            node = todo.pop()
            if node.names is None:
                data[node.number] = bytes(node.data)
            else:
                names[node.number] = {name: child.number for name, child in node.names.items()}
                todo += node.names.values()
        return State(names, data)

    def node(self, path: str) -> Node:
        """What a path below the root names."""
        node = self.root
        for name in path.split("/"):
            node = node.entries[name]
        return node

    def new_node(self, names: dict[str, Node] | None) -> Node:
        """Without a name yet."""
        self._next_node += 1
        return Node(self._next_node, names)

    def new_descriptor(self, node: Node) -> int:
        """Open a node."""
        self._next_fd += 1
        self.files[self._next_fd] = node
        return self._next_fd

    def kill(self) -> None:
        """The process that had it ends at once: its descriptors and locks go, and what it wrote stays."""
        self.before, self.after = lambda _: None, lambda: None
        for node in self.files.values():
            node.locks.clear()
        self.files.clear()

    def note(self, *effects: Effect) -> None:
        """One call has changed something."""
        self.log.append(effects)
        self.after()


@dataclass(slots=True)
class SimulatedEntry:
    """An ``Entry`` of ``scan``."""

    name: str
    node: Node
    parent: Node

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """There are no symbolic links here."""
        return self.node.names is not None

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """As os.DirEntry: of the name, now."""
        if self.parent.entries.get(self.name) is not self.node:
            raise failure(errno.ENOENT, self.name)
        return status(self.node)


def status(node: Node) -> os.stat_result:
    """What stat says of a node."""
    kind = modes.S_IFREG if node.names is None else modes.S_IFDIR
    values = (kind | 0o777, node.number, 1, node.links, 0, 0, len(node.data), 0, 0, 0)
    return os.stat_result(values, {"st_mtime_ns": node.written_ns})


class SimulatedDirectory:
    """A ``bork.storage.filesystem.Directory`` on a ``Disk``."""

    def __init__(self, disk: Disk, node: Node) -> None:
        self.disk, self.node = disk, node

    # ---- names ---------------------------------------------------------------------------------------------------

    def enter(self, path: str) -> "SimulatedDirectory":
        self.disk.before("enter")
        node = self._find(path)
        _ = node.entries
        return SimulatedDirectory(self.disk, node)

    def leave(self) -> None:
        self.disk.before("leave")

    def names(self) -> list[str]:
        self.disk.before("names")
        return sorted(self.node.entries)

    def scan(self) -> Iterator[SimulatedEntry]:
        self.disk.before("scan")
        for name, node in sorted(self.node.entries.items()):
            yield SimulatedEntry(name, node, self.node)

    def stat(self, path: str) -> os.stat_result:
        self.disk.before("stat")
        return status(self._find(path))

    def mkdir(self, path: str) -> None:
        self.disk.before("mkdir")
        parent, name = self._parent(path)
        self._refuse_if_taken(parent, name)
        self._make(parent, name, {})

    def link(self, source: str, target: str) -> None:
        self.disk.before("link")
        node = self._find(source)
        parent, name = self._parent(target)
        self._refuse_if_taken(parent, name)
        self.disk.note(self._name(parent, name, node))

    def rename(self, source: str, target: str) -> None:
        self.disk.before("rename")
        (old_parent, old), (parent, name) = self._parent(source), self._parent(target)
        node = self._find(source)
        added = self._name(parent, name, node)
        self.disk.note(added, self._unname(old_parent, old, added))

    def unlink(self, path: str) -> None:
        self.disk.before("unlink")
        parent, name = self._parent(path)
        if self._find(path).names is not None:
            raise failure(errno.EISDIR, path)
        self.disk.note(self._unname(parent, name))

    def rmdir(self, path: str) -> None:
        self.disk.before("rmdir")
        parent, name = self._parent(path)
        if self._find(path).entries:
            raise failure(errno.ENOTEMPTY, path)
        self.disk.note(self._unname(parent, name))

    def sync(self) -> None:
        self.disk.before("sync")
        self.disk.note(Synced(self.node.number))

    def free_bytes(self) -> int:
        self.disk.before("free_bytes")
        return FREE_BYTES

    def _find(self, path: str) -> Node:
        node = self.node
        for part in path.split("/"):
            if part not in ("", "."):
                try:
                    node = node.entries[part]
                except KeyError:
                    raise failure(errno.ENOENT, path) from None
        return node

    def _parent(self, path: str) -> tuple[Node, str]:
        directory, _, name = path.rstrip("/").rpartition("/")
        parent = self._find(directory)
        _ = parent.entries
        return parent, name

    @staticmethod
    def _refuse_if_taken(parent: Node, name: str) -> None:
        if name in parent.entries or name in ("", "."):
            raise failure(errno.EEXIST, name)

    def _make(self, parent: Node, name: str, names: dict[str, Node] | None) -> Node:
        node = self.disk.new_node(names)
        self.disk.note(Made(node.number, names is not None), self._name(parent, name, node))
        return node

    @staticmethod
    def _name(parent: Node, name: str, node: Node) -> Named:
        replaced = parent.entries.get(name)
        if replaced is not None:
            replaced.links -= 1
        parent.entries[name] = node
        node.links += 1
        return Named(parent.number, name, node.number)

    @staticmethod
    def _unname(parent: Node, name: str, after: Named | None = None) -> Named:
        parent.entries.pop(name).links -= 1
        return Named(parent.number, name, None, after)

    # ---- open files ----------------------------------------------------------------------------------------------

    def open(self, path: str, flags: int) -> int:
        self.disk.before("create" if flags & os.O_CREAT else "open")
        parent, name = self._parent(path)
        node = parent.entries.get(name)
        if node is None and not flags & os.O_CREAT:
            raise failure(errno.ENOENT, path)
        if node is not None and flags & os.O_EXCL:
            raise failure(errno.EEXIST, path)
        if node is None:
            node = self._make(parent, name, None)
        return self.disk.new_descriptor(node)

    def close(self, fd: int) -> None:
        self.disk.files.pop(fd).locks.pop(fd, None)
        self.disk.before("close")  # Linux has closed it, also if it reports an error

    def write(self, fd: int, data: Buffer) -> int:
        self.disk.before("write")
        content, node = bytes(data), self.disk.files[fd]
        if self.disk.short_write:
            content, self.disk.short_write = content[: (len(content) + 1) // 2], False
        offset = len(node.data)  # every file is written once, from its start
        node.data += content
        node.written_ns = time.time_ns()
        self.disk.note(Wrote(node.number, offset, content))
        return len(content)

    def read_all(self, fd: int, length_max: int | None) -> bytes:
        self.disk.before("read_all")
        return bytes(self.disk.files[fd].data[: None if length_max is None else length_max + 1])

    def pread(self, fd: int, length: int, offset: int) -> bytes:
        self.disk.before("pread")
        return bytes(self.disk.files[fd].data[offset : offset + length])

    def fsync(self, fd: int) -> None:
        self.disk.before("fsync")
        self.disk.note(Synced(self.disk.files[fd].number))

    def fstat(self, fd: int) -> os.stat_result:
        self.disk.before("fstat")
        return status(self.disk.files[fd])

    def flock(self, fd: int, operation: int) -> None:
        self.disk.before("flock")
        locks = self.disk.files[fd].locks
        kind = operation & (fcntl.LOCK_EX | fcntl.LOCK_SH)
        others = [other for holder, other in locks.items() if holder != fd]
        if (kind == fcntl.LOCK_EX and others) or fcntl.LOCK_EX in others:
            if not operation & fcntl.LOCK_NB:
                raise AssertionError("the only process waits for itself")
            raise failure(errno.EAGAIN)
        locks[fd] = kind

    def get_flags(self, fd: int) -> int:
        self.disk.before("get_flags")
        return os.O_RDWR

    def set_flags(self, fd: int, flags: int) -> None:
        self.disk.before("set_flags")

    def allocate(self, fd: int, length: int) -> None:
        self.disk.before("allocate")
        node = self.disk.files[fd]
        self.disk.note(Wrote(node.number, len(node.data), bytes(length - len(node.data))))
        node.data += bytes(length - len(node.data))
