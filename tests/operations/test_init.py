"""Making a repository."""

import os
from pathlib import Path

import pytest

from bork.errors import NotABorkKeyFile, RepositoryAlreadyExists, SourceFault, UnencryptedRepo
from bork.operations import init, key
from bork.operations.access import LocalStores
from bork.operations.init import InitOptions
from bork.operations.opening import open_repository
from bork.repository.config import decode
from bork.storage.names import COLLECTIONS, CONFIG
from tests.operations.scene import Scene, expected

MODES = ["none", "authenticated", "repokey", "keyfile"]


@pytest.mark.parametrize("mode", MODES)
def test_a_new_repository_of_each_mode_can_be_opened(scene: Scene, mode: str) -> None:
    outcome = scene.init(mode)
    assert outcome.encryption == mode
    with open_repository(scene.access()) as opened:
        assert opened.repository.id == outcome.repository_id
        assert opened.mode.name == mode
        assert opened.key_location == outcome.key_location
    assert scene.user.asked == []


def test_the_blake2_names_are_stored_as_the_plain_ones(scene: Scene) -> None:
    assert scene.init("repokey-blake2").encryption == "repokey"


def test_the_key_is_where_the_mode_says(scene: Scene) -> None:
    assert scene.init("none").key_location is None
    assert scene.init("repokey", scene.access()._replace(path="/b")).key_location is not None
    outcome = scene.init("keyfile", scene.access()._replace(path="/c/d"))
    assert outcome.key_location == str(scene.home / "keys" / "c_d")
    assert [name for name in scene.stores.objects["/c/d"] if name.startswith("keys/")] == []


def test_ids_are_random(scene: Scene) -> None:
    one, two = (scene.init(access=scene.access()._replace(path=path)).repository_id for path in ("/a", "/b"))
    assert one != two


def test_options_are_kept_in_the_config(scene: Scene) -> None:
    init.run(scene.access(), InitOptions("repokey", append_only=True, storage_quota=123))
    config = decode(scene.stores.objects["/repository"][CONFIG], "here")
    assert (config.append_only, config.storage_quota) == (True, 123)


def test_a_repository_is_not_made_twice(scene: Scene) -> None:
    scene.init()
    before = dict(scene.stores.objects["/repository"])
    with pytest.raises(RepositoryAlreadyExists):
        scene.init()
    assert scene.stores.objects["/repository"] == before


def test_related_repositories_give_equal_content_equal_ids_and_nothing_else(
    scene: Scene, source: Path, tmp_path: Path
) -> None:
    scene.init()
    path = str(tmp_path / "secrets")
    text = key.export_related(scene.access(), path)
    assert os.stat(path).st_mode & 0o777 == 0o600
    roots = set()
    for location, related in (("/related", path), ("/other", None)):
        init.run(scene.access(location), InitOptions("repokey", related_secrets=related))
    for location in ("/repository", "/related", "/other"):
        outcome = scene.create("monday", source, access=scene.access(location), noctime=True)
        assert outcome.head is not None
        roots.add(outcome.head.root)
        assert scene.restore("monday", scene.access(location)) == expected(source)
    assert len(roots) == 2
    objects = scene.stores.objects
    assert not {name for name in objects["/repository"] if name.startswith("packs")} & set(objects["/related"])
    assert (
        text == key.export_related(scene.access("/related"), None) != key.export_related(scene.access("/other"), None)
    )


@pytest.mark.parametrize("content", ["", "BORK_KEY 0", "BORK RELATED SECRETS v1\n" + "0" * 64 + " " + "0" * 16])
def test_related_secrets_that_are_none_are_refused_and_nothing_is_made(
    scene: Scene, tmp_path: Path, content: str
) -> None:
    (tmp_path / "secrets").write_text(content)
    with pytest.raises(NotABorkKeyFile):
        init.run(scene.access(), InitOptions("repokey", related_secrets=str(tmp_path / "secrets")))
    with pytest.raises(SourceFault):
        init.run(scene.access(), InitOptions("repokey", related_secrets=str(tmp_path / "nowhere")))
    assert scene.stores.objects == {}


def test_a_repository_without_a_key_has_no_related_secrets(scene: Scene, tmp_path: Path) -> None:
    scene.init()
    key.export_related(scene.access(), str(tmp_path / "secrets"))
    with pytest.raises(UnencryptedRepo):
        init.run(scene.access("/none"), InitOptions("none", related_secrets=str(tmp_path / "secrets")))
    scene.user.agrees = True
    scene.init("none", scene.access("/none"))
    with pytest.raises(UnencryptedRepo):
        key.export_related(scene.access("/none"), None)


def test_a_repository_in_a_directory(scene: Scene, tmp_path: Path) -> None:
    access = scene.access()._replace(path=str(tmp_path / "repository"), stores=LocalStores())
    scene.init(access=access)
    assert set(os.listdir(access.path)) == {"config", "tmp", *COLLECTIONS}
    assert os.listdir(tmp_path / "repository" / "tmp") == ["reserve"]
    with open_repository(access):
        pass
