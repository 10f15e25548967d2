"""What names from the configuration may look like, before any of them becomes a word of a command.

Whatever passes here cannot be taken for an option by ssh or Bork, and holds nothing that a terminal obeys. Functions
raise ValueError with a sentence.
"""

from __future__ import annotations

import os
import posixpath
import re

_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_DESTINATION = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9._-]*@)?(?:[A-Za-z0-9_][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])")
_SSH_OPTION = re.compile(r"([A-Za-z]+)=(.+)")
_PROGRAM = re.compile(r"[A-Za-z0-9_/.][A-Za-z0-9_/.+-]*")


def host(name: str) -> str:
    """The name of a table: also a file name, and a part of archive names."""
    if not _HOST.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a host: letters, digits, '.', '_' and '-', at most 63")
    return name


def destination(text: str) -> str:
    """``[USER@]HOST``, as ssh takes it."""
    if not _DESTINATION.fullmatch(text):
        raise ValueError(f"{text!r} is no destination of the form [USER@]HOST")
    return text


def one_line(text: str) -> str:
    """Any text that is not empty and has no control characters."""
    if not text:
        raise ValueError("it is empty")
    if any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in text):
        raise ValueError(f"{text!r} holds a control character")
    return text


def path(text: str) -> str:
    """An absolute path."""
    if not one_line(text).startswith("/"):
        raise ValueError(f"{text!r} is not absolute")
    return text


def source(text: str) -> str:
    """A path of a host that is to be backed up: absolute, and nothing above it is meant."""
    if ".." in path(text).split("/"):
        raise ValueError(f"{text!r} holds '..'")
    return text


def repository(text: str) -> str:
    """A location that stands by itself: a timer does not run where the user is."""
    if "::" in one_line(text) or text.startswith("-"):
        raise ValueError(f"{text!r} is no repository")
    if not text.startswith(("/", "~/", "ssh://", "file:///")) and not re.match(r"[^/:]+:.", text):
        raise ValueError(f"{text!r} is not absolute")
    return text


def place(repository: str) -> str:
    """The same text for the same repository, however it is spelled, as far as that can be told from here."""
    local = repository.removeprefix("file://")
    if local.startswith("/"):
        return os.path.realpath(local)
    if repository.startswith("ssh://"):
        host, _, path = repository.removeprefix("ssh://").partition("/")
        path = f"/{path}" if not path.startswith(("./", "~/")) else path[2:]
    else:
        host, _, path = repository.partition(":")
    user, _, host = host.rpartition("@")
    host = host.lower().removesuffix(":22")
    path = posixpath.normpath(path.removeprefix("~/"))
    return f"{user}@{host}:{path.replace('//', '/', 1) if path.startswith('//') else path}"


def ssh_option(text: str) -> str:
    """``Name=value``, for ``ssh -o``. What would let anybody answer in place of the host is refused."""
    match = _SSH_OPTION.fullmatch(one_line(text))
    if match is None:
        raise ValueError(f"{text!r} is no option of the form Name=value, such as Port=2222")
    name, words = match[1].lower(), match[2].lower().replace('"', " ").replace("'", " ").split()
    if name == "stricthostkeychecking" and not set(words) <= {"yes", "true", "ask", "accept-new"}:
        raise ValueError("StrictHostKeyChecking stays on: get the key of the host once with ssh or ssh-keyscan")
    if name in ("userknownhostsfile", "globalknownhostsfile") and {"/dev/null", "none"} & set(words):
        raise ValueError("the key of the host has to be known: UserKnownHostsFile is needed")
    return text


def program(text: str) -> str:
    """The name or the path of a program on a host, which a shell reads as it is."""
    if not _PROGRAM.fullmatch(text):
        raise ValueError(f"{text!r} is no name of a program")
    return text
