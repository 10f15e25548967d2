"""Inside of ``with-lock`` nobody changes the repository; afterwards, and after a crash, everybody may."""

from pathlib import Path

import pytest

from bork.errors import LockTimeout
from bork.operations import with_lock
from bork.operations.opening import open_repository
from tests.operations.scene import Scene, expected


@pytest.mark.parametrize("role", ["writer", "deleter", "compactor", "exclusive"])
def test_nobody_begins_to_change_anything(scene: Scene, role: str) -> None:
    scene.init()
    access = scene.access()._replace(lock_wait_s=0)
    with with_lock.run(access), pytest.raises(LockTimeout, match="exclusive"):
        open_repository(access, role=role)  # type: ignore[arg-type]  # one of them
    with open_repository(access, role=role):  # type: ignore[arg-type]  # one of them
        pass


@pytest.mark.parametrize("role", ["reader", "writer", "deleter", "compactor", "exclusive"])
def test_it_waits_for_those_who_are_at_work(scene: Scene, role: str) -> None:
    scene.init()
    access = scene.access()._replace(lock_wait_s=0)
    with (
        open_repository(access, role=role),  # type: ignore[arg-type]  # one of them
        pytest.raises(LockTimeout, match=role),
        with_lock.run(access),
    ):
        pytest.fail("two at once")
    with with_lock.run(access):
        pass


def test_readers_may_begin_and_no_key_is_needed(scene: Scene, source: Path) -> None:
    scene.init()
    scene.create("monday", source)
    locked = scene.access()._replace(passphrases=None)  # type: ignore[arg-type]  # it would fail if it were used
    with with_lock.run(locked):
        assert scene.restore("monday") == expected(source)


def test_the_lock_ends_with_an_error_inside(scene: Scene, source: Path) -> None:
    scene.init()
    with pytest.raises(ZeroDivisionError), with_lock.run(scene.access()):
        raise ZeroDivisionError
    scene.create("monday", source)
