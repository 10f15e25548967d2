"""The pages in docs/format and the code say the same: sizes, offsets, magics, versions, numbers of fields, limits."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from bork.archive import head
from bork.archive.generation import Generation
from bork.archive.head import ArchiveHead, ArchiveStats
from bork.crypto.modes import MODES
from bork.operations import sessions
from bork.repository import config
from bork.repository.config import RepositoryConfig
from bork.repository.layout import PackId, RepositoryId, SessionId
from bork.repository.session import SessionRecord
from bork.storage.names import is_object_name
from tests.format.places import PAGES, REPOSITORIES, ROOT, vector
from tests.format.rust_constants import Number, constants, text_constants
from tests.reference import keys as reference_keys
from tests.reference.annotate import annotate
from tests.reference.item import FIELDS

CODE = constants()
NAME = re.compile(r"`((?:[a-z]+::)*(?:[A-Z][A-Za-z0-9]*::[A-Z][A-Za-z0-9]*|[A-Z][A-Z0-9_]{3,}))`")
SECRETS = ROOT / "rust" / "bork-engine" / "src" / "secrets.rs"


class Table(NamedTuple):
    """A table of a page."""

    page: str
    caption: str  # the text above it
    columns: list[str]
    rows: list[dict[str, str]]


def pages() -> list[Path]:
    return sorted(PAGES.glob("*.md"))


def tables() -> list[Table]:
    """All tables of all pages."""
    found = []
    for page in pages():
        lines = [*page.read_text().splitlines(), ""]
        for at, line in enumerate(lines):
            if re.fullmatch(r"\|(---\|)+", line):
                columns = cells(lines[at - 1])
                end = next(number for number in range(at, len(lines)) if not lines[number].startswith("|"))
                rows = [dict(zip(columns, cells(row), strict=True)) for row in lines[at + 1 : end]]
                caption = "\n".join(lines[: at - 1]).rstrip().rpartition("\n\n")[2]
                found.append(Table(page.name, caption, columns, rows))
    return found


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def value(text: str) -> Number:
    """A number with commas, a magic in backquotes, or ``32 zero bytes``."""
    if text.startswith("`"):
        return text.strip("`").encode().decode("unicode_escape").encode()
    if zeros := re.fullmatch(r"(\d+) zero bytes", text):
        return bytes(int(zeros[1]))
    return int(text.replace(",", ""))


TABLES = tables()
OFFSETS = [table for table in TABLES if table.columns == ["offset", "size", "type", "field", "meaning"]]
VALUES = [
    (table.page, row["constant"].strip("`"), value(row.get("value") or row["number"]))
    for table in TABLES
    if "constant" in table.columns
    for row in table.rows
]


# ---- constants ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("page", "name", "documented"), VALUES, ids=[name for _, name, _ in VALUES])
def test_a_documented_value_is_the_value_in_the_code(page: str, name: str, documented: Number) -> None:
    assert CODE[name] == documented, page


def test_every_constant_of_the_crate_is_in_a_table() -> None:
    assert CODE.keys() - {name for _, name, _ in VALUES} == set()


def test_every_constant_that_a_page_names_is_in_the_crate() -> None:
    named = {name for page in pages() for name in NAME.findall(page.read_text()) if "::" in name}
    assert named - CODE.keys() == set()
    assert len(named) > 60


def test_a_constant_is_in_one_table_only() -> None:
    """The length of a record may be said where it is used, too, with the same value."""
    seen: dict[str, Number] = {}
    for page, name, documented in VALUES:
        assert seen.setdefault(name, documented) == documented, page


def test_the_evaluator_understands_what_the_crate_writes() -> None:
    assert CODE["pack::TOC_NONCE"] == 2**32 - 1
    assert CODE["pack::TRAILER_MAGIC"] == CODE["pack::MAGIC"][::-1]  # type: ignore[index]  # both are bytes
    assert CODE["item::SLICE_LENGTH"] == 40
    assert len(CODE) > 90


# ---- offsets -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", OFFSETS, ids=[f"{table.page}-{table.rows[0]['field']}" for table in OFFSETS])
def test_fields_follow_each_other_and_fill_their_structure(table: Table) -> None:
    """The caption names the constant that is the sum, where the structure has a fixed length."""
    end = 0
    for row in table.rows:
        if not row["offset"].isdigit():
            break
        assert int(row["offset"]) == end, row["field"]
        if not row["size"].isdigit():
            end = -1
            break
        end += int(row["size"])
        assert int(row["size"]) == {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "id": 32}.get(row["type"], int(row["size"]))
    lengths = [name for name in NAME.findall(table.caption) if name.endswith("LENGTH")]
    if lengths and end > 0:
        assert CODE[lengths[-1]] == end, lengths[-1]


def test_every_structure_of_fixed_length_has_a_table() -> None:
    captioned = {name for table in OFFSETS for name in NAME.findall(table.caption)}
    fixed = {
        *("pack::HEADER_LENGTH", "pack::TRAILER_LENGTH", "pack::RECORD_LENGTH", "pack::CHUNK_RECORD_LENGTH"),
        *("index::HEADER_LENGTH", "index::PACK_LENGTH", "index::OBJECT_LENGTH", "index::CHUNK_LENGTH"),
        *("key::CLEAR_LENGTH", "item::SLICE_LENGTH"),
    }
    assert fixed - captioned == set()


# ---- what Python knows of the format -----------------------------------------------------------------------------


def table_of(page: str, first_column: str) -> list[dict[str, str]]:
    return next(table.rows for table in TABLES if table.page == page and table.columns[0] == first_column)


def test_the_fields_of_an_item_have_the_numbers_and_names_of_the_code() -> None:
    rows = table_of("item.md", "number")
    documented = {int(row["number"]): row["constant"].strip("`") for row in rows}
    coded = {number: name for name, number in CODE.items() if name.startswith("item::field::")}
    assert documented == coded
    assert {number: f"item::field::{name.upper()}" for number, (name, _) in FIELDS.items()} == documented


def test_the_derivation_contexts_are_those_of_the_code() -> None:
    documented = {row["context"].strip("`") for row in table_of("key.md", "key")}
    assert documented == set(text_constants(SECRETS).values())
    assert documented == {
        *(reference_keys.CHUNK_ID, reference_keys.CHUNKER, reference_keys.ARCHIVE_NAME, reference_keys.FILE),
        *(reference_keys.PUBLIC_ID, reference_keys.PUBLIC_DATA),
    }


def test_the_modes_are_those_of_the_code() -> None:
    documented = {row["mode"].strip("`") for row in table_of("key.md", "mode")}
    assert documented == config.ENCRYPTIONS == {mode.name for mode in MODES.values()}


def test_the_fields_of_a_head_are_those_of_the_code() -> None:
    documented = [row["field"].strip("`") for row in table_of("archive.md", "field")]
    assert documented == sorted([*ArchiveHead._fields, "version"])
    stats = [row["field of `stats`"].strip("`") for row in table_of("archive.md", "field of `stats`")]
    assert stats == sorted(ArchiveStats._fields)
    version = next(row for row in table_of("archive.md", "field") if row["field"] == "`version`")
    assert version["meaning"] == str(head.VERSION)


def test_the_lines_of_a_config_are_those_of_the_code() -> None:
    rows = table_of("config.md", "line")
    written = RepositoryConfig(RepositoryId(bytes(32)), "none", 3).encode().decode().splitlines()
    assert [row["entry"].strip("`") for row in rows[1:]] == [line.partition(" =")[0] for line in written[1:]]
    assert rows[0]["value"] == f"`{written[0]}`"
    assert str(config.LENGTH_MAX) in (PAGES / "config.md").read_text()


def test_the_names_of_objects_are_those_of_the_code() -> None:
    for row in table_of("README.md", "object"):
        name = row["name"].strip("`").replace("<64 digits>", "0" * 64).replace("<2 digits>", "00")
        assert is_object_name(name.replace("<16 digits>", "0" * 16)), row["name"]


def test_the_fields_of_a_session_are_those_of_the_code() -> None:
    documented = [row["field"].strip("`") for row in table_of("sessions.md", "field")]
    assert documented == sorted([*SessionRecord._fields, "version"])
    in_the_way = {
        row["role"].strip("`"): set(re.findall("`([a-z]+)`", row["waits for"]))
        for row in table_of("sessions.md", "role")
    }
    assert in_the_way == {role: set(others) for role, others in sessions._IN_THE_WAY.items()}


def test_a_generation_is_laid_out_as_the_page_says() -> None:
    header, record = (
        table.rows for table in OFFSETS if table.page == "sessions.md" and table.rows[0]["field"] != "header"
    )
    encoded = Generation(7, {PackId(bytes([9] * 32)): 5}, frozenset({SessionId(bytes([8] * 32))})).encode()
    at = {row["field"]: slice(int(row["offset"]), int(row["offset"]) + int(row["size"])) for row in header}
    assert encoded[at["magic"]] == header[0]["meaning"].strip("`").encode()
    assert [int.from_bytes(encoded[at[name]], "little") for name in ("version", "packs", "fenced", "honoured")] == [
        1,
        1,
        1,
        0,
    ]
    first = encoded[at["reserved"].stop :]
    at = {row["field"]: slice(int(row["offset"]), int(row["offset"]) + int(row["size"])) for row in record}
    assert (int.from_bytes(first[at["generation"]], "little"), first[at["pack"]]) == (5, bytes([9] * 32))
    assert first[at["pack"].stop :] == bytes([8] * 32)


# ---- the pages themselves ----------------------------------------------------------------------------------------


def test_every_page_says_how_errors_are_treated() -> None:
    assert [page.name for page in pages() if "\n## Errors\n" not in page.read_text()] == []


def test_every_page_is_in_the_list_of_pages() -> None:
    listed = (PAGES / "README.md").read_text()
    assert [page.name for page in pages() if page.name != "README.md" and f"({page.name})" not in listed] == []


def test_the_stated_sizes_are_what_the_constants_give() -> None:
    chunk, listed = CODE["index::CHUNK_LENGTH"], CODE["index::OBJECT_LENGTH"]
    record, chunk_record = CODE["pack::RECORD_LENGTH"], CODE["pack::CHUNK_RECORD_LENGTH"]
    rows = {row["where"]: row["bytes per chunk"] for row in table_of("README.md", "where")}
    assert isinstance(chunk, int)
    assert isinstance(listed, int)
    assert isinstance(record, int)
    assert isinstance(chunk_record, int)
    assert rows["index"] == str(chunk + listed)
    assert rows["table of contents"] == str(record + chunk_record)
    mean = 2**18 + 2**20 * (1 - 2.718281828 ** (-(2**22 - 2**18) / 2**20))
    assert abs(2**40 / mean - 855_000) < 5_000


def test_the_paper_key_on_the_page_is_one_of_the_vectors() -> None:
    shown = re.findall(r"^ {4}(BORK PAPER KEY v1\n(?: {4}.*\n){3})", (PAGES / "key.md").read_text(), re.MULTILINE)
    (lines,) = (re.sub("^ {4}", "", text, flags=re.MULTILINE) for text in shown)
    assert vector("keys")["cases"][0]["paper"].startswith(lines)


def test_the_hex_dump_is_the_one_of_the_golden_repository() -> None:
    """Made anew by: python -m tests.reference annotate vectors/repositories/hello"""
    shown = (PAGES / "hexdump.md").read_text().split("```\n")[1]
    assert shown.rstrip() == annotate(REPOSITORIES / "hello").rstrip()
