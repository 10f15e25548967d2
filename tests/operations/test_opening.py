"""Finding a repository, making sure that it is the right one, and unlocking it."""

import pytest

from bork.errors import (
    CacheFault,
    CacheInitAborted,
    EncryptionMethodMismatch,
    InvalidRepositoryConfig,
    KeyfileNotFound,
    NoPassphraseFailure,
    PassphraseWrong,
    PasswordRetriesExceeded,
    RepoKeyNotFound,
    RepositoryAccessAborted,
    RepositoryDoesNotExist,
    RepositorySwapped,
)
from bork.operations import security
from bork.operations.opening import Access, open_repository
from bork.repository.config import RepositoryConfig, decode
from bork.storage.names import CONFIG, ObjectName
from tests.operations.scene import PASSPHRASE, Scene


def objects(scene: Scene) -> dict[ObjectName, bytes]:
    return scene.stores.objects["/repository"]


def forget(scene: Scene) -> None:
    """Become another user, who has never seen the repository."""
    scene.home = scene.home.with_name("other")


def test_a_repository_that_is_not_there_is_named(scene: Scene) -> None:
    with pytest.raises(RepositoryDoesNotExist, match="/repository"):
        open_repository(scene.access())


def test_the_configured_passphrase_gets_one_attempt_and_nobody_is_asked(scene: Scene) -> None:
    scene.init()
    scene.user.configured = b"wrong"
    with pytest.raises(PassphraseWrong):
        open_repository(scene.access())
    assert scene.user.asked == []


def test_without_a_configured_passphrase_three_attempts_are_asked_for(scene: Scene) -> None:
    scene.init()
    scene.user.configured, scene.user.typed = None, [b"a", b"b", PASSPHRASE]
    with open_repository(scene.access()):
        assert scene.user.asked == ["passphrase 1", "passphrase 2", "passphrase 3"]
    scene.user.typed = [b"a", b"b", b"c", PASSPHRASE]
    with pytest.raises(PasswordRetriesExceeded):
        open_repository(scene.access())


def test_an_empty_passphrase_is_not_asked_for(scene: Scene) -> None:
    scene.user.chosen = b""
    scene.init()
    scene.user.configured = None
    with open_repository(scene.access()):
        assert scene.user.asked == []


def test_nobody_to_ask_is_an_error(scene: Scene) -> None:
    scene.init()
    scene.user.configured = None
    with pytest.raises(NoPassphraseFailure):
        open_repository(scene.access())


def test_a_lost_key_is_named_as_such(scene: Scene) -> None:
    scene.init()
    for name in [name for name in objects(scene) if name.startswith("keys/")]:
        del objects(scene)[name]
    with pytest.raises(RepoKeyNotFound, match="/repository"):
        open_repository(scene.access())


def test_a_lost_key_file_is_named_with_the_directory(scene: Scene) -> None:
    scene.init("keyfile")
    with pytest.raises(KeyfileNotFound, match="elsewhere"):
        open_repository(scene.access()._replace(keys_dir="/elsewhere"))


def test_without_a_key_nothing_is_asked_and_nothing_is_remembered(scene: Scene) -> None:
    scene.init("none")
    forget(scene)
    with open_repository(scene.access(), needs_key=False) as opened:
        assert opened.unlocked is None
    assert scene.user.asked == []
    assert not scene.home.exists()


@pytest.mark.parametrize("mode", ["none", "authenticated"])
def test_an_unknown_unencrypted_repository_is_opened_only_if_the_user_agrees(scene: Scene, mode: str) -> None:
    scene.init(mode)
    forget(scene)
    with pytest.raises(CacheInitAborted):
        open_repository(scene.access())
    scene.user.agrees = True
    for _ in range(2):
        open_repository(scene.access()).repository.close()
    assert scene.user.asked == ["BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK"] * 2  # the third time it is known


def test_an_unknown_encrypted_repository_is_opened_without_a_question(scene: Scene) -> None:
    scene.init()
    forget(scene)
    with open_repository(scene.access()):
        assert scene.user.asked == []


def test_a_repository_that_has_moved_is_opened_only_if_the_user_agrees(scene: Scene) -> None:
    scene.init()
    scene.stores.objects["/moved"] = scene.stores.objects["/repository"]
    access = scene.access("/moved")
    with pytest.raises(RepositoryAccessAborted):
        open_repository(access)
    scene.user.agrees = True
    for _ in range(2):
        open_repository(access).repository.close()
    assert scene.user.asked == ["BORG_RELOCATED_REPO_ACCESS_IS_OK"] * 2


@pytest.mark.parametrize("name", ["/ends in space ", "/a\rcarriage return", "/two\r\nlines", "\t"])
def test_a_repository_may_be_at_any_place(scene: Scene, name: str) -> None:
    scene.init(access=scene.access(name))
    for _ in range(2):
        open_repository(scene.access(name)).repository.close()
    assert scene.user.asked == []


def change_config(scene: Scene, **changes: object) -> None:
    """As somebody could who controls the storage."""
    config: RepositoryConfig = decode(objects(scene)[CONFIG], "here")
    objects(scene)[CONFIG] = config._replace(**changes).encode()  # type: ignore[arg-type]  # as the test wants it


@pytest.mark.parametrize("mode", ["none", "keyfile", "authenticated"])
def test_a_repository_whose_mode_has_changed_is_never_opened(scene: Scene, mode: str) -> None:
    scene.init("repokey")
    change_config(scene, encryption=mode)
    scene.user.agrees = True
    with pytest.raises(EncryptionMethodMismatch):
        open_repository(scene.access())


def test_a_config_that_names_another_suite_than_the_key_is_refused(scene: Scene) -> None:
    scene.init("repokey")
    change_config(scene, suite=3)
    with pytest.raises(InvalidRepositoryConfig, match="suite"):
        open_repository(scene.access())


def test_a_security_directory_that_cannot_be_used_is_named(scene: Scene) -> None:
    scene.init()
    forget(scene)
    scene.home.mkdir()
    (scene.home / "security").touch()
    with pytest.raises(CacheFault, match="security"):
        open_repository(scene.access())


# ---- a server that pulls -----------------------------------------------------------------------------------------


def pulled(scene: Scene, location: str = "/repository", *ids: str) -> Access:
    return scene.access(location)._replace(pulled=ids)


def test_the_repository_that_was_given_first_is_taken_wherever_it_is_and_no_other(scene: Scene) -> None:
    scene.init()
    scene.init(access=scene.access("/other"))
    scene.stores.objects["/moved"] = scene.stores.objects["/repository"]
    forget(scene)
    scene.user.agrees = True
    for location in ("/repository", "/moved"):
        open_repository(pulled(scene, location)).repository.close()
    assert scene.user.asked == [], "where it is says nothing"
    with pytest.raises(RepositorySwapped):
        open_repository(pulled(scene, "/other"))
    open_repository(scene.access("/other")).repository.close()  # for somebody else than who pulls it is as good as ever
    with pytest.raises(RepositorySwapped):
        open_repository(pulled(scene, "/other"))


def test_repositories_that_are_named_are_taken_and_no_other(scene: Scene) -> None:
    ours, other = (decode(objects_at(scene, at)[CONFIG], "here").id.hex() for at in ("/repository", "/other"))
    open_repository(pulled(scene, "/repository", other, ours)).repository.close()
    with pytest.raises(RepositorySwapped, match=f"{ours}, not {other}"):
        open_repository(pulled(scene, "/repository", other))


def objects_at(scene: Scene, location: str) -> dict[ObjectName, bytes]:
    scene.init(access=scene.access(location))
    return scene.stores.objects[location]


def test_a_repository_that_could_not_be_opened_is_not_remembered(scene: Scene) -> None:
    scene.init()
    forget(scene)
    scene.user.configured = b"wrong"
    with pytest.raises(PassphraseWrong):
        open_repository(pulled(scene))
    assert security.pins(scene.access()) == ()
