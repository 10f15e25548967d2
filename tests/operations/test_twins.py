"""What commands say of archives that another command has left, or taken away, at that moment."""

from pathlib import Path

from bork.operations import check, prune
from bork.operations.check import CheckOptions
from bork.operations.heads import load_heads
from bork.operations.opening import open_repository
from bork.operations.problems import CountedProblems
from bork.operations.prune import PruneOptions
from bork.operations.retention import Policy
from bork.operations.selection import ArchiveName
from tests.operations.scene import Recorder, Scene


def test_prune_keeps_an_archive_and_not_the_twin_that_a_killed_recreate_has_left(scene: Scene, source: Path) -> None:
    scene.init()
    scene.create("monday", source)
    scene.create("monday.recreate", source)
    scene.create("other.recreate", source)
    options = PruneOptions(policy=Policy(counts={"secondly": 1}))
    prune.run(scene.access(), options, Recorder(), list[object]().append, list[object]().append)
    assert "monday.recreate" in scene.names()  # no rule is about it: the next recreate removes it
    assert len(scene.names()) == 2


def test_a_check_says_nothing_of_an_archive_that_is_deleted_under_it(scene: Scene, source: Path) -> None:
    scene.init()
    scene.create("monday", source)
    scene.create("tuesday", source)
    with open_repository(scene.access()) as opened:
        entries = load_heads(opened.repository, opened.keys).entries
        opened.repository.delete_head(entries[0].object)
        events = Recorder()
        counted = CountedProblems(events)
        told = check._OfArchivesThatAreThere(counted, opened, entries)
        told.problem("damaged", b"monday: source/small", "gone with the archive")
        told.problem("damaged", b"monday", "gone with the archive")
        told.problem("damaged", b"tuesday: source/small", "true damage")
    assert [path for _, path, _ in events.problems] == [b"tuesday: source/small"]
    assert counted.total == 1
    whole = check.run(scene.access(), CheckOptions()._replace(name=ArchiveName("tuesday")), Recorder())
    assert whole.problems == 0
