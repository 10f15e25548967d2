"""Generations: what compactions have condemned, and which heads are void. See docs/format/sessions.md."""

from dataclasses import dataclass, field

from blake3 import blake3

from tests.reference.binary import ID_LENGTH, Cursor, Refused
from tests.reference.keys import Secrets
from tests.reference.sealed import GENERATION, HEADER_LENGTH, TAG_LENGTH, Seal, read_header

MAGIC = b"BORKGENR"


@dataclass(frozen=True, slots=True)
class Generation:
    """What a generation says."""

    condemned: dict[bytes, int] = field(default_factory=dict)  # name of a pack, and the first generation with it
    fenced: tuple[bytes, ...] = ()  # names of sessions
    honoured: tuple[bytes, ...] = ()  # object names of heads

    def makes_void(self, head: bytes, session: object) -> bool:
        """Whether the head with this object name, stored by this session, does not count."""
        return session in [name.hex() for name in self.fenced] and head not in self.honoured


def open_generation(secrets: Secrets, number: int, data: bytes) -> Generation:
    """Open what ``gc/<number>`` holds."""
    sealed, checksum = data[:-ID_LENGTH], data[-ID_LENGTH:]
    if len(data) < HEADER_LENGTH + TAG_LENGTH + ID_LENGTH or blake3(sealed).digest() != checksum:
        raise Refused("generation: its checksum does not match")
    header = read_header(sealed)
    if header.kind != GENERATION:
        raise Refused("generation: it is a file of another kind")
    associated = number.to_bytes(8, "little")
    return read_generation(number, Seal(secrets, header).open(0, associated, sealed[HEADER_LENGTH:]))


def read_generation(number: int, plain: bytes) -> Generation:
    """Read the plain list of a generation."""
    cursor = Cursor(plain, "generation")
    cursor.expect(MAGIC)
    cursor.known("version", 4, [1])
    packs_count, fenced_count, honoured_count = (cursor.number(4) for _ in range(3))
    cursor.expect(bytes(8))
    condemned = []
    for _ in range(packs_count):
        first = cursor.number(8)
        condemned.append((cursor.take(ID_LENGTH), first))
    fenced = tuple(cursor.take(ID_LENGTH) for _ in range(fenced_count))
    honoured = tuple(cursor.take(ID_LENGTH) for _ in range(honoured_count))
    cursor.finish()
    names = [name for name, _ in condemned]
    if any(list(each) != sorted(set(each)) for each in (names, fenced, honoured)):
        raise Refused("generation: it is not sorted")
    if any(not 0 < first <= number for _, first in condemned):
        raise Refused("generation: a pack is condemned by no generation before this one")
    return Generation(dict(condemned), fenced, honoured)
