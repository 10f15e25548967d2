"""The threat model names the tests that prove it, and they are there."""

import re

from tests.docs.pages import ROOT, first_codes, rows, section

THREAT_MODEL = ROOT / "docs" / "threat-model.md"
NOT_PROVEN = "not proven yet"


def test_every_claim_names_tests_that_exist_or_says_that_it_is_not_proven() -> None:
    there = set()
    for directory, pattern, definition in (
        (ROOT / "tests", "*.py", r"def (test_\w+)"),
        (ROOT / "rust", "*.rs", r"fn (\w+)"),
    ):
        for path in directory.rglob(pattern):
            there.update(re.findall(definition, path.read_text()))
    claims = rows(section(THREAT_MODEL, "What is promised"))
    assert claims
    for claim in claims:
        proofs = re.findall(r"`(\w+)`", claim[-1])
        assert proofs or NOT_PROVEN in claim[-1], claim[0]
        assert [proof for proof in proofs if proof not in there] == [], claim[0]


def test_the_glossary_explains_every_word_of_the_data_path() -> None:
    words = {word for cell in first_codes((ROOT / "GLOSSARY.md").read_text()) for word in cell.split(", ")}
    path = {"walk", "chunk", "identify", "dedup", "compress", "seal", "pack", "store"}
    back = {"fetch", "open", "decompress", "verify", "write"}
    things = {"repository", "archive", "item", "chunk id", "object", "index", "session", "generation", "key"}
    assert path | back | things | {"passphrase", "put", "get", "encode", "decode"} <= words


def test_the_bounds_on_the_page_of_the_architecture_are_those_of_the_source() -> None:
    bounds = rows(section(ROOT / "docs" / "architecture.md", "Threads and queues"))
    wrong = [row for row in bounds if row[1].strip("`") not in (ROOT / row[2].strip("`")).read_text()]
    assert wrong == [], "the page names source text that is no longer there"


def test_every_source_file_that_the_architecture_names_by_its_path_is_there() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    paths = re.findall(r"`((?:src|rust|tests)/[\w/.-]+)`", text)
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
