"""Keys that name a cost which no machine should pay: refused before argon2id begins, wherever the key comes from."""

import resource
import struct
from pathlib import Path

import pytest
from blake3 import blake3

from tests.conftest import Bork
from tests.format.places import assert_refused
from tests.real.program import MIB, Ended, measured
from tests.reference.keys import read_key_text, write_key_text

COST_AT, COST = 12, struct.Struct("<III")  # memory in KiB, passes, lanes: docs/format/key.md
MOST = (1 << 20, 64, 64)
ENDLESS = 0xFFFFFFFF
# What is not out of bounds is at its bound, so that whoever begins to pay is seen.
REFUSED = [
    *[(memory_kib, 64, 64) for memory_kib in (MOST[0] + 1, ENDLESS, 0, 8 * 64 - 1)],
    *[(1 << 20, passes, 64) for passes in (MOST[1] + 1, ENDLESS, 0)],
    *[(1 << 20, 64, lanes) for lanes in (MOST[2] + 1, ENDLESS, 0)],
    (ENDLESS, ENDLESS, ENDLESS),
    (0, 0, 0),
]
LIMITS = {resource.RLIMIT_AS: 1 << 30}  # a machine that has less than the dearest key may take
KEY_INVALID, PASSPHRASE_WRONG = 40, 52


@pytest.fixture(autouse=True)
def modern(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BORK_EXIT_CODES", "modern")


def costing(key: bytes, cost: tuple[int, int, int]) -> bytes:
    return key[:COST_AT] + COST.pack(*cost) + key[COST_AT + COST.size :]


def put_key(repository: Path, key: bytes) -> None:
    (repository / "keys" / blake3(key).hexdigest()).write_bytes(key)


def take_key(repository: Path) -> bytes:
    (path,) = (repository / "keys").iterdir()
    key = path.read_bytes()
    path.unlink()
    return key


def assert_cheap(ended: Ended) -> None:
    """Much less than one derivation at its cheapest: 64 MiB are what a key of ours takes."""
    assert ended.peak_bytes < 60 * MIB
    assert ended.seconds < 15


def assert_refused_at_once(ended: Ended) -> None:
    assert ended.code == KEY_INVALID, ended.says()
    assert assert_refused(ended.err).startswith("Invalid key data: ")
    assert_cheap(ended)


@pytest.mark.parametrize("cost", REFUSED, ids=str)
def test_a_cost_beyond_the_bounds_is_refused_before_it_is_paid(
    cost: tuple[int, int, int], bork: Bork, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    bork("init", "-e", "authenticated", repository)
    put_key(repository, costing(take_key(repository), cost))
    assert_refused_at_once(measured("list", repository, limits=LIMITS))


@pytest.mark.parametrize("cost", [(MOST[0] + 1, 1, 1), (1 << 20, ENDLESS, 64), (0, 0, 0)], ids=str)
def test_a_key_file_and_an_export_that_cost_too_much_are_refused_as_well(
    cost: tuple[int, int, int], bork: Bork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository, path = tmp_path / "repository", tmp_path / "key"
    monkeypatch.setenv("BORK_KEY_FILE", str(path))
    bork("init", "-e", "keyfile", repository)
    owner, key = read_key_text(path.read_text())
    path.write_text(write_key_text(owner, costing(key, cost)))
    assert_refused_at_once(measured("list", repository, limits=LIMITS))
    export = path.rename(tmp_path / "export")
    assert_refused_at_once(measured("key", "import", repository, export, limits=LIMITS))
    assert not path.exists()


def test_a_key_that_costs_too_much_is_no_obstacle_beside_one_that_opens(bork: Bork, tmp_path: Path) -> None:
    """Keys are tried in the order of their names, which are hashes."""
    repository = tmp_path / "repository"
    bork("init", "-e", "repokey", repository)
    (good,) = (repository / "keys").iterdir()
    for cost in REFUSED:
        put_key(repository, costing(good.read_bytes(), cost))
    ended = measured("list", repository, limits=LIMITS)
    assert (ended.code, ended.err) == (0, b"")
    assert ended.peak_bytes < 200 * MIB, "one key of ours was paid for, and nothing else"
    assert ended.seconds < 15


def test_the_dearest_key_takes_the_gibibyte_that_it_may_take(bork: Bork, tmp_path: Path) -> None:
    """What lies at the bound is paid: the others were refused for what lies beyond. One pass takes as much as 64."""
    repository = tmp_path / "repository"
    bork("init", "-e", "repokey", repository)
    put_key(repository, costing(take_key(repository), (MOST[0], 1, MOST[2])))
    ended = measured("list", repository)
    assert ended.code == PASSPHRASE_WRONG, "the cost is sealed with the key, and was changed"
    assert 1024 * MIB < ended.peak_bytes < 1200 * MIB


@pytest.mark.parametrize("name", ["keys/" + "0" * 64, "archives/" + "0" * 64, "config"])
def test_an_object_of_a_length_that_none_has_takes_no_memory(name: str, bork: Bork, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    bork("init", "-e", "none" if name.startswith("archives") else "repokey", repository)
    with (repository / name).open("ab") as file:
        file.truncate(4 << 30)  # sparse
    ended = measured("list", repository, limits={resource.RLIMIT_AS: 2 << 30})
    assert b"memory" not in ended.err
    assert ended.peak_bytes < 200 * MIB


def test_memory_that_a_key_may_take_and_is_not_there_is_no_fault_of_bork(bork: Bork, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    bork("init", "-e", "repokey", repository)
    put_key(repository, costing(take_key(repository), (MOST[0], 1, MOST[2])))
    ended = measured("list", repository, limits={resource.RLIMIT_AS: 800 * MIB})
    assert ended.code == 2
    assert assert_refused(ended.err).startswith("Out of memory")
