"""``--format`` of ``list``: Python's format strings over the keys of archives and of items.

Lines of archives are rendered here; lines of items, of which there may be millions, by an engine that knows the same
language. Mistakes are found here in both cases, before a repository is opened.
"""

from __future__ import annotations

from collections.abc import Mapping

from bork.errors import CommandError

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


def keys_of(text: str) -> set[str]:
    """The keys that a format names. Raises CommandError if its braces do not match."""
    from string import Formatter  # late: only where there are formats

    try:
        return {key for _, key, _, _ in Formatter().parse(text) if key is not None}
    except ValueError as error:
        raise CommandError(f"--format {text}: {error}") from None


def require_known(text: str, known: Mapping[str, str]) -> None:
    """Raises CommandError for a key that nobody knows."""
    for key in sorted(keys_of(text)):
        if key not in known and key not in FIXED:
            raise CommandError(f'--format {text}: there is no key {key}, see "bork list --help"')


def require_plain(text: str) -> None:
    """Raises CommandError for ``{path!r}``: the lines of items are not made by Python, which knows how to do that."""
    from string import Formatter  # late: only where there are formats

    for _, key, _, conversion in Formatter().parse(text):
        if conversion:
            raise CommandError(f"--format {text}: !{conversion} behind {key} works for archives, not for items")


# ---- archives ----------------------------------------------------------------------------------------------------


def render(text: str, values: Mapping[str, object]) -> str:
    """One line of a listing of archives. Raises CommandError where a spec does not fit its key."""
    try:
        return text.format_map({**FIXED, **values} if isinstance(values, dict) else values)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise CommandError(f"--format {text}: {error}") from None


# ---- items -------------------------------------------------------------------------------------------------------


def for_items(text: str, *, json_lines: bool = False) -> str:
    """The format as an engine takes it. For JSON lines only known keys count, the others are left out as by Borg."""
    if json_lines:
        return "".join(f"{{{key}}}" for key in sorted(keys_of(text)) if key in ITEM_KEYS)
    require_known(text, ITEM_KEYS)
    require_plain(text)
    return text


def keys_help() -> str:
    """The key tables for ``bork list --help``."""
    lines = ["Keys that are always available:", "", f"  {' '.join(FIXED)}", ""]
    for title, keys in (
        ("Keys available only when listing archives in a repository:", ARCHIVE_KEYS),
        ("Keys available only when listing files in an archive:", ITEM_KEYS),
    ):
        lines += [title, "", *(f"  {key}: {text}" if text else f"  {key}" for key, text in keys.items()), ""]
    return "\n".join(lines)
