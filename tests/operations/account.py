"""Who has kept a store all the time, and knows the secrets: he looks for a key that met a nonce twice.

He sees more than the store holds at last: objects that were removed or replaced, those of commands that failed and were
repeated, and those of copies that went on by themselves.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from typing_extensions import Buffer

from bork.storage.base import Store
from bork.storage.names import ObjectName
from tests.operations.scene import PASSPHRASE
from tests.reference.index import SEGMENT_LENGTH
from tests.reference.keys import CLEAR_LENGTH, PassphraseWrong, Secrets, open_key, stretch
from tests.reference.pack import TOC_NONCE, TRAILER_LENGTH, read_toc, read_trailer
from tests.reference.sealed import DATA, HEAD, HEADER_LENGTH, INDEX, METADATA, TAG_LENGTH, Seal, read_header
from tests.storage.faulty import FaultyStore, Schedule

OTHER = b"another passphrase"
Piece = tuple[int, bytes, bytes]  # nonce, associated data, sealed bytes


@dataclass
class Account:
    """What each key has sealed under each nonce."""

    given: list[tuple[ObjectName, bytes]] = field(default_factory=list)
    sealed: dict[tuple[bytes, int], bytes] = field(default_factory=dict)
    kinds: set[int] = field(default_factory=set)
    secrets: Secrets | None = None

    def settle(self) -> None:
        """Look at everything. Fails, where a key met a nonce with two texts, or an object has another nonce."""
        for name, data in self.given:
            if name.startswith("keys/"):
                self._key(data)
        assert self.secrets is not None
        for name, data in self.given:
            if name.startswith(("packs/", "indexes/", "archives/", "gc/")):
                header = read_header(data)
                seal = Seal(self.secrets, header)
                self.kinds.add(header.kind)
                for number, associated, sealed in pieces(header.kind, seal, name, data):
                    seal.open(number, associated, sealed)
                    self._note(seal.key, number, associated + sealed)

    def _key(self, data: bytes) -> None:
        repository = data[CLEAR_LENGTH - 32 : CLEAR_LENGTH]
        cost = [int.from_bytes(data[at : at + 4], "little") for at in (12, 16, 20)]
        for passphrase in (PASSPHRASE, OTHER):
            self._note(stretch(passphrase, data[24:56], *cost), 0, data)
        self.secrets = open_any(data, repository)

    def _note(self, key: bytes, number: int, content: bytes) -> None:
        assert self.sealed.setdefault((key, number), content) == content, f"nonce {number} came twice"


def open_any(data: bytes, repository: bytes) -> Secrets:
    try:
        return open_key(data, PASSPHRASE, repository)
    except PassphraseWrong:
        return open_key(data, OTHER, repository)


def pieces(kind: int, seal: Seal, name: ObjectName, data: bytes) -> Iterator[Piece]:
    """All that is sealed in a file. The reader refuses gaps, and bytes that are left over."""
    body = data[HEADER_LENGTH:]
    if kind in (DATA, METADATA):
        length, count = read_trailer(data[-TRAILER_LENGTH:])
        toc = body[-TRAILER_LENGTH - length : -TRAILER_LENGTH]
        yield TOC_NONCE, count.to_bytes(4, "little"), toc
        for each in read_toc(seal, toc, count, len(body) - TRAILER_LENGTH - length):
            assert each.number < TOC_NONCE
            yield each.number, each.record.encode(), data[each.offset : each.offset + each.record.stored]
    elif kind == INDEX:
        step = SEGMENT_LENGTH + TAG_LENGTH
        segments = range(0, len(body), step)
        for number, at in enumerate(segments):
            yield number, len(segments).to_bytes(4, "little"), body[at : at + step]
    else:
        last = name.rpartition("/")[2]
        associated = bytes.fromhex(last) if kind == HEAD else int(last, 16).to_bytes(8, "little")
        yield 0, associated, body[:-32]


class Noting(FaultyStore):
    """Tells the account of every object before anything becomes of it."""

    def __init__(self, inner: Store, schedule: Schedule, account: Account) -> None:
        super().__init__(inner, schedule)
        self._account = account

    def put_if_absent(self, name: ObjectName, data: Buffer) -> None:
        self._account.given.append((name, bytes(data)))
        super().put_if_absent(name, data)

    def replace(self, name: ObjectName, data: Buffer) -> None:
        self._account.given.append((name, bytes(data)))
        super().replace(name, data)
