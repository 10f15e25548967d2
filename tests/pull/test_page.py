"""docs/protocol.md, "The agent", says what the code does: kinds, limits, fields, bits; so do the vectors."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

import bork.pull.line
from bork.core import decode_agent_hello
from bork.pull import bootstrap
from tests.docs.pages import ROOT, first_codes, rows
from tests.format.rust_constants import Number, collect, constants
from tests.pull import speaker
from tests.pull.speaker import HELLO, LEAF, MAGIC, OBJECT, PLAN, UNIT, frames, opened, unpack
from vectors.pull import content

PAGE = (ROOT / "docs" / "protocol.md").read_text()
SOURCES = ROOT / "rust" / "bork-format" / "src" / "pull"
VECTORS: dict[str, Any] = json.loads((ROOT / "vectors" / "pull.json").read_text())


def chapter(title: str) -> str:
    """A part of the chapter."""
    agent = PAGE.partition("\n## The agent\n")[2]
    return agent.partition(f"\n### {title}\n")[2].partition("\n### ")[0]


def code() -> dict[str, Number]:
    """The constants of the crate, those of this protocol without a prefix."""
    found = {name.rpartition("::")[2]: value for name, value in constants().items()}
    pull: dict[str, Number] = {}
    text = (SOURCES / "mod.rs").read_text().partition("#[cfg(test)]")[0]
    collect(pull, "", text.replace(' = b"', ' = *b"'))
    return {"ID_LENGTH": found["ID_LENGTH"], **pull}


def longest(names: Mapping[str, Number]) -> dict[str, int]:
    """What ``FrameKind::length_max`` gives for each kind."""
    body = (SOURCES / "mod.rs").read_text().partition("pub fn length_max")[2].partition("\n    }\n")[0]
    numbers = {**names, "PREFIX_LENGTH": 11}
    found: dict[str, int] = {}
    for kinds, value in re.findall(r"^ +([A-Z][\w |]+) => (.+),$", body, re.MULTILINE):
        words = re.split(r" ([+*/]) ", value.replace("crate::", ""))
        total, *rest = (numbers.get(word, word) for word in words)
        total = int(total)
        for operator, number in zip(rest[::2], rest[1::2], strict=True):
            total = {"+": total + int(number), "*": total * int(number), "/": total // int(number)}[str(operator)]
        found |= dict.fromkeys(kinds.split(" | "), total)
    return found


def test_the_kinds_of_the_page_are_those_of_the_code() -> None:
    names = code()
    kinds = {name.partition("::")[2]: value for name, value in names.items() if name.startswith("FrameKind::")}
    table = [row for row in rows(chapter("Frame")) if len(row) == 5 and row[1].startswith("`")]
    assert {row[1].strip("`"): int(row[0]) for row in table} == kinds
    assert {row[1].strip("`"): int(row[3].replace(",", "")) for row in table} == longest(names)
    assert {row[2] for row in table} == {"agent", "server", "both"}
    own = {name: value for name, value in vars(speaker).items() if name.isupper() and isinstance(value, int)}
    for name, value in kinds.items():
        assert own[re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper()] == value


def test_the_limits_of_the_page_are_those_of_the_code_and_none_is_missing() -> None:
    names = code() | {
        name: value for name, value in vars(bork.pull.line).items() if name in ("HELLO_MAX", "NOISE_MAX", "SILENCE_S")
    }
    table = {row[0].strip("`"): int(row[1].replace(",", "")) for row in rows(chapter("Limits of the agent's line"))}
    assert table == {name: names[name] for name in table}
    limits = {name for name in code() if name.endswith(("_MAX", "_CREDIT", "_LENGTH")) and name != "ID_LENGTH"}
    assert limits <= set(table)
    assert table["HEAD_LENGTH"] == bork.pull.line.HEAD_LENGTH


def test_the_magic_of_the_page_is_that_of_the_code() -> None:
    (shown,) = re.findall(r"the magic: `([0-9a-f ]+)`", chapter("Greeting"))
    assert bytes.fromhex(shown) == bork.pull.line.MAGIC == MAGIC == bytes.fromhex(VECTORS["magic"]) == code()["MAGIC"]
    assert bootstrap.ASK == b"BORK-SEND "


def test_the_head_of_the_page_is_that_of_the_speaker() -> None:
    offsets = [int(row[0]) for row in rows(chapter("Frame")) if row[3] in ("length", "kind", "body")]
    assert offsets == [0, 4, 5]


def fields_of(structure: str) -> list[str]:
    """The fields of a Rust structure, in the order in which they are declared."""
    text = "".join(path.read_text() for path in SOURCES.glob("*.rs"))
    body = re.search(rf"^pub struct {structure} \{{(.*?)^\}}", text, re.MULTILINE | re.DOTALL)
    assert body is not None
    return re.findall(r"^    pub (\w+):", body[1], re.MULTILINE)


@pytest.mark.parametrize("structure", ["Hello", "Plan", "Unit"])
def test_the_fields_of_the_page_are_those_of_the_code(structure: str) -> None:
    shown = first_codes(chapter(structure))
    declared = fields_of(structure)
    assert shown == (["version", *declared] if structure == "Hello" else declared)
    if structure == "Plan":
        assert shown == list(speaker.Plan.__dataclass_fields__)


def test_the_bits_and_the_words_of_the_page_are_those_of_the_code() -> None:
    text = "".join(path.read_text() for path in SOURCES.glob("*.rs"))

    def words(after: str) -> list[str]:
        return re.findall(r'"(\w+)"', text.partition(after)[2].partition("];")[0])

    def shown(after: str, title: str) -> list[str]:
        paragraph = chapter(title).partition(after)[2].partition("\n\n")[0]
        return re.findall(r"`(\w+)`", paragraph)

    assert shown("Bits of `flags`:", "Plan") == words("impl Plan {") == list(speaker.FLAGS)
    assert shown("Bits of `files_cache`:", "Plan") == words("pub const CACHE_WORDS") == list(speaker.CACHE_WORDS)
    assert shown("Kinds of problems, from 0:", "Unit") == words("pub const PROBLEM_KINDS")


# ---- vectors -------------------------------------------------------------------------------------------------------


def revived(value: Any) -> Any:  # noqa: ANN401  # what is in a JSON file
    if isinstance(value, dict):
        return bytes.fromhex(value["hex"])
    return [revived(each) for each in value] if isinstance(value, list) else value


def test_the_vectors_are_what_their_program_writes() -> None:
    assert content() == VECTORS


@pytest.mark.parametrize("vector", VECTORS["frames"], ids=lambda vector: vector["name"])
def test_the_speaker_reads_every_vector_and_writes_it_the_same(vector: dict[str, Any]) -> None:
    """Rust reads them in rust/bork-fuzz/tests/vectors.rs."""
    data = bytes.fromhex(vector["frame"])
    ((kind, body),) = frames(data)
    assert kind == vector["kind"]
    assert speaker.frame(kind, body) == data
    value = revived(vector["value"])
    plain = opened(body) if kind in (UNIT, LEAF) else body
    if value is not None:
        assert unpack(plain) == value
        assert speaker.pack(value) == plain
    if kind == PLAN:
        assert speaker.read_plan(body).chunking in ([18, 22, 20], [4096, 512])
    if kind == HELLO:
        said = decode_agent_hello(body)
        assert [said["program"], said["hostname"], said["uid"]] == value[1:4]
        assert said["clock_ns"] == value[9] * 10**9 + value[10]
    if kind == OBJECT:
        assert speaker.object_of([(b"\3" * 32, 3), (b"\4" * 32, 300)], b"abc" + bytes(300)) == data
