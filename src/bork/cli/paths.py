"""Recursion roots: what to read, and under which path to store it.

A stored path is relative and stays below the directory that it is extracted to. ``/a/b/./c`` is read as ``/a/b/c`` and
stored as ``c``.
"""

from __future__ import annotations

import os

PATH_LENGTH_MAX = 65535  # bytes, see docs/format/tree.md


def root(path: str) -> tuple[bytes, bytes]:
    """(path to read, path to store), as bytes. The stored path of the directory itself is ``.``."""
    source = os.path.normpath(path)
    return os.fsencode(source), os.fsencode(stored(path))


def root_inside(path: str) -> tuple[bytes, bytes]:
    """As ``root``, for a path inside a foreign root: the path to read is relative to it, and ``/..`` is ``/``."""
    source = os.path.normpath(f"/{path}").lstrip("/") or "."
    return os.fsencode(source), os.fsencode(stored(path))


def stored(path: str) -> str:
    """The path in the archive for a PATH of the command line."""
    source = os.path.normpath(path)
    prefix = strip_prefix(path)
    if prefix is not None:
        if f"{source}/" == prefix:
            return "."
        source = source.removeprefix(prefix)
    return safe(source)


def strip_prefix(path: str) -> str | None:
    """The part in front of ``/./``, with a slash at its end: it is read, but not stored."""
    position = path.find("/./")
    return f"{os.path.normpath(path[:position])}/" if position > 0 else None


def safe(path: str) -> str:
    """Relative, and without ``..`` in front."""
    parts = path.split("/")
    while parts and parts[0] in ("", "..", "."):
        parts.pop(0)
    return "/".join(parts) or "."


def stdin_name(name: str) -> str:
    """The path in the archive of what has only a name. Where it would not be below the archive, there is none.

    Raises: ValueError.
    """
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if not parts or ".." in parts or len(os.fsencode("/".join(parts))) > PATH_LENGTH_MAX:
        raise ValueError(f"no path of an archive: {name!r}")
    return "/".join(parts)
