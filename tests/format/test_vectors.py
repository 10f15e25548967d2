"""The promise that old repositories stay readable: today's program and the reference read every golden file."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from bork.core import ChunkIndex, Keys, digest
from bork.crypto import keyfile, paper
from bork.errors import BorkError
from bork.repository import config
from bork.repository.layout import RepositoryId
from tests.conftest import Bork
from tests.format.places import (
    PUBLIC,
    REPOSITORIES,
    ROOT,
    UNKNOWN_UNENCRYPTED,
    VECTORS,
    assert_refused,
    handmade,
    vector,
)
from tests.format.snapshot import Entry, snapshot
from tests.reference.__main__ import extract
from tests.reference.repository import Repository
from tests.reference.verify import problems
from tests.reference.writing import Draft, Maker
from vectors.fixed import PASSPHRASE
from vectors.generate import to_json
from vectors.units import FILES

NAMES = sorted(path.name for path in REPOSITORIES.iterdir())
EXPECTED: dict[str, dict[str, dict[str, Entry]]] = {
    name: json.loads((VECTORS / "expected" / f"{name}.json").read_text()) for name in NAMES
}
ARCHIVES = [pytest.param(name, archive, id=f"{name}-{archive}") for name in NAMES for archive in EXPECTED[name]]
RESTORES = pytest.mark.needs("root")  # owners and device nodes are compared, too


def key_file(name: str) -> Path | None:
    path = VECTORS / "keys" / name
    return path if path.exists() else None


@pytest.fixture
def golden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """A copy of the golden repository that the parameter ``name`` names; and its passphrase and key."""
    name: str = request.getfixturevalue("name")
    monkeypatch.setenv(UNKNOWN_UNENCRYPTED, "yes")
    monkeypatch.setenv("BORK_PASSPHRASE", PASSPHRASE)
    if key := key_file(name):
        monkeypatch.setenv("BORK_KEY_FILE", str(key))
    return Path(shutil.copytree(REPOSITORIES / name, tmp_path / "repository"))


@pytest.fixture
def same_passphrase(bork: Bork, monkeypatch: pytest.MonkeyPatch) -> Bork:
    """The program, with the passphrase of the golden repositories."""
    monkeypatch.setenv("BORK_PASSPHRASE", PASSPHRASE)
    return bork


def open_reference(name: str) -> Repository:
    return Repository(REPOSITORIES / name, PASSPHRASE.encode, key_file(name))


def assert_restored(restored: Path, name: str, archive: str) -> None:
    """Compare with what was backed up. The smallest archive has no item for the directory itself."""
    found = json.loads(json.dumps(snapshot(os.fsencode(restored))))
    if "." not in EXPECTED[name][archive]:
        del found["."]
    assert found == EXPECTED[name][archive]


# ---- repositories ------------------------------------------------------------------------------------------------


@RESTORES
@pytest.mark.parametrize(("name", "archive"), ARCHIVES)
def test_the_program_restores_every_golden_archive(
    name: str, archive: str, golden: Path, same_passphrase: Bork, tmp_path: Path
) -> None:
    (tmp_path / "restored").mkdir()
    same_passphrase("extract", f"{golden}::{archive}", cwd=tmp_path / "restored")
    assert_restored(tmp_path / "restored", name, archive)


@RESTORES
@pytest.mark.parametrize(("name", "archive"), ARCHIVES)
def test_the_reference_restores_every_golden_archive(name: str, archive: str, tmp_path: Path) -> None:
    assert extract(open_reference(name), archive, tmp_path / "restored") == []
    assert_restored(tmp_path / "restored", name, archive)


@pytest.mark.parametrize("name", NAMES)
def test_the_program_finds_no_fault_in_a_golden_repository(name: str, golden: Path, same_passphrase: Bork) -> None:
    same_passphrase("check", "--verify-data", golden)


@pytest.mark.parametrize("name", NAMES)
def test_the_reference_finds_no_fault_in_a_golden_repository(name: str) -> None:
    assert list(problems(open_reference(name))) == []


def test_golden_repositories_cover_every_mode_suite_codec_and_chunker() -> None:
    repositories = [open_reference(name) for name in NAMES]
    assert {each.config.encryption for each in repositories} == {"none", "authenticated", "repokey", "keyfile"}
    assert {each.config.suite for each in repositories} == {1, 2, 3}
    records = [place.record for each in repositories for place in each.places.values()]
    assert {record.codec for record in records} == {0, 1, 2, 3, 4}
    assert any(record.chunks > 10 for record in records), "small files in one object"
    assert any(record.stored > record.payload + 16 for record in records), "padding"
    assert {head.chunker[0] for each in repositories for head in each.archives()} == {"gear", "fixed"}


def test_golden_repositories_are_small_and_hold_objects_only() -> None:
    for name in NAMES:
        files = [path for path in (REPOSITORIES / name).rglob("*") if path.is_file()]
        assert sum(path.stat().st_size for path in files) < 100 * 1024, name
        assert {path.relative_to(REPOSITORIES / name).parts[0] for path in files} <= {
            *("config", "keys", "packs", "indexes", "archives")
        }


# ---- units -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(FILES))
def test_the_reference_still_computes_the_same_vectors(name: str) -> None:
    assert to_json(FILES[name]()) == (VECTORS / f"{name}.json").read_text()


def test_the_program_derives_the_archive_names_of_the_vectors() -> None:
    known = vector("derivation")
    public = Keys.public(bytes.fromhex(known["repository"]))
    assert public.suite == 3
    assert public.archive_name(b"monday").hex() == known["public"]["archive_names"]["monday"]
    keys = open_keys("heads")
    for name, expected in known["archive_names"].items():
        assert keys.archive_name(name.encode("utf-8", "surrogateescape")).hex() == expected


def open_keys(name: str) -> Keys:
    """The keys of a vector file that holds a key object."""
    known = vector(name)
    data, passphrase, repository = (bytes.fromhex(known[part]) for part in ("key_object", "passphrase", "repository"))
    return Keys.open(data, passphrase, repository)


def test_the_program_opens_the_key_objects_of_the_vectors() -> None:
    known = vector("keys")
    repository = RepositoryId(bytes.fromhex(known["repository"]))
    for case in known["cases"]:
        data = bytes.fromhex(case["object"])
        keys = Keys.open(data, bytes.fromhex(case["passphrase"]), repository)
        assert keys.suite == case["suite"]
        assert keys.archive_name(b"monday").hex() == case["archive_name_of_monday"]
        assert keyfile.encode(repository, data) == case["key_file"]
        assert keyfile.decode(case["key_file"], "vector") == (repository, data)
        assert paper.encode(repository, data).endswith("\n\n" + case["paper"])
        assert paper.decode(case["paper"], "vector", repository) == data


def test_the_program_opens_the_heads_of_the_vectors() -> None:
    known, keys = vector("heads"), open_keys("heads")
    for name, (stored, data) in zip(known["names"], known["objects"].items(), strict=True):
        object_name = bytes.fromhex(stored.removeprefix("archives/"))
        assert keys.archive_name(name.encode("utf-8", "surrogateescape")) == object_name
        assert json.loads(keys.open_head(object_name, bytes.fromhex(data)))["comment"] == name


def test_the_program_reads_the_index_and_the_packs_of_the_vectors() -> None:
    known, keys = vector("packs"), open_keys("packs")
    objects = {name: bytes.fromhex(data) for name, data in known["objects"].items()}
    by_index, by_packs, packs = ChunkIndex(), ChunkIndex(), []
    for name, data in objects.items():
        assert name.endswith(digest(data).hex())
        if name.startswith("indexes/"):
            by_index.add_sealed(keys, digest(data), data, None)
        else:
            packs.append(digest(data))
            tail = ChunkIndex.toc_length(data[-32:])
            by_packs.add_toc(keys, digest(data), len(data), data[:64], data[-tail:], to_index=False)
    assert sorted(by_index.packs()) == sorted(by_packs.packs()) == sorted(packs)
    assert len(by_index) == len(by_packs) == 5  # the chunk that stands in both packs is listed for both


def test_the_program_reads_and_refuses_the_configs_of_the_vectors() -> None:
    known = vector("configs")
    for text in known["accepted"]:
        assert config.decode(text.encode(), "here").encode() == text.encode()
    for why, text in known["refused"].items():
        with pytest.raises(BorkError):
            pytest.fail(f"{why}: {config.decode(text.encode(), 'here')}")


def test_the_cut_points_in_the_engine_are_those_of_the_reference() -> None:
    (golden,) = re.findall(r"const GOLDEN: &\[usize\] = &\[([0-9, ]+)\];", engine_chunker())
    assert [int(length) for length in golden.split(",")] == vector("chunkers")["cases"][0]["lengths"]


def engine_chunker() -> str:
    return (ROOT / "rust" / "bork-core" / "src" / "chunker.rs").read_text()


# ---- items and nodes ---------------------------------------------------------------------------------------------


def test_the_program_lists_every_item_of_the_vectors(tmp_path: Path, bork: Bork, unencrypted: None) -> None:
    known = vector("items")["accepted"]
    items = [(b"%02d" % at, bytes.fromhex(one["body"]), one["fields"].get("10", 0)) for at, one in enumerate(known)]
    listed = bork("list", "--json-lines", f"{handmade(tmp_path / 'repository', items)}::a").stdout.splitlines()
    found = {line["path"]: line for line in map(json.loads, listed)}
    for at, one in enumerate(known):
        line, fields = found[f"{at:02}"], one["fields"]
        assert line["uid"] == fields["2"], one["name"]
        assert line["size"] == fields.get("10", 0) or "14" in fields, one["name"]


@pytest.fixture
def unencrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user knows that handmade repositories are not encrypted."""
    monkeypatch.setenv(UNKNOWN_UNENCRYPTED, "yes")


REFUSED = [pytest.param(data, id=why) for why, data in vector("items")["refused"].items()]


@pytest.mark.parametrize("data", REFUSED)
def test_the_program_refuses_every_malformed_item_of_the_vectors(
    data: str, tmp_path: Path, bork: Bork, unencrypted: None
) -> None:
    repository = handmade(tmp_path / "repository", [(b"item", bytes.fromhex(data), 0)])
    assert_refused(bork("list", f"{repository}::a", exit_code=2).stderr)


@pytest.mark.parametrize(
    "data", [pytest.param(data, id=why) for why, data in vector("nodes")["refused_leaves"].items()]
)
def test_the_program_refuses_every_malformed_leaf_of_the_vectors(
    data: str, tmp_path: Path, bork: Bork, unencrypted: None
) -> None:
    maker = Maker(PUBLIC)
    leaf = bytes.fromhex(data)
    maker.index([maker.pack(2, [Draft(2, (leaf,))])])
    maker.head("a", maker.secrets.chunk_id(leaf))
    assert_refused(bork("list", f"{maker.write(tmp_path / 'repository')}::a", exit_code=2).stderr)
