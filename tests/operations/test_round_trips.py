"""How often a command waits for a server that is far away. Counted, not timed: see ``Connection.round_trips``.

The first is hello and opening, the second config and keys, the third the session and all that is needed then; the last
one gives the session back and ends the connection.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bork.operations import check, compact, prune
from bork.operations import list as listing
from bork.operations.check import CheckOptions
from bork.operations.compact import CompactOptions
from bork.operations.list import ListOptions
from bork.operations.prune import PruneOptions
from bork.operations.retention import Policy
from bork.operations.selection import ArchiveFilter, ArchiveName
from tests.operations.far import FarStores
from tests.operations.scene import Recorder, Scene, StoppedClock, User, expected

if TYPE_CHECKING:
    from bork.operations.access import Access

FILES = 6_000  # in a dozen leaves below one inner node: a longer list adds one for each 128 leaves


class Far:
    """A user whose repository is behind a server."""

    def __init__(self, home: Path) -> None:
        self.stores = FarStores()
        self.scene = Scene(home, User(), self.stores, StoppedClock())  # type: ignore[arg-type]  # other stores
        self.source = home / "source"
        for number in range(FILES):
            directory = self.source / f"directory {number // 1000}"
            directory.mkdir(parents=True, exist_ok=True)
            (directory / f"a file with a name {number}").write_bytes(b"%d" % number)
        self.access: Access = self.scene.access(str(home / "repository"))._replace(is_local=False)
        self.scene.init(access=self.access)
        self.create("one")
        self.create("two")
        self.stores.round_trips()

    def create(self, name: str) -> None:
        self.scene.create(name, self.source, access=self.access, pack_size=16 << 20)

    def cost(self, command: Callable[[], object]) -> int:
        command()
        return self.stores.round_trips()


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Far:
    return Far(tmp_path_factory.mktemp("far"))


def test_a_backup_of_nothing_new_costs_nine_round_trips(far: Far) -> None:
    """Three to be at work; root, inner node and leaves of the archive before; heads, commit, end."""
    assert far.cost(lambda: far.create("three")) <= 9


def test_a_list_of_archives_costs_four_round_trips(far: Far) -> None:
    assert far.cost(lambda: listing.archives(far.access, ArchiveFilter())) <= 4


def test_a_list_of_files_costs_eight_round_trips(far: Far) -> None:
    """Besides those above: the head."""
    options = ListOptions("{path}{NL}")
    assert far.cost(lambda: listing.items(far.access, ArchiveName("one"), options, Recorder())) <= 8


def test_a_check_costs_ten_round_trips(far: Far) -> None:
    """Besides those of a reader: indexes, keys, packs."""
    assert far.cost(lambda: check.run(far.access, CheckOptions(), Recorder())) <= 10


def test_what_came_over_a_distance_is_what_went(far: Far) -> None:
    assert far.scene.restore("one", far.access) == expected(far.source)


def test_a_prune_costs_four_round_trips_and_those_of_its_deletions(far: Far) -> None:
    far.create("four")
    far.stores.round_trips()
    options = PruneOptions(Policy(counts={"daily": 1}))
    assert far.cost(lambda: prune.run(far.access, options, Recorder(), lambda _: None, lambda _: None)) <= 5


def test_a_compaction_of_nothing_costs_sixteen_round_trips(far: Far) -> None:
    assert far.cost(lambda: compact.run(far.access, CompactOptions(), Recorder())) <= 16
