"""A line that ends, or flips a bit, at every byte of a small backup: no wrong object, and no archive too early."""

import os
from pathlib import Path

import pytest

from bork.protocol.hello import MAGIC
from bork.repository.session import SessionRecord
from bork.server.policy import Policy
from tests.server.conftest import make
from tests.server.served import HELLO, Served, message, name_of, request

CONTENTS = {
    name_of("packs", b"the pack"): b"the pack",
    name_of("indexes", b"the index"): b"the index",
    "archives/" + "cd" * 32: b"the head",
}
HEAD = "archives/" + "cd" * 32
SESSION = "sessions/" + "ee" * 32
RELEASE = request(9, "hold_release", name=SESSION)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("cut") / "r")


def stream(repository: Path) -> bytes:
    """Everything that a client says in a backup of one pack."""
    parts = [MAGIC, message(HELLO), request(1, "open", path=os.fsencode(repository))]
    parts.append(request(2, "hold", SessionRecord("writer", 1).encode(), name=SESSION))
    for number, (name, content) in enumerate(CONTENTS.items(), start=3):
        parts.append(request(number, "put_if_absent", content, name=name))
    return b"".join([*parts, RELEASE])


def stored(repository: Path) -> dict[str, bytes]:
    """What is there of the backup; it is removed again."""
    found = {}
    for name in CONTENTS:
        path = repository / name
        if path.exists():
            found[name] = path.read_bytes()
            path.unlink()
    assert not (repository / SESSION).exists()
    assert sorted(each.name for each in (repository / "archives").iterdir()) == ["ab" * 32]
    assert sum(len(list((repository / "packs" / each).iterdir())) for each in os.listdir(repository / "packs")) == 1
    return found


def say(data: bytes) -> BaseException | None:
    with Served(Policy(append_only=True), hello_s=0.2, stall_s=0.2) as served:
        served.send(data)
        return served.finish()


def test_the_whole_backup_arrives(repository: Path) -> None:
    assert say(stream(repository)) is None
    assert stored(repository) == CONTENTS


def test_a_line_that_ends_anywhere_leaves_whole_objects_in_their_order(repository: Path) -> None:
    whole = stream(repository)
    counts = []
    for length in range(len(whole)):
        say(whole[:length])
        found = stored(repository)
        assert list(found.items()) == list(CONTENTS.items())[: len(found)], length
        counts.append(len(found))
    assert counts == sorted(counts)
    assert set(counts) == {0, 1, 2, 3}


def test_a_bit_that_flips_anywhere_is_noticed_before_anything_is_stored(repository: Path) -> None:
    whole = stream(repository)
    for at in range(len(whole)):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << at % 8
        ended = say(bytes(flipped))
        found = stored(repository)
        assert ended is not None, at
        assert list(found.items()) == list(CONTENTS.items())[: len(found)], at
        assert HEAD not in found or at >= len(whole) - len(RELEASE), at
