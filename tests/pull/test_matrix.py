"""The matrix of docs/threat-model.md, "Pull": each cell names the tests that prove it, or says who wins."""

import re

from tests.docs.pages import ROOT, rows, section

PAGE = ROOT / "docs" / "threat-model.md"
WAYS = ["sshfs", "socat", "ssh-agent", "native pull", "native pull, `--client-encrypts`"]


def matrix() -> dict[str, dict[str, str]]:
    text = section(PAGE, "Pull")
    head = next(line for line in text.splitlines() if line.startswith("| attacker"))
    ways = [cell.strip() for cell in head.strip("|").split(" | ")[1:]]
    return {row[0]: dict(zip(ways, row[1:], strict=True)) for row in rows(text)}


def test_every_cell_of_the_pull_matrix_names_a_test_that_exists_or_says_who_wins() -> None:
    there = set()
    for path in (ROOT / "tests").rglob("*.py"):
        there.update(re.findall(r"def (test_\w+)", path.read_text()))
    table = matrix()
    assert len(table) >= 10
    for attack, cells in table.items():
        assert list(cells) == WAYS
        for way, cell in cells.items():
            named = re.findall(r"`(test_\w+)`", cell)
            assert set(named) <= there, (attack, way)
            assert bool(named) != ("**wins**" in cell or "not proven yet" in cell), (attack, way, cell)


def test_each_attacker_is_in_the_matrix_and_native_pull_is_proven_or_lost() -> None:
    table = matrix()
    assert {attack.partition(":")[0] for attack in table} == {"client", "server", "line"}
    assert [attack for attack, cells in table.items() if "not proven" in cells["native pull"]] == []
