"""What the server tells the client to back up. At the client it is hostile input: only what is allowed here is in it.

It names paths, patterns and how to store; no program, no file of the client's other than the paths to back up, and no
place. The name of the archive is final: whoever stores it has chosen it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import bork
from bork.errors import RPCServerOutdated
from bork.operations.create import Compression, CreateOptions, Root
from bork.operations.selection import ArchiveName, ItemLines, Pattern
from bork.protocol.codec import Malformed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bork.protocol.codec import Value

VERSION = 1
FLAGS = (
    *("dry_run", "one_file_system", "numeric_ids", "atime", "noctime", "nobirthtime", "noflags", "noacls", "noxattrs"),
    *("sparse", "read_special", "exclude_nodump", "exclude_caches", "keep_exclude_tags"),
)
LEVELS = ("debug", "info", "warning", "error", "critical")
STATISTICS = ("", "quick", "full", "json", "quick json")
TEXT_MAX = 4096  # characters or bytes of one text
_LEVEL_MAX = 22  # of any compression
_EXPONENTS = range(6, 24)  # of chunk sizes
_CHUNK_MAX = 20 << 20  # bytes of a block, and of a header, of --chunker-params fixed
_FILES_CACHES = (
    *("ctime,size,inode", "mtime,size,inode", "ctime,size", "mtime,size"),
    *("rechunk,ctime", "rechunk,mtime", "disabled", "size"),
)
_MODES = ("repokey", "keyfile", "authenticated", "none")


class Talk(NamedTuple):
    """What of its work the client is to tell."""

    level: str = "warning"
    progress: bool = False
    list_filter: bytes | None = None  # status letters
    lists: bool = False
    statistics: str = ""  # one of STATISTICS
    iec: bool = False
    modern_exit_codes: bool = False


class Order(NamedTuple):
    """One run. ``options`` has no host, user or directory: the client knows those itself."""

    place: str  # of the repository, for messages
    path: bytes  # what to ask ``bork serve`` for
    archive: str
    options: Mapping[str, Any]  # by the names of CreateOptions
    roots: tuple[Root, ...]
    command_line: tuple[str, ...]
    talk: Talk
    rate_bytes_s: int = 0  # at which the client may send; 0: no limit
    lock_wait_s: int = 1
    passphrase: bytes | None = None  # None: the client has its own
    encryption: str | None = None  # not None: make the repository, and nothing else

    def create_options(self, *, roots: tuple[Root, ...], hostname: str, username: str, cwd: str) -> CreateOptions:
        """For ``operations.create``. ``roots``: those of the order, as far as they are allowed."""
        lines = ItemLines("json", self.talk.list_filter) if self.talk.lists else None
        return CreateOptions(
            archive=ArchiveName(self.archive),
            roots=roots,
            command_line=self.command_line,
            lines=lines,
            hostname=hostname,
            username=username,
            cwd=cwd,
            **self.options,
        )


def options_of(options: CreateOptions) -> dict[str, Any]:
    """What of ``options`` a client may be told. What it may not (streams, commands) has to be refused before."""
    names = (*FLAGS, "comment", "timestamp_ns", "files_cache", "files_changed", "compression", "chunker")
    return {name: getattr(options, name) for name in (*names, "patterns", "exclude_if_present")}


# ---- to bytes ----------------------------------------------------------------------------------------------------


def encode(order: Order) -> dict[str, Value]:
    """The value of the preamble."""
    options = order.options
    talk = order.talk
    return {
        "archive": order.archive,
        "chunker": list(options["chunker"]),
        "command_line": [_bytes(word) for word in order.command_line],
        "comment": options["comment"],
        "compression": list(options["compression"]),
        "encryption": order.encryption,
        "exclude_if_present": list(options["exclude_if_present"]),
        "files_cache": options["files_cache"],
        "files_changed": options["files_changed"],
        "iec": talk.iec,
        "flags": [flag for flag in FLAGS if options[flag]],
        "level": talk.level,
        "list_filter": talk.list_filter,
        "lock_wait_s": order.lock_wait_s,
        "lists": talk.lists,
        "modern_exit_codes": talk.modern_exit_codes,
        "passphrase": order.passphrase,
        "path": order.path,
        "patterns": [[pattern.action, pattern.style, pattern.text] for pattern in options["patterns"]],
        "place": order.place,
        "program": program(),
        "progress": talk.progress,
        "rate_bytes_s": order.rate_bytes_s,
        "roots": [list(root) for root in order.roots],
        "statistics": talk.statistics,
        "timestamp_ns": options["timestamp_ns"],
        "version": VERSION,
    }


def program() -> str:
    """How we call ourselves."""
    return f"bork {bork.__version__}"


# ---- and from them -----------------------------------------------------------------------------------------------


def _text(value: Value) -> bool:
    return isinstance(value, str) and len(value) <= TEXT_MAX


def _data(value: Value) -> bool:
    return isinstance(value, bytes) and len(value) <= TEXT_MAX and b"\0" not in value


def _flag(value: Value) -> bool:
    return isinstance(value, bool)


def _number(value: Value, numbers: range) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value in numbers


def _natural(value: Value) -> bool:
    return _number(value, range(1 << 63))


def _one_of(*known: str) -> Callable[[Value], bool]:
    return lambda value: isinstance(value, str) and value in known


def _optional(check: Callable[[Value], bool]) -> Callable[[Value], bool]:
    return lambda value: value is None or check(value)


def _all(check: Callable[[Value], bool]) -> Callable[[Value], bool]:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _archive(value: Value) -> bool:
    return isinstance(value, str) and 0 < len(value) <= TEXT_MAX and "/" not in value and "::" not in value


def _pattern(value: Value) -> bool:
    match value:
        case ["+" | "-" | "!", "fm" | "sh" | "re" | "pp" | "pf", bytes()]:
            return True
        case _:
            return False


def _root(value: Value) -> bool:
    """Stored below the directory of a later extract, as the command line has it, too."""
    match value:
        case [bytes(source), bytes(stored)]:
            names = stored.split(b"/")
            return _data(source) and _data(stored) and source != b"" and (stored == b"." or _is_relative(names))
        case _:
            return False


def _is_relative(names: list[bytes]) -> bool:
    return not any(name in (b"", b".", b"..") for name in names)


def _compression(value: Value) -> bool:
    match value:
        case ["none" | "lz4" | "zstd" | "zlib" | "lzma", level, bool(), spec]:
            return _number(level, range(_LEVEL_MAX + 1)) and _number(spec, range(251))
        case _:
            return False


def _chunker(value: Value) -> bool:
    match value:
        case ["gear", low, high, average]:
            return all(_number(each, _EXPONENTS) for each in (low, high, average))
        case ["fixed", block, header]:
            return _number(block, range(64, _CHUNK_MAX)) and _number(header, range(_CHUNK_MAX))
        case _:
            return False


MEMBERS: Mapping[str, Callable[[Value], bool]] = {
    "archive": _archive,
    "chunker": _chunker,
    "command_line": _all(lambda value: isinstance(value, bytes)),
    "comment": _text,
    "compression": _compression,
    "encryption": _optional(_one_of(*_MODES)),
    "exclude_if_present": _all(_data),
    "files_cache": _optional(_one_of(*_FILES_CACHES)),
    "files_changed": _one_of("ctime", "mtime", "disabled"),
    "flags": _all(_one_of(*FLAGS)),
    "iec": _flag,
    "level": _one_of(*LEVELS),
    "list_filter": _optional(_data),
    "lists": _flag,
    "lock_wait_s": _natural,
    "modern_exit_codes": _flag,
    "passphrase": _optional(lambda value: isinstance(value, bytes)),
    "path": lambda value: _data(value) and value != b"",
    "patterns": _all(_pattern),
    "place": _text,
    "program": _text,
    "progress": _flag,
    "rate_bytes_s": _natural,
    "roots": _all(_root),
    "statistics": _one_of(*STATISTICS),
    "timestamp_ns": _optional(_natural),
    "version": lambda value: _number(value, range(VERSION, VERSION + 1)),
}


def decode(body: Mapping[str, Value]) -> Order:
    """Raises: RPCServerOutdated, for an order of another version; Malformed."""
    version, theirs = body.get("version"), body.get("program")
    if version != VERSION or isinstance(version, bool):
        spoken = theirs if isinstance(theirs, str) and _text(theirs) else "an unknown program"
        raise RPCServerOutdated(f"{program()}, orders of version {VERSION}", f"{spoken}, version {version!r:.20}")
    if body.keys() != MEMBERS.keys():
        raise Malformed(f"an order with {', '.join(sorted(body.keys() ^ MEMBERS.keys()))[:200]} too much or too little")
    for name, check in MEMBERS.items():
        if not check(body[name]):
            raise Malformed(f"an order with a bad value of {name}")
    return _order(cast("Mapping[str, Any]", body))


def _order(body: Mapping[str, Any]) -> Order:
    options: dict[str, Any] = {flag: flag in body["flags"] for flag in FLAGS}
    options |= {name: body[name] for name in ("comment", "timestamp_ns", "files_cache", "files_changed")}
    options |= {
        "chunker": tuple(body["chunker"]),
        "compression": Compression(*body["compression"]),
        "exclude_if_present": tuple(body["exclude_if_present"]),
        "patterns": tuple(Pattern(*each) for each in body["patterns"]),
    }
    talk = Talk(
        level=body["level"],
        progress=body["progress"],
        list_filter=body["list_filter"],
        lists=body["lists"],
        statistics=body["statistics"],
        iec=body["iec"],
        modern_exit_codes=body["modern_exit_codes"],
    )
    return Order(
        place=body["place"],
        path=body["path"],
        archive=body["archive"],
        options=options,
        roots=tuple(Root(*each) for each in body["roots"]),
        command_line=tuple(word.decode("utf-8", "surrogateescape") for word in body["command_line"]),
        talk=talk,
        rate_bytes_s=body["rate_bytes_s"],
        lock_wait_s=body["lock_wait_s"],
        passphrase=body["passphrase"],
        encryption=body["encryption"],
    )


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
