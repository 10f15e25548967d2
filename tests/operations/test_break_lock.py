"""Broken sessions are gone, whoever they belonged to, and what they were about to commit is refused."""

import pytest

from bork.errors import RepositoryDoesNotExist, SessionBroken
from bork.operations import break_lock
from bork.operations.opening import open_repository
from tests.operations.scene import Scene


def test_every_session_is_broken_and_named(scene: Scene) -> None:
    scene.init()
    access = scene.access()._replace(lock_wait_s=0)
    with open_repository(access, role="writer") as writer, open_repository(access, role="reader"):
        broken = break_lock.run(access._replace(passphrases=None))  # type: ignore[arg-type]  # never used
        assert sorted(seen.record.role for seen in broken) == ["reader", "writer"]
        with pytest.raises(SessionBroken):
            writer.at_work.verify()
        with open_repository(access, role="exclusive"):
            pass
    assert [name for name in scene.stores.objects["/repository"] if name.startswith("sessions/")] == []


def test_where_nobody_works_nothing_is_broken(scene: Scene) -> None:
    scene.init()
    assert break_lock.run(scene.access()) == []


def test_there_must_be_a_repository(scene: Scene) -> None:
    with pytest.raises(RepositoryDoesNotExist):
        break_lock.run(scene.access("/nowhere"))
