"""What this version of the format does not define is refused by the real program: one line, exit code 2, no guess."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from blake3 import blake3

from tests.conftest import Bork
from tests.format.places import PUBLIC, UNKNOWN_UNENCRYPTED, assert_refused, body, handmade
from tests.reference.keys import Secrets
from tests.reference.pack import CONTENT, LIST, NODE, PackedObject
from tests.reference.sealed import DATA, METADATA
from tests.reference.writing import Draft, Maker, encode_key, encode_table, with_checksum

ITEM = (b"file", body(), 0)
PASSPHRASE = b"correct horse battery staple"  # what the fixture `bork` uses
SECRETS = Secrets(bytes(range(32)), 1, bytes([1] * 32), (bytes([2] * 32),))
WEAK = (64, 1, 1)
Packed = tuple[bytes, int, list[PackedObject]]


@pytest.fixture(autouse=True)
def unencrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user knows that handmade repositories are not encrypted."""
    monkeypatch.setenv(UNKNOWN_UNENCRYPTED, "yes")


def change(at: int, value: int) -> Callable[[bytes], bytes]:
    """Put another byte at an offset; a negative one counts from the end."""
    return lambda data: bytes([*data[: at % len(data)], value, *data[at % len(data) + 1 :]])


@dataclass
class Broken:
    """A repository of one archive in which one object was changed, and everything that names it adapted."""

    secrets: Secrets = PUBLIC
    maker: Maker = field(init=False)

    def __post_init__(self) -> None:
        self.maker = Maker(self.secrets)

    def pack(self, drafts: list[Draft], alter: Callable[[bytes], bytes]) -> Packed:
        """A metadata pack, altered and given the name that it then has."""
        name, _, contents = self.maker.pack(METADATA, drafts)
        data = alter(self.maker.objects.pop(f"packs/{name.hex()[:2]}/{name.hex()}"))
        return self.maker.put("packs", data), len(data), contents

    def archive(
        self,
        path: Path,
        *,
        pack: Callable[[bytes], bytes] = bytes,
        table: Callable[[bytes], bytes] = bytes,
        index: Callable[[bytes], bytes] = bytes,
        node: Callable[[bytes], bytes] = bytes,
        with_index: bool = True,
        head: dict[str, object] | None = None,
    ) -> Path:
        """Write it. Each argument alters the bytes of one structure before everything above it is made."""
        _, (leaf,) = self.maker.tree([ITEM])
        leaf = node(leaf)
        packed = self.pack([Draft(NODE, (leaf,))], pack)
        if with_index:
            sealed = index(self.maker.seal_index(table(encode_table([packed]))))
            self.maker.put("indexes", sealed)
        self.maker.head("a", self.secrets.chunk_id(leaf), **head or {})
        return self.maker.write(path)


def refusal(bork: Bork, repository: Path) -> str:
    """The one line that ``list`` ends with."""
    return assert_refused(bork("list", f"{repository}::a", exit_code=2).stderr)


def last_line(bork: Bork, repository: Path) -> str:
    """What ``list`` ends with, after warnings about each index and pack that it had to leave aside."""
    said = bork("list", f"{repository}::a", exit_code=2).stderr.decode()
    assert "Traceback" not in said
    return said


def test_the_archive_that_the_others_are_changed_from_is_good(bork: Bork, tmp_path: Path) -> None:
    assert b"file" in bork("list", f"{Broken().archive(tmp_path / 'repository')}::a").stdout


# ---- config ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("format = 1", "format = 2", "version 2"),
        ("features =", "features = sessions", "sessions"),
        ("features =", "colour = red\nfeatures =", "colour = red"),
        ("encryption = none", "encryption = paranoid", "paranoid"),
        ("suite = 3", "suite = 4", 'suite "4"'),
    ],
)
def test_an_unknown_value_in_the_config_is_refused(old: str, new: str, why: str, bork: Bork, tmp_path: Path) -> None:
    repository = handmade(tmp_path / "repository", [ITEM])
    text = (repository / "config").read_text().rpartition("checksum")[0]
    (repository / "config").write_bytes(with_checksum(text.replace(old, new)))
    assert why in refusal(bork, repository)


# ---- packs -------------------------------------------------------------------------------------------------------

HEADERS = [(8, 2, "version 2"), (9, 6, "kind 6"), (10, 4, "suite 4"), (11, 1, "parity scheme 1"), (14, 1, "reserved")]


@pytest.mark.parametrize(("at", "value", "why"), HEADERS, ids=[why for _, _, why in HEADERS])
def test_an_unknown_value_in_the_header_of_a_pack_is_refused(
    at: int, value: int, why: str, bork: Bork, tmp_path: Path
) -> None:
    assert why in refusal(bork, Broken().archive(tmp_path / "repository", pack=change(at, value)))


TRAILERS = [(8 - 32, 1, "parity length 1"), (16 - 32, 1, "KCAPKROB"), (-1, 0, "KCAPKROB")]


@pytest.mark.parametrize(("at", "value", "why"), TRAILERS)
def test_an_unknown_value_in_the_trailer_of_a_pack_is_refused(
    at: int, value: int, why: str, bork: Bork, tmp_path: Path
) -> None:
    repository = Broken().archive(tmp_path / "repository", pack=change(at, value), with_index=False)
    assert why in last_line(bork, repository)


@pytest.mark.parametrize(
    ("draft", "why"), [(Draft(NODE, (b"x",), codec=5), "codec 5"), (Draft(4, (b"x",)), "object kind 4")]
)
def test_an_unknown_codec_or_kind_of_object_is_refused(draft: Draft, why: str, bork: Bork, tmp_path: Path) -> None:
    maker = Maker(PUBLIC)
    with pytest.raises(Exception, match=f"unknown {why}"):  # the reference refuses its own pack
        maker.pack(METADATA, [draft])
    # The pack is there all the same: it was sealed, and then read back.
    repository = unread_pack(maker, draft).write(tmp_path / "repository")
    assert why in last_line(bork, repository)


def unread_pack(maker: Maker, draft: Draft) -> Maker:
    """An archive whose root is in a pack that no index names."""
    maker.put_pack(METADATA, [draft])
    maker.head("a", maker.secrets.chunk_id(b"x"))
    return maker


# ---- indexes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("at", "value", "why"), HEADERS, ids=[why for _, _, why in HEADERS])
def test_an_index_with_an_unknown_header_is_named_and_its_packs_are_read_instead(
    at: int, value: int, why: str, bork: Bork, tmp_path: Path
) -> None:
    """An index is only a copy, so nothing is lost without it."""
    result = bork("list", f"{Broken().archive(tmp_path / 'repository', index=change(at, value))}::a", exit_code=None)
    assert b"file" in result.stdout
    assert why in result.stderr.decode()


def test_an_index_of_a_later_version_is_named_and_its_packs_are_read_instead(bork: Bork, tmp_path: Path) -> None:
    result = bork("list", f"{Broken().archive(tmp_path / 'repository', table=change(8, 2))}::a", exit_code=None)
    assert b"file" in result.stdout
    assert "version 2" in result.stderr.decode()


# ---- nodes and items ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "value", "why"), [(0, 3, "kind"), (1, 2, "version 2")], ids=["a node kind", "a node version"]
)
def test_an_unknown_node_is_refused(at: int, value: int, why: str, bork: Bork, tmp_path: Path) -> None:
    assert why in refusal(bork, Broken().archive(tmp_path / "repository", node=change(at, value)))


@pytest.mark.parametrize("command", ["list", "extract"])
def test_an_unknown_field_of_an_item_is_refused(command: str, bork: Bork, tmp_path: Path) -> None:
    repository = handmade(tmp_path / "repository", [(b"file", body(f22=1), 0)])
    assert "unknown field 22" in assert_refused(bork(command, f"{repository}::a", exit_code=2).stderr)


def test_an_item_with_content_that_is_not_there_is_an_error_and_no_file(bork: Bork, tmp_path: Path) -> None:
    slices = bytes([9] * 32) + bytes(4) + (1).to_bytes(4, "little")
    repository = handmade(tmp_path / "repository", [(b"file", body(f10=1, f12=slices), 1)])
    (tmp_path / "target").mkdir()
    assert bork("extract", f"{repository}::a", cwd=tmp_path / "target", exit_code=None).returncode in (1, 2)
    assert not (tmp_path / "target" / "file").exists()


def test_content_lists_that_do_not_add_up_to_the_size_are_an_error(bork: Bork, tmp_path: Path) -> None:
    content = b"content"
    slices = PUBLIC.chunk_id(content) + bytes(4) + len(content).to_bytes(4, "little")
    item = body(f10=100, f13=PUBLIC.chunk_id(slices))
    objects = [Draft(CONTENT, (content,)), Draft(LIST, (slices,))]
    repository = handmade(tmp_path / "repository", [(b"file", item, 100)], objects)
    (tmp_path / "target").mkdir()
    assert bork("extract", f"{repository}::a", cwd=tmp_path / "target", exit_code=None).returncode in (1, 2)


# ---- heads -------------------------------------------------------------------------------------------------------

HEADS: list[tuple[dict[str, object], str]] = [
    ({"version": 2}, "version 2"),
    ({"colour": "red"}, "colour"),
    ({"sequence": -1}, "sequence"),
    ({"root": "00"}, "root"),
    ({"chunker": ["buzhash", 19, 23, 21]}, "buzhash"),
    ({"generation": "1"}, "number"),
    ({"comment": 1}, "text"),
]


@pytest.mark.parametrize(("fields", "why"), HEADS, ids=[str(fields) for fields, _ in HEADS])
def test_an_unknown_or_impossible_field_of_a_head_is_refused(
    fields: dict[str, object], why: str, bork: Bork, tmp_path: Path
) -> None:
    assert why in refusal(bork, Broken().archive(tmp_path / "repository", head=fields))


@pytest.mark.parametrize("chunker", [["gear", 1, 99, 50], ["gear", 20, 22, 18], ["fixed", 1, 0], ["fixed", 64, -1]])
def test_a_chunker_out_of_its_bounds_is_refused(chunker: list[object], bork: Bork, tmp_path: Path) -> None:
    assert "chunker" in refusal(bork, Broken().archive(tmp_path / "repository", head={"chunker": chunker}))


@pytest.mark.parametrize("space", [b" ", b"\n"])
def test_a_head_in_another_spelling_is_refused(space: bytes, bork: Bork, tmp_path: Path) -> None:
    maker = Broken().maker
    maker.archive("a", [ITEM])
    name = maker.secrets.archive_name(b"a")
    sealed = maker.objects[f"archives/{name.hex()}"]
    maker.objects[f"archives/{name.hex()}"] = maker.seal_head(name, sealed[64:-48] + space)
    assert "canonical" in refusal(bork, maker.write(tmp_path / "repository"))


def test_a_head_under_the_name_of_another_archive_is_refused(bork: Bork, tmp_path: Path) -> None:
    maker = Broken().maker
    maker.archive("b", [ITEM])
    (data,) = (value for name, value in maker.objects.items() if name.startswith("archives/"))
    maker.objects[f"archives/{maker.secrets.archive_name(b'a').hex()}"] = data
    assert "authenticate" in refusal(bork, maker.write(tmp_path / "repository"))


# ---- keys --------------------------------------------------------------------------------------------------------

KEYS = [(8, 2, "version 2"), (9, 2, "key derivation 2"), (10, 2, "role 2"), (11, 4, "suite 4"), (15, 1, "bounds")]


@pytest.mark.parametrize(("at", "value", "why"), KEYS, ids=[why for _, _, why in KEYS])
def test_an_unknown_value_in_a_key_object_is_refused(at: int, value: int, why: str, bork: Bork, tmp_path: Path) -> None:
    """Role 2 is reserved for keys that only put."""
    broken = Broken(SECRETS)
    broken.maker.put("keys", change(at, value)(encode_key(SECRETS, PASSPHRASE, bytes(32), WEAK)))
    broken.maker.archive("a", [ITEM])
    assert why in refusal(bork, broken.maker.write(tmp_path / "repository", encryption="repokey"))


def test_a_handmade_encrypted_repository_is_read(bork: Bork, tmp_path: Path) -> None:
    broken = Broken(SECRETS)
    broken.maker.put("keys", encode_key(SECRETS, PASSPHRASE, bytes(32), WEAK))
    broken.maker.archive("a", [ITEM])
    assert b"file" in bork("list", f"{broken.maker.write(tmp_path / 'repository', encryption='repokey')}::a").stdout


# ---- names -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sessions/" + "0" * 63, "gc/1", "lost+found/x", "packs/zz/x", "archives/README"])
def test_what_is_no_object_is_neither_read_nor_removed(name: str, bork: Bork, tmp_path: Path) -> None:
    repository = handmade(tmp_path / "repository", [ITEM])
    (repository / name).parent.mkdir(parents=True, exist_ok=True)
    (repository / name).write_bytes(b"not an object")
    bork("create", f"{repository}::b", ".", cwd=repository.parent)
    bork("check", repository)
    assert (repository / name).read_bytes() == b"not an object"


def test_handmade_objects_have_the_names_of_their_digests(tmp_path: Path) -> None:
    maker = Maker(PUBLIC)
    maker.pack(DATA, [Draft(CONTENT, (b"x",))])
    ((name, data),) = maker.objects.items()
    assert name.endswith(blake3(data).hexdigest())
