"""A repository in a directory, from its config to the bytes of a file: begin here. See docs/format/README.md."""

import os
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path

from blake3 import blake3

from tests.reference.binary import Refused
from tests.reference.config import read_config
from tests.reference.generation import Generation, open_generation
from tests.reference.head import Head, open_head
from tests.reference.index import Place, open_index, read_table
from tests.reference.item import SLICES_PER_LIST_MAX, Item, Slice, read_item, read_slices
from tests.reference.keys import Secrets, open_first, public_secrets, read_key_text
from tests.reference.pack import TRAILER_LENGTH, PackedObject, read_toc, read_trailer, spans
from tests.reference.sealed import DATA, HEADER_LENGTH, METADATA, Seal, read_header
from tests.reference.tree import LEAF, Child, order, read_inner, read_leaf

OBJECTS_KEPT = 8  # opened objects kept in memory: small files share one


class Repository:
    """Opens everything it can without changing anything. ``passphrase`` is asked only if the mode has a key."""

    def __init__(self, path: Path, passphrase: Callable[[], bytes], key_file: Path | None = None) -> None:
        self.path = path
        self.config = read_config((path / "config").read_bytes())
        self.secrets = self._unlock(passphrase, key_file)
        if self.secrets.suite != self.config.suite:
            raise Refused(f"config: it names suite {self.config.suite}, and the key {self.secrets.suite}")
        self.seals: dict[bytes, Seal] = {}
        self.opened: OrderedDict[tuple[bytes, int], bytes] = OrderedDict()
        self.warnings: list[str] = []
        self.places = self._locate()
        self.generation = self._newest_generation()

    # ---- what is there -------------------------------------------------------------------------------------------

    def names(self, collection: str) -> list[bytes]:
        """The ids of all objects of a collection, sorted. Whatever else lies in the directory is no object."""
        deeper = "*/*" if collection == "packs" else "*"
        paths = (self.path / collection).glob(deeper)
        return sorted(bytes.fromhex(path.name) for path in paths if re.fullmatch("[0-9a-f]{64}", path.name))

    def get(self, collection: str, name: bytes) -> bytes:
        """An object that is named by its BLAKE3, verified."""
        data = self._path(collection, name).read_bytes()
        if blake3(data).digest() != name:
            raise Refused(f"{collection}/{name.hex()}: its content does not have the digest that is its name")
        return data

    def _path(self, collection: str, name: bytes) -> Path:
        digits = name.hex()
        return self.path / collection / (f"{digits[:2]}/{digits}" if collection == "packs" else digits)

    def _unlock(self, passphrase: Callable[[], bytes], key_file: Path | None) -> Secrets:
        if self.config.encryption == "none":
            return public_secrets(self.config.id)
        if key_file is not None:
            owner, data = read_key_text(key_file.read_text("ascii"))
            if owner != self.config.id:
                raise Refused("key file: it belongs to another repository")
            return open_first([data], passphrase(), self.config.id)
        if self.config.encryption == "keyfile":
            raise Refused("config: this repository has its key in a file, name it with --key-file")
        return open_first((self.get("keys", name) for name in self.names("keys")), passphrase(), self.config.id)

    def _newest_generation(self) -> Generation:
        """What the newest generation says; there may be none."""
        paths = (self.path / "gc").glob("*")
        numbers = [int(path.name, 16) for path in paths if re.fullmatch("[0-9a-f]{16}", path.name)]
        if not numbers:
            return Generation()
        number = max(numbers)
        return open_generation(self.secrets, number, (self.path / "gc" / f"{number:016x}").read_bytes())

    # ---- chunks --------------------------------------------------------------------------------------------------

    def _locate(self) -> dict[bytes, Place]:
        """Where every chunk is: from the indexes, and from each pack that no index names."""
        places: dict[bytes, Place] = {}
        packs, known = set(self.names("packs")), set[bytes]()
        for name in self.names("indexes"):
            try:
                table = read_table(open_index(self.secrets, self.get("indexes", name)))
            except Refused as refusal:
                self.warnings.append(f"indexes/{name.hex()} is not used: {refusal}")
                continue
            known |= table.packs.keys()
            places |= {chunk: place for chunk, place in table.copies if place.pack in packs}
        for name in sorted(packs - known):
            try:
                places |= self.pack_places(name)
            except Refused as refusal:
                self.warnings.append(f"packs/{name.hex()} is not used: {refusal}")
        return places

    def pack_places(self, name: bytes) -> dict[bytes, Place]:
        """Where the chunks of one pack are, by its own table of contents."""
        found: dict[bytes, Place] = {}
        for each in self.table_of_contents(name):
            for chunk, start, length in spans(each.chunks):
                found.setdefault(chunk, Place(name, each.number, each.offset, each.record, start, length))
        return found

    def table_of_contents(self, name: bytes) -> list[PackedObject]:
        """The objects of a pack, from its last bytes."""
        size = os.path.getsize(self._path("packs", name))
        if size < HEADER_LENGTH + TRAILER_LENGTH:
            raise Refused("pack: it is truncated")
        length, count = read_trailer(self._read(name, size - TRAILER_LENGTH, TRAILER_LENGTH))
        space = size - HEADER_LENGTH - TRAILER_LENGTH - length
        if space < 0:
            raise Refused("pack: its table of contents is longer than the file")
        return read_toc(self._seal(name), self._read(name, HEADER_LENGTH + space, length), count, space)

    def _read(self, pack: bytes, offset: int, length: int) -> bytes:
        with self._path("packs", pack).open("rb") as file:
            file.seek(offset)
            return file.read(length)

    def _seal(self, pack: bytes) -> Seal:
        if pack not in self.seals:
            header = read_header(self._read(pack, 0, HEADER_LENGTH))
            if header.kind not in (DATA, METADATA):
                raise Refused("pack: it is a file of another kind")
            self.seals[pack] = Seal(self.secrets, header)
        return self.seals[pack]

    def chunk(self, name: bytes) -> bytes:
        """The plaintext of a chunk, verified against its id."""
        place = self.places.get(name)
        if place is None:
            raise Refused(f"chunk {name.hex()}: no pack that is there holds it")
        plain = self._object(place)[place.start : place.start + place.length]
        if len(plain) != place.length or self.secrets.chunk_id(plain) != name:
            raise Refused(f"chunk {name.hex()}: the content does not have this id")
        return plain

    def _object(self, place: Place) -> bytes:
        key = (place.pack, place.number)
        if key not in self.opened:
            sealed = self._read(place.pack, place.offset, place.record.stored)
            if len(sealed) != place.record.stored:
                raise Refused(f"packs/{place.pack.hex()}: it ends inside an object")
            packed = PackedObject(place.number, place.offset, place.record, ())
            self.opened[key] = packed.open(self._seal(place.pack), sealed)
            if len(self.opened) > OBJECTS_KEPT:
                self.opened.popitem(last=False)
        return self.opened[key]

    # ---- archives ------------------------------------------------------------------------------------------------

    def archives(self) -> list[Head]:
        """The heads of all archives, in the order of their commits."""
        heads = [self._head(name) for name in self.names("archives")]
        heads = [head for head in heads if not self.generation.makes_void(head.object_name, head.fields["session"])]
        return sorted(heads, key=lambda head: (head.sequence, head.start_ns, head.object_name))

    def archive(self, name: str) -> Head:
        """One archive, found by the keyed hash of its name; no other head is opened."""
        object_name = self.secrets.archive_name(name.encode("utf-8", "surrogateescape"))
        if not self._path("archives", object_name).exists():
            raise Refused(f"archive {name}: there is none")
        head = self._head(object_name)
        if self.generation.makes_void(object_name, head.fields["session"]):
            raise Refused(f"archive {name}: its writer was fenced before it was complete")
        return head

    def _head(self, object_name: bytes) -> Head:
        return open_head(self.secrets, object_name, self._path("archives", object_name).read_bytes())

    def items(self, root: bytes) -> Iterator[tuple[bytes, Item]]:
        """Path and item of each entry of an archive, in tree order."""
        before: bytes | None = None
        for path, item in self._below(root, None, None):
            if before is not None and order(before) >= order(path):
                raise Refused("tree: the items are not sorted")
            yield path, item
            before = path

    def _below(self, node: bytes, level: int | None, expected: Child | None) -> Iterator[tuple[bytes, Item]]:
        """The items below a node; ``expected`` is what the node above says of it."""
        data = self.chunk(node)
        first, items, size = None, 0, 0
        if data[:1] == bytes([LEAF]):
            if level not in (None, 0):
                raise Refused("tree: a leaf stands where an inner node belongs")
            for path, body in read_leaf(data):
                item = read_item(body)
                first, items, size = path if items == 0 else first, items + 1, size + item.size
                yield path, item
        else:
            height, children = read_inner(data)
            if level not in (None, height):
                raise Refused("tree: an inner node stands on the wrong level")
            for child in children:
                yield from self._below(child.id, height - 1, child)
            first = children[0].first
            items, size = sum(child.items for child in children), sum(child.size for child in children)
        if expected is not None and (first, items, size) != (expected.first, expected.items, expected.size):
            raise Refused("tree: a node is not what the node above it says")

    def slices(self, item: Item) -> Iterator[Slice]:
        """The content of a file, slice after slice; those in content lists add up to its size, too."""
        total = 0
        for one in item.slices or (one for name in item.lists for one in self._list(name)):
            total += one.length
            yield one
        if total != item.size:
            raise Refused("item: its content lists do not add up to its size")

    def _list(self, name: bytes) -> tuple[Slice, ...]:
        slices = read_slices(self.chunk(name))
        if not 1 <= len(slices) <= SLICES_PER_LIST_MAX:
            raise Refused(f"content list {name.hex()}: {len(slices)} slices")
        return slices

    def content(self, one: Slice) -> bytes:
        """The bytes of a slice that is no hole."""
        plain = self.chunk(one.id)[one.offset : one.offset + one.length]
        if len(plain) != one.length:
            raise Refused(f"chunk {one.id.hex()}: it is shorter than a slice of it")
        return plain
