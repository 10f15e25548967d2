"""What a fuzzer tried on the decoders of the wire, again: each input, its prefixes, its flipped bits, and new ones."""

import tracemalloc
from collections.abc import Callable
from random import Random

import pytest

from bork.protocol import codec, verbs
from bork.server.guarded import GuardedStore
from fuzz.protocol import frames
from fuzz.protocol.__main__ import CORPUS, FRAMED, kept
from fuzz.protocol.mutation import mutated
from fuzz.protocol.targets import TARGETS

Count = Callable[[str, dict[str, int]], None]

PLACES = 24  # of each input that are cut and flipped
NEW = 1500  # inputs of each target
# A body of 1 MiB is claimed, and held as it comes and as bytes; the values in it take up to 100 bytes for one.
MEMORY_BYTES, MEMORY_FACTOR = 4 << 20, 200


def damaged(data: bytes) -> list[bytes]:
    """Prefixes, and flipped bits, spread evenly."""
    found = []
    for at in range(0, len(data), max(1, len(data) // PLACES)):
        found.append(data[:at])
        found += [data[:at] + bytes((data[at] ^ 1 << bit,)) + data[at + 1 :] for bit in (0, 1, 4, 7)]
    return found


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_that_was_ever_kept_breaks_a_promise(target: str, count: Count) -> None:
    inputs = kept(target)
    accepted = [TARGETS[target](data) for data in inputs]
    assert any(accepted)
    assert not all(accepted)
    broken = [each for data in inputs for each in damaged(data)]
    for data in broken:
        TARGETS[target](data)
    count("bytes for the protocol", {"kept": len(inputs), "damaged": len(broken)})


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_that_is_made_of_it_breaks_a_promise(target: str, count: Count) -> None:
    random, inputs = Random(1), kept(target)
    for _ in range(NEW):
        TARGETS[target](mutated(random, random.choice(inputs), inputs, framed=FRAMED.get(target)))
    count("bytes for the protocol", {"new": NEW})


@pytest.mark.parametrize("target", TARGETS)
def test_memory_is_bounded_by_what_is_sent_and_not_by_what_is_claimed(target: str) -> None:
    inputs = kept(target)
    huge = [b"\xdd\x7f\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\x85" * 5, b"\x9f" * 4000, b"\x80" * 4000]
    claims = [data + each for data in inputs[:20] for each in huge]
    TARGETS[target](inputs[0])
    tracemalloc.start()
    try:
        for data in inputs + claims:
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            TARGETS[target](data)
            taken = tracemalloc.get_traced_memory()[1] - before
            assert taken <= MEMORY_BYTES + MEMORY_FACTOR * len(data), data.hex()
    finally:
        tracemalloc.stop()


def test_every_corpus_has_its_target_and_they_are_small() -> None:
    assert sorted(path.name for path in CORPUS.iterdir()) == sorted(TARGETS)
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < 200_000


def test_frames_are_what_they_were_joined_from() -> None:
    parts = [(b"body", b"data"), (b"", b""), (b"x" * 300, b"y" * 255)]
    assert list(frames.split(frames.join(parts))) == parts


def is_found(target: str) -> bool:
    """Whether the replay, or what is made of it, meets a mistake that was planted."""
    random, inputs = Random(1), kept(target)
    try:
        for data in inputs:
            TARGETS[target](data)
        for _ in range(NEW):
            TARGETS[target](mutated(random, random.choice(inputs), inputs, framed=FRAMED.get(target)))
    except Exception:  # noqa: BLE001  # any broken promise
        return True
    return False


def test_a_decoder_that_takes_longer_forms_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def lax(self: codec._Reader, length: int, *, signed: bool) -> int:
        return int.from_bytes(self._take(length), "big", signed=signed)

    monkeypatch.setattr(codec._Reader, "_integer", lax)
    assert is_found("codec")


def test_a_decoder_that_forgets_how_deep_it_is_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec._Reader, "_check", lambda *_: None)
    assert is_found("codec")


def test_a_schema_that_takes_any_ranges_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = verbs.VERBS["get_ranges"]
    monkeypatch.setattr(
        verbs, "VERBS", {**verbs.VERBS, "get_ranges": schema._replace(takes={"ranges": lambda _: True})}
    )
    assert is_found("server")


def test_a_server_that_takes_any_name_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bork.server.verbs.checked_name", lambda text: text)
    assert is_found("server")


def test_a_server_that_lets_append_only_clients_delete_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GuardedStore, "_may_delete", lambda *_: True)
    assert is_found("server")


@pytest.mark.parametrize("name", ["times_ns", "held", "free_bytes"])
def test_an_answer_that_is_taken_as_it_comes_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lax = {
        verb: schema._replace(
            gives={key: (lambda _: True) if key == name else check for key, check in schema.gives.items()}
        )
        for verb, schema in verbs.VERBS.items()
    }
    monkeypatch.setattr(verbs, "VERBS", lax)
    assert is_found("client")
