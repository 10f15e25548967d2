"""The independent reader restores what today's program stores, byte for byte, from the pages alone."""

import ast
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from demo.comparison import differences
from demo.rich_tree import make_rich_tree
from tests.conftest import Bork
from tests.format.places import ROOT, UNKNOWN_UNENCRYPTED, body, handmade
from tests.reference.__main__ import extract
from tests.reference.binary import Refused
from tests.reference.gear import fixed_cuts, gear_cuts
from tests.reference.item import SLICES_PER_LIST_MAX, Item
from tests.reference.repository import Repository
from tests.reference.tree import read_inner, read_leaf
from tests.reference.verify import ledger, problems
from tests.reference.writing import Maker
from vectors.fixed import noise, words

PASSPHRASE = b"correct horse battery staple"  # what the fixture `bork` uses


@pytest.fixture(autouse=True)
def unencrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repositories of the modes that do not encrypt are known to the user."""
    monkeypatch.setenv(UNKNOWN_UNENCRYPTED, "yes")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Everything that a file system can hold, and some content to compress."""
    source = tmp_path / "source"
    source.mkdir()
    make_rich_tree(source)
    (source / "text").write_bytes(words(300_000, 1))
    (source / "noise").write_bytes(noise(200_000, 2))
    for number in range(100):
        (source / f"small {number}").write_bytes(words(number * 10, number))
    os.utime(source, ns=(0, 1))
    return source


def backup(bork: Bork, tmp_path: Path, source: Path, *options: str, mode: str = "none") -> Path:
    """A repository with two archives of ``source``: ``a``, and ``b``, which finds everything unchanged."""
    repository = tmp_path / "repository"
    bork("init", f"--encryption={mode}", repository)
    for name in ("a", "b"):
        # Without root some files of the rich tree cannot be read; then exit code 1 says so.
        bork("create", *options, f"{repository}::{name}", ".", cwd=source)
    return repository


def opened(repository: Path, key_file: Path | None = None) -> Repository:
    return Repository(repository, lambda: PASSPHRASE, key_file)


def items_of(repository: Repository, archive: str = "a") -> dict[bytes, Item]:
    return dict(repository.items(repository.archive(archive).root))


def lengths(item: Item) -> list[int]:
    return [one.length for one in item.slices]


# ---- what the program stores, the reference restores -------------------------------------------------------------


@pytest.mark.needs("root")
@pytest.mark.parametrize("mode", ["none", "authenticated", "repokey", "keyfile"])
def test_an_archive_of_every_mode_comes_back(
    mode: str, bork: Bork, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "key" if mode == "keyfile" else None
    if key is not None:
        monkeypatch.setenv("BORK_KEY_FILE", str(key))
    repository = opened(backup(bork, tmp_path, tree, mode=mode), key)
    assert list(problems(repository)) == []
    for archive in ("a", "b"):
        assert extract(repository, archive, tmp_path / archive) == []
        assert differences(os.fsencode(tree), os.fsencode(tmp_path / archive)) == []


@pytest.mark.needs("root")
@pytest.mark.parametrize(
    "compression", ["none", "lz4", "zstd,19", "zlib,9", "lzma,0", "auto,lzma,6", "obfuscate,3,zstd,3"]
)
def test_an_archive_of_every_codec_comes_back(compression: str, bork: Bork, tree: Path, tmp_path: Path) -> None:
    repository = opened(backup(bork, tmp_path, tree, f"--compression={compression}"))
    assert list(problems(repository)) == []
    assert extract(repository, "a", tmp_path / "restored") == []
    assert differences(os.fsencode(tree), os.fsencode(tmp_path / "restored")) == []


@pytest.mark.needs("root")
def test_an_archive_comes_back_when_all_indexes_are_lost(bork: Bork, tree: Path, tmp_path: Path) -> None:
    path = backup(bork, tmp_path, tree)
    for index in (path / "indexes").iterdir():
        index.unlink()
    assert extract(opened(path), "b", tmp_path / "restored") == []
    assert differences(os.fsencode(tree), os.fsencode(tmp_path / "restored")) == []


def test_heads_count_the_archives_and_name_those_before_them(bork: Bork, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    heads = opened(backup(bork, tmp_path, source)).archives()
    assert [(head.name, head.sequence) for head in heads] == [("a", 1), ("b", 2)]
    seen = [ledger([]).hex(), ledger([heads[0].object_name]).hex()]
    assert [head.fields["ledger"] for head in heads] == seen


# ---- the rules that let two archives share what is equal ---------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "mask"), [(10, 17, 15), (12, 16, 14), (6, 10, 8)], ids=["wide", "narrow", "tiny"]
)
def test_the_program_cuts_chunks_where_the_slow_chunker_does(
    low: int, high: int, mask: int, bork: Bork, tmp_path: Path
) -> None:
    """The program scans in lanes of 4 KiB; the oracle looks at one byte after the other."""
    source, data = tmp_path / "source", noise(400_000 if low > 6 else 20_000, low)
    source.mkdir()
    (source / "file").write_bytes(data)
    options = f"--chunker-params=gear,{low},{high},{mask}"
    repository = opened(backup(bork, tmp_path, source, options))
    expected = list(gear_cuts(repository.secrets.chunker_key(), data, low, high, mask))
    assert [one.length for one in repository.slices(items_of(repository)[b"file"])] == expected
    assert repository.archive("a").chunker == ("gear", low, high, mask)


def test_the_program_cuts_each_extent_of_a_sparse_file_by_itself(bork: Bork, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    with (source / "file").open("wb") as file:
        file.write(noise(8192, 1))
        file.seek(1 << 20)
        file.write(noise(8192, 2))
    repository = opened(backup(bork, tmp_path, source, "--chunker-params=fixed,4096,512"))
    item = items_of(repository)[b"file"]
    extent = list(fixed_cuts(8192, 4096, 512))
    if any(one.is_hole for one in item.slices):
        assert lengths(item) == [*extent, (1 << 20) - 8192, *extent]
    else:  # the file system does not tell where holes are
        assert lengths(item) == list(fixed_cuts((1 << 20) + 8192, 4096, 512))


def test_long_content_moves_to_content_lists(bork: Bork, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    data = noise(64 * 257, 1)
    (source / "one list").write_bytes(data[: 64 * 257])
    (source / "no list").write_bytes(data[: 64 * 256])
    repository = opened(backup(bork, tmp_path, source, "--chunker-params=fixed,64"))
    items = items_of(repository)
    assert [len(items[name].lists) for name in (b"no list", b"one list")] == [0, 1]
    assert b"".join(repository.content(one) for one in repository.slices(items[b"one list"])) == data[: 64 * 257]


def test_no_content_list_is_longer_than_the_limit(bork: Bork, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    data = noise(64 * (SLICES_PER_LIST_MAX + 1), 1)
    (source / "two lists").write_bytes(data)
    repository = opened(backup(bork, tmp_path, source, "--chunker-params=fixed,64"))
    item = items_of(repository)[b"two lists"]
    assert len(item.lists) == 2
    assert b"".join(repository.content(one) for one in repository.slices(item)) == data


def test_the_program_builds_the_tree_that_the_page_describes(bork: Bork, tmp_path: Path) -> None:
    """All cuts of leaves and inner nodes, their encoding and their ids: the root is the same."""
    source = tmp_path / "source"
    for number in range(2_000):
        directory = source / f"{number % 7}"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{number:05} {'long name ' * 12}").touch()
    repository = opened(backup(bork, tmp_path, source))
    root = repository.archive("a").root
    level, children = read_inner(repository.chunk(root))
    assert level == 1
    assert len(children) > 3
    bodies = [entry for child in children for entry in read_leaf(repository.chunk(child.id))]
    assert Maker(repository.secrets).tree([(path, data, 0) for path, data in bodies])[0] == root


# ---- what the reference does not do ------------------------------------------------------------------------------


def test_the_reference_imports_nothing_of_bork() -> None:
    names = set()
    for path in (ROOT / "tests" / "reference").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(str(node.module))
    libraries = ("blake3", "cryptography", "lz4", "zstandard")
    allowed = {name for name in names if name.startswith((*libraries, "tests.reference")) or is_standard(name)}
    assert names - allowed == set()


def is_standard(name: str) -> bool:
    return name.partition(".")[0] in sys.stdlib_module_names


def run_reference(*arguments: str | Path, passphrase: bytes = PASSPHRASE) -> subprocess.CompletedProcess[str]:
    """The disaster recovery tool, in a process of its own."""
    environment = {**os.environ, "BORK_PASSPHRASE": os.fsdecode(passphrase)}
    command = [sys.executable, "-m", "tests.reference", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_the_tool_lists_restores_and_verifies(bork: Bork, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(b"content")
    repository = backup(bork, tmp_path, source, mode="repokey")
    assert run_reference("list", repository).stdout.split()[2::3] == ["a", "b"]
    assert run_reference("list", repository, "a").stdout.splitlines()[1].endswith(" file")
    assert run_reference("extract", repository, "a", tmp_path / "restored").returncode == 0
    assert (tmp_path / "restored" / "file").read_bytes() == b"content"
    assert run_reference("verify", repository).returncode == 0


def test_the_tool_restores_where_there_is_no_bork(bork: Bork, tmp_path: Path) -> None:
    """What stands for it in ``sys.modules`` lets neither it nor anything in it be imported."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(noise(100_000, 1))
    repository = backup(bork, tmp_path, source, mode="repokey")
    alone = 'import runpy, sys; sys.modules["bork"] = None; runpy.run_module("tests.reference", run_name="__main__")'
    command: list[str | Path] = [sys.executable, "-c", alone, "extract", repository, "a", tmp_path / "restored"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert (tmp_path / "restored" / "file").read_bytes() == noise(100_000, 1)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["list", "REPOSITORY"], "passphrase"),
        (["list", "REPOSITORY/packs"], "config"),
        (["extract", "REPOSITORY", "none", "TARGET"], "passphrase"),
    ],
)
def test_the_tool_refuses_with_one_line(arguments: Sequence[str], why: str, bork: Bork, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    bork("init", "--encryption=repokey", repository)
    places = {"REPOSITORY": str(repository), "TARGET": str(tmp_path / "target")}
    named = [places.get(one, one.replace("REPOSITORY", str(repository))) for one in arguments]
    result = run_reference(*named, passphrase=b"wrong")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert why in result.stderr


def test_no_flipped_bit_is_ever_restored(bork: Bork, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(b"content " * 20)
    path = backup(bork, tmp_path, source)
    files = [one for one in path.rglob("*") if one.is_file() and one.parent.name != "tmp"]
    for file in files:
        good = file.read_bytes()
        for number, at in enumerate(range(0, len(good), 7)):
            file.write_bytes(good[:at] + bytes([good[at] ^ 1 << number % 8]) + good[at + 1 :])
            try:
                assert list(problems(opened(path))), f"{file.relative_to(path)} byte {at}"
            except Refused:
                pass  # that is as good
        file.write_bytes(good)


def test_a_hostile_archive_writes_nothing_outside_of_the_target(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = body(f1=0o120777, f14=os.fsencode(outside))
    path = handmade(tmp_path / "repository", [(b"link", link, 0), (b"link/file", body(), 0)])
    found = extract(opened(path), "a", tmp_path / "target")
    assert len(found) == 1
    assert list(outside.iterdir()) == []
