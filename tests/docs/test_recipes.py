"""docs/usage/pull.md: no block of commands stands on it that no test between two hosts runs."""

import re

from tests.docs.pages import ROOT
from tests.real.recipes import PAGE, blocks


def test_every_block_of_commands_has_a_name_and_a_test_that_runs_it() -> None:
    named = blocks()
    assert len(named) == PAGE.read_text().count("```sh\n"), "a block without a name"
    run = "".join(path.read_text() for path in (ROOT / "tests" / "real").glob("test_recipe_*.py"))
    used = re.findall(r"""(?:recipe\(|piped\(hosts, )["']([\w-]+)["']""", run)
    assert set(used) == set(named)
