"""docs/usage/pull.md: no block of commands stands on it that no test between two hosts runs."""

import re

from tests.docs.pages import ROOT
from tests.real.recipes import PAGE, blocks

REAL = ROOT / "tests" / "real"
BY_TEXT = "sshfs-chroot-"  # the tests of these have the text of the seed document, and are not taken from the page


def test_every_block_of_commands_has_a_name_and_a_test_that_runs_it() -> None:
    named = blocks()
    assert len(named) == PAGE.read_text().count("```sh\n"), "a block without a name"
    run = "".join(path.read_text() for path in REAL.glob("test_recipe_*.py"))
    used = re.findall(r"""(?:recipe\(|piped\(hosts, )["']([\w-]+)["']""", run)
    assert set(used) == {name for name in named if not name.startswith(BY_TEXT)}


def test_the_recipe_with_a_chroot_is_the_one_that_its_test_runs() -> None:
    run = (REAL / "test_recipe_sshfs.py").read_text()
    lines = {line for name, text in blocks().items() if name.startswith(BY_TEXT) for line in text.splitlines()}
    assert len(lines) > 15
    # The sshfs of the test has this option from its surroundings.
    found = {line for line in lines if line.replace(" -o no_contain_symlinks", "") in run}
    assert lines - found <= {"chroot /tmp/sshfs"}, "which is entered there with a command, since nobody types"
    assert "chroot /tmp/sshfs" in run
