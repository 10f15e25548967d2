"""The search finds mistakes: each of these is planted into the real code, and some interleaving must show it."""

from collections.abc import Iterator

import pytest

from bork.archive.generation import Generation
from bork.operations import committing, compact, generations, index, sessions
from tests.model.explore import Failure
from tests.model.stage import Stage
from tests.model.world import LAGGING, LOCAL, OBJECTS


def test_a_search_without_mistakes_finds_nothing(stage: Stage) -> None:
    stage.begin_with("deleted")
    stage.explore(LOCAL, stage.deleter("keep"), stage.compactor())


def test_archives_that_came_meanwhile_are_not_looked_at(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compact._Compaction, "_needed_by_new_archives", lambda _: frozenset())
    stage.begin_with("deleted")
    with pytest.raises(Failure, match="archive new cannot be restored"):
        stage.explore(LOCAL, stage.writer("new"), stage.compactor())


def test_sessions_are_not_waited_for(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compact._Compaction, "_behind", lambda _: [])
    stage.begin_with("deleted")
    with pytest.raises(Failure, match=r"cannot be restored|failed: IntegrityError"):
        stage.explore(LOCAL, stage.writer("new"), stage.compactor())


def test_a_writer_does_not_heed_what_is_condemned(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.begin_with("condemned")
    monkeypatch.setattr(index, "newest", lambda *_: Generation())
    with pytest.raises(Failure):
        stage.explore(LOCAL, stage.writer("new"), stage.compactor())


def test_a_session_is_put_too_late(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says that it has seen the newest generation, and has not looked again after it was put."""
    numbers: Iterator[int] = iter(())

    def once(repository: object) -> int:
        nonlocal numbers
        number = next(numbers, None)
        if number is None:
            number = real(repository)  # type: ignore[arg-type]  # it is a repository
            numbers = iter([number])
        return number

    real = generations.newest_number
    monkeypatch.setattr(sessions, "newest_number", once)
    monkeypatch.setattr(index, "newest", lambda *_: Generation())
    stage.begin_with("deleted")
    with pytest.raises((Failure, AssertionError)):
        stage.explore(LOCAL, stage.writer("new"), stage.compactor())


def test_a_fenced_writer_does_not_look_for_its_session_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committing, "withdraw_unless_at_work", lambda *_: None)
    stage.begin_with("deleted")
    with pytest.raises(Failure, match=r"archive new is gone|cannot be restored"):
        stage.explore(OBJECTS, stage.writer("new"), stage.compactor(), accepts={"SessionBroken"})


def test_listings_that_lag_are_not_waited_for(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def at_once(self: compact._Compaction) -> object:
        return self._entries()

    monkeypatch.setattr(compact._Compaction, "_all_entries", at_once)
    stage.begin_with("deleted")
    with pytest.raises(Failure, match=r"cannot be restored|failed: IntegrityError"):
        stage.explore(LAGGING, stage.writer("new"), stage.compactor(), accepts={"SessionBroken"})
