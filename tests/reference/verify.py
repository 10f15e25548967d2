"""Read everything there is, and compare what is said twice. See docs/format/README.md, "Errors"."""

from collections.abc import Iterator

from blake3 import blake3

from tests.reference.binary import Refused
from tests.reference.index import Place, open_index, read_table
from tests.reference.pack import spans
from tests.reference.repository import Repository


def problems(repository: Repository) -> Iterator[str]:
    """One line for everything that is wrong."""
    yield from repository.warnings
    contents: dict[bytes, dict[bytes, Place]] = {}
    for name in repository.names("packs"):
        try:
            contents[name] = verify_pack(repository, name)
        except Refused as refusal:
            yield f"packs/{name.hex()}: {refusal}"
    for name in repository.names("indexes"):
        try:
            verify_index(repository, name, contents)
        except Refused as refusal:
            yield f"indexes/{name.hex()}: {refusal}"
    for head in repository.archives():
        try:
            for _, item in repository.items(head.root):
                for one in repository.slices(item):
                    if not one.is_hole:
                        repository.content(one)
        except Refused as refusal:
            yield f"archive {head.name}: {refusal}"


def verify_pack(repository: Repository, name: bytes) -> dict[bytes, Place]:
    """Name, table of contents, and every chunk of every object."""
    data = repository.get("packs", name)
    for each in repository.table_of_contents(name):
        plain = each.open(repository.seals[name], data[each.offset : each.offset + each.record.stored])
        for chunk, start, length in spans(each.chunks):
            if repository.secrets.chunk_id(plain[start : start + length]) != chunk:
                raise Refused(f"the content of chunk {chunk.hex()} does not have this id")
    return repository.pack_places(name)


def verify_index(repository: Repository, name: bytes, contents: dict[bytes, dict[bytes, Place]]) -> None:
    """An index says nothing else than the packs that it names, and leaves nothing of them out."""
    table = read_table(open_index(repository.secrets, repository.get("indexes", name)))
    held = {(chunk, pack) for pack in table.packs for chunk in contents.get(pack, {})}
    if not table.packs.keys() - contents.keys() and held != {(chunk, place.pack) for chunk, place in table.copies}:
        raise Refused("it does not list exactly the chunks of its packs")
    for chunk, place in table.copies:
        if place.pack in contents and contents[place.pack].get(chunk) != place:
            raise Refused(f"chunk {chunk.hex()} is not where it says")


def ledger(object_names: list[bytes]) -> bytes:
    """What a head says of the archives that its writer saw."""
    return blake3(b"".join(sorted(object_names))).digest()
