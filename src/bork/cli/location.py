"""Where a repository is, and which archive in it: ``REPO``, ``REPO::ARCHIVE``, ``::ARCHIVE``.

Local paths, ``file://``, ``ssh://`` and ``host:path``. A path may hold
single colons, never two. An archive name holds no slash. Other schemes are refused; Borg makes a directory ``sftp:``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import NamedTuple

# No two colons in a row: those separate the archive.
_CHARACTERS = r"(?:[^:]|:(?!:))+"
_ARCHIVE = r"(?:::(?P<archive>[^/]+))?\Z"
_HOST = r"(?:(?P<user>[^@:/]+)@)?(?P<host>(?!\[)[^:/]+(?<!\])|\[[0-9a-fA-F:.]+\])"
# Compiled when they are used: that takes longer than to parse a location with them.
_SSH = rf"ssh://{_HOST}(?::(?P<port>\d+))?(?P<path>/{_CHARACTERS}){_ARCHIVE}"
_FILE = rf"file://(?P<path>[^/]*/{_CHARACTERS}){_ARCHIVE}"
_SCP_OR_LOCAL = rf"(?![A-Za-z0-9+.-]+://)(?:{_HOST}:)?(?!:|//)(?P<path>{_CHARACTERS}){_ARCHIVE}"
_FROM_ENVIRONMENT = r"(?:::(?P<archive>[^/]+)?)?\Z"


class Location(NamedTuple):
    """A parsed location. ``path`` is normalized, and not made absolute: see ``absolute_path``."""

    protocol: str  # "file" or "ssh"
    path: str
    archive: str | None = None
    user: str | None = None
    host: str | None = None  # without the brackets of an IPv6 address
    port: int | None = None

    @property
    def is_local(self) -> bool:
        return self.protocol == "file"

    def absolute_path(self) -> str:
        return os.path.abspath(self.path)

    def canonical(self) -> str:
        """How messages and JSON name the repository."""
        if self.is_local:
            return self.absolute_path()
        host = f"[{self.host}]" if self.host and ":" in self.host else self.host
        port = f":{self.port}" if self.port else ""
        return f"ssh://{f'{self.user}@' if self.user else ''}{host}{port}{self.remote_path()}"

    def remote_path(self) -> str:
        """What a server is asked for: ``/absolute``, ``/./relative`` to where it runs, ``/~/in`` its home."""
        if self.path.startswith("/"):
            return self.path
        return f"/{self.path}" if self.path.startswith("~") else f"/./{self.path}"


def parse(
    text: str, *, default_repository: Callable[[], str | None], replace: Callable[[str], str] = lambda text: text
) -> Location | None:
    """Parse ``text``; None if it is no location. ``replace`` replaces placeholders, in the text and in the default.

    An empty text, ``::`` and ``::ARCHIVE`` mean the repository that ``default_repository`` names.
    """
    replaced = replace(text)
    location = _parse(replaced)
    if location is not None:
        return location
    match = re.match(_FROM_ENVIRONMENT, replaced, re.DOTALL)
    repository = default_repository() if match else None
    if match is None or repository is None:
        return None
    location = _parse(replace(repository))
    return location and location._replace(archive=match["archive"])


def _parse(text: str) -> Location | None:
    if text.startswith("ssh://"):
        match = re.match(_SSH, text, re.DOTALL)
        if match is None:
            return None
        port = int(match["port"]) if match["port"] else None
        return Location("ssh", _normalize(match["path"]), match["archive"], match["user"], _bare(match["host"]), port)
    match = re.match(_FILE if text.startswith("file://") else _SCP_OR_LOCAL, text, re.DOTALL)
    if match is None:
        return None
    parts = match.groupdict()
    protocol = "ssh" if parts.get("host") else "file"
    return Location(protocol, _normalize(match["path"]), match["archive"], parts.get("user"), _bare(parts.get("host")))


def _bare(host: str | None) -> str | None:
    return host.strip("[]") if host else None


def _normalize(path: str) -> str:
    """``normpath``, which keeps ``/./`` in front: over ssh it means relative to the directory of the server."""
    normal = os.path.normpath(path)
    return f"/.{normal}" if path.startswith("/./") else normal


def is_archive_name(name: str) -> bool:
    return bool(name) and "/" not in name and "::" not in name
