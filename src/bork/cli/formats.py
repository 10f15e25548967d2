"""``--format`` of ``list``: Python's format strings over the keys of archives and of items.

For items the format is compiled into segments that an engine renders. What an engine cannot do (``{mtime:%Y}``,
``{path:^40}``, ``{size:,}``) is done here instead, from its JSON lines: the same result, slower.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from bork.errors import CommandError
from bork.operations.selection import Key, Text

FIXED = {"LF": "\n", "SPACE": " ", "TAB": "\t", "CR": "\r", "NUL": "\0", "NEWLINE": "\n", "NL": "\n"}

ARCHIVES_DEFAULT = "{archive:<36} {time} [{id}]{NL}"
ARCHIVES_SHORT = "{archive}{NL}"
ITEMS_DEFAULT = "{mode} {user:6} {group:6} {size:8} {mtime} {path}{extra}{NL}"
ITEMS_SHORT = "{path}{NL}"

ARCHIVE_KEYS = {
    "archive": "archive name interpreted as text (might be missing non-text characters, see barchive)",
    "name": 'alias of "archive"',
    "barchive": "verbatim archive name, can contain any character except NUL",
    "comment": "archive comment interpreted as text (might be missing non-text characters, see bcomment)",
    "bcomment": "verbatim archive comment, can contain any character except NUL",
    "id": "internal ID of the archive",
    "tam": "authentication state of this archive",
    "start": "time (start) of creation of the archive",
    "time": 'alias of "start"',
    "end": "time (end) of creation of the archive",
    "command_line": "command line which was used to create the archive",
    "hostname": "hostname of host on which this archive was created",
    "username": "username of user who created this archive",
}
_HASHES = (
    *("blake2b", "blake2s", "md5", "sha1", "sha224", "sha256", "sha384", "sha512"),
    *("sha3_224", "sha3_256", "sha3_384", "sha3_512", "xxh64"),
)
ITEM_KEYS = {
    "type": "one letter: - file, d directory, l symlink, p fifo, c and b devices, s socket",
    "mode": "type and permissions, as ls shows them; h in front for a hard link",
    "uid": "",
    "gid": "",
    "user": "",
    "group": "",
    "path": "path interpreted as text (might be missing non-text characters, see bpath)",
    "bpath": "verbatim POSIX path, can contain any character except NUL",
    "source": "link target for links (identical to linktarget)",
    "linktarget": "",
    "flags": "",
    "size": "",
    "csize": "compressed size",
    "dsize": "deduplicated size",
    "dcsize": "deduplicated compressed size",
    "num_chunks": "number of chunks in this file",
    "unique_chunks": "number of unique chunks in this file",
    "mtime": "",
    "ctime": "",
    "atime": "",
    "isomtime": "",
    "isoctime": "",
    "isoatime": "",
    **dict.fromkeys(_HASHES, ""),
    "xxh64": "XXH64 checksum of this file (note: this is NOT a cryptographic hash!)",
    "archiveid": "",
    "archivename": "",
    "extra": 'prepends {source} with " -> " for soft links and " link to " for hard links',
    "health": 'either "healthy" (file ok) or "broken" (if chunks of the file are missing)',
}
NUMBERS = frozenset(("uid", "gid", "flags", "size", "csize", "dsize", "dcsize", "num_chunks", "unique_chunks"))
TIMES = frozenset(("mtime", "ctime", "atime"))
_PADDING = re.compile(r"(?P<align>[<>])?(?P<width>[1-9][0-9]*)")


class Field(NamedTuple):
    """One part of a format string: text in front of a key; ``key`` is None at the end."""

    text: str
    key: str | None
    spec: str
    conversion: str | None


class ItemFormat(NamedTuple):
    """``segments`` for the engine. ``in_python``: ask for JSON lines and render them with ``ItemText``."""

    segments: tuple[Text | Key, ...]
    in_python: bool


def parse(text: str) -> list[Field]:
    """The fields of a format string. Raises CommandError if its braces do not match."""
    from string import Formatter  # late: only where there are formats

    try:
        return [
            Field(literal, key, spec or "", conversion) for literal, key, spec, conversion in Formatter().parse(text)
        ]
    except ValueError as error:
        raise CommandError(f"--format {text}: {error}") from None


def keys_of(text: str) -> set[str]:
    return {field.key for field in parse(text) if field.key}


def require_known(text: str, known: Mapping[str, str]) -> None:
    """Raises CommandError for a key that nobody knows."""
    for key in sorted(keys_of(text)):
        if key not in known and key not in FIXED:
            raise CommandError(f'--format {text}: there is no key {key}, see "bork list --help"')


# ---- archives ----------------------------------------------------------------------------------------------------


def render(text: str, values: Mapping[str, object]) -> str:
    """One line of a listing of archives. Raises CommandError where a spec does not fit its key."""
    try:
        return text.format_map({**FIXED, **values} if isinstance(values, dict) else values)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise CommandError(f"--format {text}: {error}") from None


# ---- items -------------------------------------------------------------------------------------------------------


def compile_items(text: str, *, json_lines: bool = False) -> ItemFormat:
    """Segments for an engine. For JSON lines only the keys count, and those that nobody knows are left out."""
    if not json_lines:
        require_known(text, ITEM_KEYS)
    fields = parse(text)
    if not json_lines and any(not _is_simple(field) for field in fields):
        keys = tuple(Key(key) for key in dict.fromkeys(field.key for field in fields) if key in ITEM_KEYS)
        return ItemFormat(keys, in_python=True)
    segments: list[Text | Key] = []
    for field in fields:
        if field.text:
            segments.append(Text(field.text.encode("utf-8", "surrogateescape")))
        if field.key is None:
            continue
        if field.key in FIXED:
            segments.append(Text(FIXED[field.key].encode()))
        elif field.key in ITEM_KEYS:
            segments.append(_key(field))
    return ItemFormat(tuple(segments), in_python=False)


def _is_simple(field: Field) -> bool:
    if field.key is None:
        return True
    if field.conversion or (field.key in FIXED and field.spec):
        return False
    return not field.spec or _PADDING.fullmatch(field.spec) is not None


def _key(field: Field) -> Key:
    """Numbers are right-aligned if the spec says nothing else, as Python does it."""
    assert field.key is not None
    match = _PADDING.fullmatch(field.spec)
    align = (match and match["align"]) or (">" if field.key in NUMBERS else "<")
    return Key(field.key, "<" if align == "<" else ">", int(match["width"]) if match else 0)


class ItemText:
    """Lines of text from an engine's JSON lines."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __call__(self, json_lines: bytes) -> bytes:
        import json  # late: only formats that an engine cannot do need it

        lines = (render(self._text, self._values(json.loads(line))) for line in json_lines.splitlines())
        return "".join(lines).encode("utf-8", "surrogateescape")

    @staticmethod
    def _values(item: dict[str, object]) -> dict[str, object]:
        values = {**FIXED, **item}
        source = item.get("source")
        arrow = "->" if item.get("type") == "l" else "link to"
        values["extra"] = f" {arrow} {source}" if source else ""
        values["health"] = "healthy" if item.get("healthy", True) else "broken"
        values.setdefault("bpath", item.get("path"))
        for key in TIMES & item.keys():
            values[key] = _ItemTime(datetime.fromisoformat(str(item[key])))
        return values


class _ItemTime:
    def __init__(self, moment: datetime) -> None:
        self._moment = moment

    def __format__(self, spec: str) -> str:
        return self._moment.strftime(spec or "%a, %Y-%m-%d %H:%M:%S")

    def __repr__(self) -> str:
        return f"{self}"


def keys_help() -> str:
    """The key tables for ``bork list --help``."""
    lines = ["Keys that are always available:", "", f"  {' '.join(FIXED)}", ""]
    for title, keys in (
        ("Keys available only when listing archives in a repository:", ARCHIVE_KEYS),
        ("Keys available only when listing files in an archive:", ITEM_KEYS),
    ):
        lines += [title, "", *(f"  {key}: {text}" if text else f"  {key}" for key, text in keys.items()), ""]
    return "\n".join(lines)
