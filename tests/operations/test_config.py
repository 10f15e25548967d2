"""Settings are shown as they are, changed as a whole, and what is fixed stays."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from bork.errors import BorkError, CommandError, StorageQuotaExceeded
from bork.operations import config, init, sessions
from bork.operations.access import Access
from bork.operations.init import InitOptions
from bork.operations.sessions import Session
from bork.repository.config import decode
from bork.repository.repository import Repository
from bork.repository.session import Role
from bork.storage.names import CONFIG
from tests.operations.scene import Scene
from tests.operations.test_faults import attempts, mend
from tests.storage.faulty import FAULTS, Crash, Fault


def test_everything_is_shown_without_a_key(scene: Scene) -> None:
    init.run(scene.access(), InitOptions("repokey", append_only=True, storage_quota=20_000_000))
    scene.user.configured = b"wrong"
    shown = config.show(scene.access())
    assert (shown["append_only"], shown["storage_quota"], shown["encryption"]) == ("1", "20000000", "repokey")
    assert list(shown) == list(config.SETTINGS)
    assert scene.user.asked == []


@pytest.mark.parametrize(("name", "value"), [("append_only", 1), ("storage_quota", 50_000_000)])
def test_a_setting_is_changed_and_goes_back_to_its_default(scene: Scene, name: str, value: int) -> None:
    scene.init()
    before = config.show(scene.access())
    config.change(scene.access(), name, value)
    assert config.show(scene.access()) == before | {name: str(value)}
    config.change(scene.access(), name, None)
    assert config.show(scene.access()) == before


@pytest.mark.parametrize("name", ["version", "encryption", "suite", "id"])
@pytest.mark.parametrize("value", [1, None])
def test_what_is_fixed_cannot_be_changed(scene: Scene, name: str, value: int | None) -> None:
    scene.init()
    before = dict(scene.stores.objects["/repository"])
    with pytest.raises(CommandError, match=name):
        config.change(scene.access(), name, value)
    assert scene.stores.objects["/repository"] == before


def test_a_new_quota_counts_at_once(scene: Scene, source: Path) -> None:
    scene.init()
    config.change(scene.access(), "storage_quota", 1)
    with pytest.raises(StorageQuotaExceeded):
        scene.create("monday", source)
    config.change(scene.access(), "storage_quota", 0)
    scene.create("monday", source)


def test_of_two_changes_at_a_time_none_undoes_the_other(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.init()
    real = sessions.begin

    def begin(access: Access, repository: Repository, role: Role, sees: Sequence[str]) -> Session | None:
        monkeypatch.setattr(sessions, "begin", real)
        config.change(scene.access(), "append_only", 1)  # after the config was read, and before it is changed
        return real(access, repository, role, sees)

    monkeypatch.setattr(sessions, "begin", begin)
    config.change(scene.access(), "storage_quota", 50_000_000)
    shown = config.show(scene.access())
    assert (shown["append_only"], shown["storage_quota"]) == ("1", "50000000")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_any_moment_leaves_the_old_settings_or_the_new(scene: Scene, fault: Fault) -> None:
    scene.init()
    objects = dict(scene.stores.objects["/repository"])
    for _ in attempts(scene, fault):
        try:
            config.change(scene.access(), "append_only", 1)
        except (BorkError, Crash):
            pass
        else:
            mend(scene)
            assert config.show(scene.access())["append_only"] == "1"
        mend(scene)
        scene.stores.objects["/repository"].held.clear()  # the process has ended
        decode(scene.stores.objects["/repository"][CONFIG], "/repository")
        config.change(scene.access(), "append_only", 0)
        scene.stores.objects["/repository"].clear()
        scene.stores.objects["/repository"].update(objects)
