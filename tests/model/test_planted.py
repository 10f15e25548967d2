"""The search finds mistakes: each of these is planted into the real code, and some interleaving must show it."""

import pytest

from bork.archive.generation import Generation
from bork.operations import compact, index, sessions
from bork.repository import layout
from bork.repository.layout import HeadId, SessionId
from bork.repository.repository import Repository
from bork.repository.sight import Sight
from bork.storage.base import Hold
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
    """It looks for the newest generation and for packs, and is put only then."""

    def too_late(self: Repository, session: SessionId, data: bytes, *whats: str) -> tuple[Hold, Sight]:
        sight = self.look(*whats)
        return self._store.hold(layout.session_name(session), data), sight

    monkeypatch.setattr(Repository, "hold_and_look", too_late)
    stage.begin_with("deleted")
    with pytest.raises((Failure, AssertionError)):
        stage.explore(LOCAL, stage.writer("new"), stage.compactor())


def test_a_fenced_writer_does_not_look_for_its_session_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def believe(self: sessions.Session, head: HeadId, data: bytes) -> bool:
        real(self, head, data)
        return True

    real = sessions.Session.put_head
    monkeypatch.setattr(sessions.Session, "put_head", believe)
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
