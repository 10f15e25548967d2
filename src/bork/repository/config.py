"""The ``config`` object: plain text that a person can read, and that a program accepts in exactly one form.

Nothing in it is secret. It ends with a checksum, so a flipped bit is noticed before anything believes it; that is no
protection against somebody who can write there (a repository id is bound to the keys for that). See
docs/format/config.md.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from bork.core import digest
from bork.errors import InvalidRepository, InvalidRepositoryConfig, MandatoryFeatureUnsupported, UnsupportedFormat
from bork.repository.layout import RepositoryId

FORMAT = 1
COMMENT = "# Bork repository. Do not change anything here by hand: see the documentation of Bork, format/config."
LENGTH_MAX = 4096  # bytes; a longer config is not one of ours
ENCRYPTIONS = frozenset({"none", "authenticated", "repokey", "keyfile"})
SUITES = frozenset({1, 2, 3})

_ENTRIES = ("id", "encryption", "suite", "append_only", "storage_quota", "features")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_ID = re.compile(r"[0-9a-f]{64}", re.ASCII)
_FORMAT = re.compile(r"format = ([0-9]{1,9})", re.ASCII)
_BORG = re.compile(rb"\s*\[repository\]")


class RepositoryConfig(NamedTuple):
    """What a repository says of itself without a key."""

    id: RepositoryId
    encryption: str  # one of ENCRYPTIONS
    suite: int  # one of SUITES: how everything is sealed, see docs/format/object.md
    append_only: bool = False
    storage_quota: int = 0  # bytes of all objects; 0: no limit

    def encode(self) -> bytes:
        """The bytes of the object. ``decode`` accepts nothing else for the same values."""
        lines = (
            COMMENT,
            f"format = {FORMAT}",
            f"id = {self.id.hex()}",
            f"encryption = {self.encryption}",
            f"suite = {self.suite}",
            f"append_only = {int(self.append_only)}",
            f"storage_quota = {self.storage_quota}",
            "features =",
        )
        body = "".join(line + "\n" for line in lines).encode("ascii")
        return body + f"checksum = {digest(body).hex()}\n".encode("ascii")


class _Entries(NamedTuple):
    id: str
    encryption: str
    suite: str
    append_only: str
    storage_quota: str
    features: str


def decode(data: bytes, location: str) -> RepositoryConfig:
    """Read a config object. ``location`` is for messages.

    Raises: InvalidRepository, if it is of another program; UnsupportedFormat; MandatoryFeatureUnsupported;
    InvalidRepositoryConfig, if it is damaged.
    """
    if _BORG.match(data):
        raise InvalidRepository(location, "it was made by Borg")
    body = _verified_body(data, location)
    entries = _entries(body, location)
    if entries.features:
        raise MandatoryFeatureUnsupported(entries.features)
    problem = _first_problem(entries)
    if problem:
        raise InvalidRepositoryConfig(location, problem)
    config = RepositoryConfig(
        id=RepositoryId(bytes.fromhex(entries.id)),
        encryption=entries.encryption,
        suite=int(entries.suite),
        append_only=entries.append_only == "1",
        storage_quota=int(entries.storage_quota),
    )
    if config.encode() != data:
        raise InvalidRepositoryConfig(location, "it is not in the form that Bork writes")
    return config


def _verified_body(data: bytes, location: str) -> str:
    """All lines but the checksum, verified. The version comes first: another one may have another checksum."""
    try:
        text = data[: LENGTH_MAX + 1].decode("ascii")
    except UnicodeDecodeError:
        raise InvalidRepositoryConfig(location, "it is damaged: not plain ASCII text") from None
    lines = text.split("\n")
    if len(data) > LENGTH_MAX or len(lines) < 4 or lines[-1] or not lines[0].startswith("# Bork repository"):
        raise InvalidRepositoryConfig(location, "it is not a config of Bork, or damaged")
    body, checksum = text[: -len(lines[-2]) - 1], lines[-2]
    expected = f"checksum = {digest(body.encode('ascii')).hex()}"
    version = _FORMAT.fullmatch(lines[1])
    if version is not None and int(version[1]) != FORMAT and checksum == expected:
        raise UnsupportedFormat(f"The repository {location}", int(version[1]), FORMAT)
    if checksum != expected:
        raise InvalidRepositoryConfig(location, "its checksum is wrong: it is damaged, or was changed by hand")
    if version is None:
        raise InvalidRepositoryConfig(location, "its second line does not name its format")
    return body


def _entries(body: str, location: str) -> _Entries:
    """The values of the lines below the format, which must be exactly the known ones in their order."""
    values = []
    lines = body.split("\n")[2:-1]
    for line, expected in zip(lines, _ENTRIES, strict=False):
        key, equals, value = line.partition(" =")
        if key != expected or not equals:
            raise InvalidRepositoryConfig(location, f'"{expected} = ..." was expected, and "{line}" found')
        values.append(value.removeprefix(" "))
    if len(lines) != len(_ENTRIES):
        raise InvalidRepositoryConfig(location, f"it has {len(lines)} entries instead of {len(_ENTRIES)}")
    return _Entries(*values)


def _first_problem(entries: _Entries) -> str | None:
    if not _ID.fullmatch(entries.id):
        return "its id is not 64 hexadecimal digits"
    if entries.encryption not in ENCRYPTIONS:
        return f'the encryption mode "{entries.encryption}" is unknown'
    if not _NUMBER.fullmatch(entries.suite) or int(entries.suite) not in SUITES:
        return f'the suite "{entries.suite}" is unknown'
    if entries.append_only not in ("0", "1"):
        return f'append_only is "{entries.append_only}", neither 0 nor 1'
    if not _NUMBER.fullmatch(entries.storage_quota):
        return f'the storage quota "{entries.storage_quota}" is not a number'
    return None
