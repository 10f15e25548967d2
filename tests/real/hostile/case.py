"""One hostile archive: how it is made, and what has to come of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.real.hostile.sealer import CONTENT, Forge
from tests.real.hostile.wire import FILE, item, leaf, slice_record

REFUSED = "refused"  # it breaks the format: extract and check both say so
NAMED = "named"  # it is well-formed, and what it asks for is refused: extract says so
CONTAINED = "contained"  # it may be restored, below the target
HEALED = "healed"  # it breaks the format where the same is told elsewhere: it is restored as it is, and check says so
EVIL = b"evil content\n"


@dataclass(frozen=True)
class Case:
    """``build`` fills a forge and gives the id of the root node."""

    name: str
    end: str
    build: Callable[[Forge], bytes]

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


def evil(forge: Forge) -> dict[str, bytes | int]:
    """Fields of a file with some content."""
    chunk = forge.chunk(EVIL, kind=CONTENT)
    return {"size": len(EVIL), "slices": slice_record(chunk, len(EVIL))}


def of_items(*items: tuple[bytes, bytes | Callable[[Forge], bytes]]) -> Callable[[Forge], bytes]:
    """An archive of one leaf."""

    def build(forge: Forge) -> bytes:
        return forge.chunk(leaf([(path, body if isinstance(body, bytes) else body(forge)) for path, body in items]))

    return build


def file(forge: Forge) -> bytes:
    """The body of a file with some content."""
    return item(FILE, **evil(forge))


def of_body(body: bytes | Callable[[Forge], bytes]) -> Callable[[Forge], bytes]:
    """An archive of a file before, the item in question, and a file after."""
    return of_items((b"before", file), (b"item", body), (b"later", file))


def table(end: str, builds: dict[str, Callable[[Forge], bytes]]) -> Sequence[Case]:
    """Cases that end alike."""
    return [Case(name, end, build) for name, build in builds.items()]
