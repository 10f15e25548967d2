"""The object ``config``. See docs/format/config.md."""

import re
from dataclasses import dataclass

from blake3 import blake3

from tests.reference.binary import Refused, Unknown

COMMENT = "# Bork repository. Do not change anything here by hand: see the documentation of Bork, format/config."
LENGTH_MAX = 4096
SHAPE = re.compile(
    re.escape(COMMENT) + r"\n"
    r"format = (?P<format>[0-9]{1,9})\n"
    r"id = (?P<id>[0-9a-f]{64})\n"
    r"encryption = (?P<encryption>[a-z0-9-]+)\n"
    r"suite = (?P<suite>[0-9]+)\n"
    r"append_only = (?P<append_only>[01])\n"
    r"storage_quota = (?P<storage_quota>0|[1-9][0-9]{0,18})\n"
    r"features =(?P<features>| [^\n]+)\n"
    r"checksum = (?P<checksum>[0-9a-f]{64})\n",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Config:
    """What a repository says of itself without a key."""

    id: bytes
    encryption: str
    suite: int
    append_only: bool
    storage_quota: int


def read_config(data: bytes) -> Config:
    """The values of a config object."""
    if len(data) > LENGTH_MAX or not data.isascii():
        raise Refused("config: not a short ASCII text")
    text = data.decode("ascii")
    body, mark, checksum = text.rpartition("checksum = ")
    if not mark or checksum != blake3(body.encode()).hexdigest() + "\n":
        raise Refused("config: its checksum is wrong")
    version = re.match(r"#[^\n]*\nformat = ([0-9]{1,9})\n", text, re.ASCII)
    if version and version[1] != "1":
        raise Unknown(f"config: unknown format {version[1]}")
    match = SHAPE.fullmatch(text)
    if match is None:
        raise Refused("config: its lines are not the known ones in their order")
    if match["features"]:
        raise Unknown(f"config: unknown features{match['features']}")
    if match["encryption"] not in ("none", "authenticated", "repokey", "keyfile"):
        raise Unknown(f"config: unknown encryption {match['encryption']}")
    if match["suite"] not in ("1", "2", "3"):
        raise Unknown(f"config: unknown suite {match['suite']}")
    return Config(
        id=bytes.fromhex(match["id"]),
        encryption=match["encryption"],
        suite=int(match["suite"]),
        append_only=match["append_only"] == "1",
        storage_quota=int(match["storage_quota"]),
    )
