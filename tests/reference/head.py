"""Archive heads. See docs/format/archive.md."""

import json
from dataclasses import dataclass

from blake3 import blake3

from tests.reference.binary import ID_LENGTH, Refused, Unknown
from tests.reference.keys import Secrets
from tests.reference.sealed import HEAD, HEADER_LENGTH, TAG_LENGTH, Seal, read_header

VERSION = 1
LENGTH_MAX = 16 << 20
TEXTS = {"name", "hostname", "username", "cwd", "comment"}
NUMBERS = {"time_ns", "start_ns", "end_ns", "sequence", "generation", "version"}
STATS = {"items", "files", "chunks", "original_size", "compressed_size", "deduplicated_size"}
LISTS = {"command_line", "roots"}
FIELDS = TEXTS | NUMBERS | LISTS | {"root", "ledger", "chunker", "stats", "session"}


@dataclass(frozen=True, slots=True)
class Head:
    """What an archive says of itself."""

    object_name: bytes
    name: str
    root: bytes
    chunker: tuple[str | int, ...]
    time_ns: int
    start_ns: int
    sequence: int
    fields: dict[str, object]  # all of them, as they are in the JSON


def open_head(secrets: Secrets, object_name: bytes, data: bytes) -> Head:
    """Open what ``archives/<object_name>`` holds."""
    sealed, checksum = data[:-ID_LENGTH], data[-ID_LENGTH:]
    if len(data) < HEADER_LENGTH + TAG_LENGTH + ID_LENGTH or blake3(sealed).digest() != checksum:
        raise Refused("archive head: its checksum does not match")
    header = read_header(sealed)
    if header.kind != HEAD:
        raise Refused("archive head: it is a file of another kind")
    head = read_head(object_name, Seal(secrets, header).open(0, object_name, sealed[HEADER_LENGTH:]))
    if secrets.archive_name(head.name.encode("utf-8", "surrogateescape")) != object_name:
        raise Refused("archive head: it is stored under the name of another archive")
    return head


def read_head(object_name: bytes, plain: bytes) -> Head:
    """Read the JSON of a head. Another spelling of the same values is refused."""
    try:
        values = json.loads(plain.decode("ascii")) if len(plain) <= LENGTH_MAX else None
        canonical = json.dumps(values, sort_keys=True, separators=(",", ":")).encode("ascii")
    except (ValueError, RecursionError):
        raise Refused("archive head: it is not JSON") from None
    if not isinstance(values, dict) or canonical != plain:
        raise Refused("archive head: it is not the canonical JSON of an object")
    if values.get("version") != VERSION:
        raise Unknown(f"archive head: unknown version {values.get('version')}")
    if values.keys() != FIELDS:
        raise Unknown(f"archive head: missing or unknown fields {sorted(values.keys() ^ FIELDS)}")
    stats, chunker = values["stats"], values["chunker"]
    shapes = [
        all(isinstance(values[field], str) for field in TEXTS | {"root", "ledger"}),
        all(is_integer(values[field]) for field in NUMBERS),
        all(isinstance(values[field], list) for field in LISTS),
        all(isinstance(text, str) for field in LISTS for text in values[field]),
        isinstance(stats, dict) and stats.keys() == STATS and all(map(is_count, stats.values())),
        values["session"] is None or isinstance(values["session"], str),
        is_count(values["sequence"]) and is_count(values["generation"]),
        is_chunker(chunker),
    ]
    if not all(shapes):
        raise Refused("archive head: a field has an impossible value")
    for digits in (values["root"], values["ledger"], *values["roots"]):
        if bytes.fromhex(digits).hex() != digits:
            raise Refused("archive head: a field is not hexadecimal")
    root = bytes.fromhex(values["root"])
    if len(root) != ID_LENGTH or len(values["ledger"]) != 2 * ID_LENGTH:
        raise Refused("archive head: a digest has an impossible length")
    name, times, sequence = values["name"], (values["time_ns"], values["start_ns"]), values["sequence"]
    return Head(object_name, name, root, tuple(chunker), *times, sequence, values)


def is_integer(value: object) -> bool:
    """A signed integer of 64 bits; true and false are none."""
    return type(value) is int and -(1 << 63) <= value < 1 << 63


def is_count(value: object) -> bool:
    """A number that counts."""
    return type(value) is int and 0 <= value < 1 << 63


def is_chunker(value: object) -> bool:
    """A chunker that this version of the format defines, within its limits."""
    match value:
        case ["gear", int(low), int(high), int(mask)]:
            return 6 <= low <= mask <= high <= 23
        case ["fixed", int(block), int(header)]:
            return 64 <= block <= 8 << 20 and 0 <= header <= 8 << 20
        case _:
            return False
