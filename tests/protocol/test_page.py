"""docs/protocol.md says what the code does: verbs, members, limits, times, classes, and every byte of its example."""

import json
import re
from typing import Any

import bork.protocol.hello
import bork.protocol.messages
import bork.protocol.preamble
import bork.protocol.verbs
import bork.protocol.wire
import bork.server.guarded
import bork.server.serve
import bork.storage.remote.child
import bork.storage.remote.connection
from bork.protocol.faults import CLASSES
from bork.protocol.hello import MAGIC, Hello
from bork.protocol.messages import HEADER, HEADER_LENGTH
from bork.protocol.preamble import PREAMBLE_MAGIC
from bork.protocol.verbs import ENTRY_LENGTH, LOOK_ENTRY_LENGTH, OPENING, VERBS
from bork.pull.blind.order import MEMBERS
from tests.docs.pages import ROOT, first_codes, rows, section

PAGE = ROOT / "docs" / "protocol.md"
MODULES = (
    bork.protocol.hello,
    bork.protocol.messages,
    bork.protocol.preamble,
    bork.protocol.verbs,
    bork.protocol.wire,
    bork.server.guarded,
    bork.server.serve,
    bork.storage.remote.child,
    bork.storage.remote.connection,
)
CONSTANTS: dict[str, Any] = {
    name: value
    for module in MODULES
    for name, value in vars(module).items()
    if name.isupper() and not name.startswith("_") and isinstance(value, int | float)
}


def members(cell: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", cell))


def test_the_verbs_of_the_page_are_those_of_the_code() -> None:
    requests = section(PAGE, "Requests and answers")
    table = {row[0].strip("`"): row for row in rows(requests) if len(row) == 5 and row[0].strip("`") in VERBS}
    assert list(table) == list(VERBS), "in the same order"
    for name, verb in VERBS.items():
        _, takes, data_in, gives, data_out = table[name]
        assert members(takes) == set(verb.takes), name
        assert members(gives) == set(verb.gives), name
        assert (bool(data_in), bool(data_out)) == (verb.data_in_max > 0, verb.data_out_max > 0), name
    assert {f"`{verb}`" for verb in OPENING} == set(re.findall(r"first request, (`open`) or (`create`)", requests)[0])


def test_every_member_is_explained_and_no_other() -> None:
    used = {member for verb in VERBS.values() for member in (*verb.takes, *verb.gives)}
    explained = [row[0].strip("`") for row in rows(section(PAGE, "Requests and answers")) if len(row) == 3]
    assert explained == sorted(used)
    assert first_codes(section(PAGE, "Hello")) == sorted(Hello("client", "x").encode())


def test_limits_and_times_are_those_of_the_code() -> None:
    for title in ("Limits", "Time"):
        for name, number, unit, meaning in rows(section(PAGE, title)):
            assert int(number.replace(",", "")) == CONSTANTS[name.strip("`")], name
            assert unit
            assert meaning
    shown = {*first_codes(section(PAGE, "Limits")), *first_codes(section(PAGE, "Time"))}
    for module in (bork.protocol.messages, bork.protocol.preamble, bork.protocol.verbs, bork.protocol.wire):
        own = {name for name in vars(module) if name.isupper() and name.endswith(("_MAX", "_S", "_MIN"))}
        own -= {"ID_MAX", "NAME_MAX", "SMALL_MAX"}  # they are in the text
        assert {name for name in own if not name.startswith("_")} <= shown | set(members(section(PAGE, "Message")))


def test_the_order_of_a_pull_has_the_members_of_the_code() -> None:
    assert first_codes(section(PAGE, "The order of a pull")) == sorted(MEMBERS)
    assert f"`{PREAMBLE_MAGIC.decode()}`" in section(PAGE, "The order of a pull")


def test_the_classes_that_may_pass_are_those_of_the_code() -> None:
    named = [word for word in members(section(PAGE, "Errors")) if word[0].isupper()]
    assert sorted(named) == sorted(CLASSES)


def test_the_header_of_the_page_is_that_of_the_code() -> None:
    offsets = [int(row[0]) for row in rows(section(PAGE, "Message")) if row[0].isdigit()]
    assert offsets == [0, 4, 8, 12, HEADER_LENGTH]
    assert HEADER.size == HEADER_LENGTH
    entry = [row for row in rows(section(PAGE, "Requests and answers")) if len(row) == 5 and row[0].isdigit()]
    ends = [int(row[0]) + int(row[1]) for row in entry]
    assert ends == [32, ENTRY_LENGTH, 32, 40, 44, 45, LOOK_ENTRY_LENGTH]
    assert MAGIC.hex(" ") in section(PAGE, "Hello")


def test_the_example_is_the_vector_byte_for_byte() -> None:
    vectors = json.loads((ROOT / "vectors" / "protocol.json").read_text())["messages"]
    wanted = {vector["name"]: vector["message"] for vector in vectors}
    _, example, _ = section(PAGE, "Example").split("```")
    for name, dump in zip(("open", "opened"), example.strip().split("\n\n"), strict=True):
        shown = "".join(re.findall(r"^[0-9a-f]{2}  ((?:[0-9a-f]{2} ?)+)  ", dump, flags=re.MULTILINE))
        assert shown.replace(" ", "") == wanted[name]
        at = 0
        for offset, data in re.findall(r"^([0-9a-f]{2})  ((?:[0-9a-f]{2} ?)+)  ", dump, flags=re.MULTILINE):
            assert int(offset, 16) == at
            at += len(data.split())


def test_the_vectors_are_what_their_generator_writes() -> None:
    from vectors.protocol import content  # late: what else is in vectors needs parts that this test does not

    assert content() == json.loads((ROOT / "vectors" / "protocol.json").read_text())
