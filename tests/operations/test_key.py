"""Taking a key out, bringing it back, and changing its passphrase."""

import stat
from functools import partial
from pathlib import Path

import pytest

from bork.errors import (
    BorkError,
    KeyfileNotFound,
    KeyInvalid,
    NotABorkKeyFile,
    OutputFault,
    PassphraseWrong,
    RepoIdMismatch,
    RepoKeyNotFound,
    UnencryptedRepo,
)
from bork.operations import key
from bork.operations.key import KeyStyle
from bork.operations.opening import open_repository
from bork.storage.memory import Objects
from tests.operations.scene import PASSPHRASE, Scene, expected
from tests.storage.faulty import FAULTS, Crash, Fault, FaultyStore, Schedule


def lose_keys(scene: Scene) -> None:
    objects = scene.stores.objects["/repository"]
    for name in [name for name in objects if name.startswith("keys/")]:
        del objects[name]
    for path in (scene.home / "keys").glob("*"):
        path.unlink()


@pytest.mark.parametrize("mode", ["authenticated", "repokey", "keyfile"])
@pytest.mark.parametrize("style", ["file", "paper"])
def test_an_exported_key_opens_the_backups_after_the_key_was_lost(
    scene: Scene, source: Path, mode: str, style: KeyStyle
) -> None:
    scene.init(mode)
    scene.create("monday", source)
    text = key.export(scene.access(), None, style)
    lose_keys(scene)
    with pytest.raises((RepoKeyNotFound, KeyfileNotFound)):
        scene.names()
    key.import_(scene.access(), text, paper=style == "paper")
    assert scene.restore("monday") == expected(source)


def test_an_export_is_written_for_this_user_alone(scene: Scene, tmp_path: Path) -> None:
    scene.init()
    path = tmp_path / "backup"
    assert key.export(scene.access(), str(path), "file") == path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(OutputFault, match="backup"):
        key.export(scene.access(), str(path / "below"), "file")
    with pytest.raises(OutputFault, match="No such file or directory"):
        key.export(scene.access(), str(tmp_path / "stick that is not there" / "key"), "file")
    assert not (tmp_path / "stick that is not there").exists()


def test_the_page_to_print_has_the_lines_to_type(scene: Scene) -> None:
    scene.init()
    page = key.export(scene.access(), None, "qr-html")
    text = page.partition("<pre>")[2].partition("</pre>")[0]
    lose_keys(scene)
    key.import_(scene.access(), text, paper=True)
    assert scene.names() == []


def test_no_export_holds_the_passphrase(scene: Scene) -> None:
    scene.init()
    for style in ("file", "paper", "qr-html"):
        assert PASSPHRASE.decode() not in key.export(scene.access(), None, style)


def test_the_key_of_another_repository_is_refused(scene: Scene) -> None:
    scene.init()
    scene.init(access=scene.access("/other"))
    for style in ("file", "paper"):
        text = key.export(scene.access("/other"), None, style)
        with pytest.raises(RepoIdMismatch):
            key.import_(scene.access(), text, paper=style == "paper")


@pytest.mark.parametrize("paper", [False, True])
def test_something_else_than_a_key_is_refused_by_its_path(scene: Scene, paper: bool) -> None:
    scene.init()
    with pytest.raises(NotABorkKeyFile, match="/a/path"):
        key.import_(scene.access(), "hello", paper=paper, path="/a/path")


def test_a_damaged_key_is_refused_and_changes_nothing(scene: Scene) -> None:
    scene.init()
    before = dict(scene.stores.objects["/repository"])
    first, second, *rest = key.export(scene.access(), None, "file").splitlines()
    with pytest.raises(KeyInvalid):
        key.import_(scene.access(), "\n".join([first, "AAAA" + second[4:], *rest]), paper=False)
    assert scene.stores.objects["/repository"] == before


def test_a_repository_without_encryption_has_no_key(scene: Scene) -> None:
    scene.init("none")
    with pytest.raises(UnencryptedRepo):
        key.export(scene.access(), None, "file")
    with pytest.raises(UnencryptedRepo):
        key.import_(scene.access(), "", paper=False)
    with pytest.raises(UnencryptedRepo):
        key.change_passphrase(scene.access())


@pytest.mark.parametrize("mode", ["authenticated", "repokey", "keyfile"])
def test_after_a_change_only_the_new_passphrase_opens(scene: Scene, source: Path, mode: str) -> None:
    scene.init(mode)
    scene.create("monday", source)
    scene.user.chosen = b"new"
    key.change_passphrase(scene.access())
    with pytest.raises(PassphraseWrong):
        scene.names()
    scene.user.configured = b"new"
    assert scene.restore("monday") == expected(source)


def test_a_wrong_passphrase_changes_nothing(scene: Scene) -> None:
    scene.init()
    before = dict(scene.stores.objects["/repository"])
    scene.user.configured = b"wrong"
    with pytest.raises(PassphraseWrong):
        key.change_passphrase(scene.access())
    assert scene.stores.objects["/repository"] == before


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_goes_wrong_during_a_change_the_old_or_the_new_passphrase_opens(scene: Scene, fault: Fault) -> None:
    scene.init()
    before, clean = dict(scene.stores.objects["/repository"]), scene.stores.wrap
    for at in range(100):
        schedule = Schedule(at, fault)
        scene.stores.wrap = partial(FaultyStore, schedule=schedule)
        scene.user.configured, scene.user.chosen = PASSPHRASE, b"new"
        reported = changes_passphrase(scene)
        scene.stores.wrap = clean
        assert opens(scene, b"new") or (not reported and opens(scene, PASSPHRASE))
        if schedule.count <= at:
            return
        scene.stores.objects["/repository"] = Objects(before)
    pytest.fail("it never came to an end")


def changes_passphrase(scene: Scene) -> bool:
    try:
        key.change_passphrase(scene.access())
    except (BorkError, Crash):
        return False
    return True


def opens(scene: Scene, passphrase: bytes) -> bool:
    scene.user.configured = passphrase
    try:
        open_repository(scene.access()).repository.close()
    except PassphraseWrong:
        return False
    return True


def test_with_several_keys_the_passphrase_says_which_is_exported(scene: Scene) -> None:
    scene.init()
    old = key.export(scene.access(), None, "file")
    scene.user.chosen = b"new"
    key.change_passphrase(scene.access())
    key.import_(scene.access(), old, paper=False)
    scene.user.configured = PASSPHRASE
    assert key.export(scene.access(), None, "file") == old
    scene.user.configured = b"new"
    assert key.export(scene.access(), None, "file") != old


def test_lines_from_paper_are_checked_as_they_are_typed(scene: Scene) -> None:
    scene.init()
    text = key.export(scene.access(), None, "paper")
    reader = key.paper_reader(scene.access())
    lines = text[text.index("id:") :].strip().splitlines()
    assert reader.prompt == "id: "
    with pytest.raises(ValueError, match="id:"):
        reader.line("1 / 2 - 3")
    for line in lines:
        assert not reader.complete
        if reader.prompt != "id: ":
            with pytest.raises(ValueError, match="line"):
                reader.line("00 - 00")
        reader.line(line)
    assert reader.complete
    lose_keys(scene)
    key.import_(scene.access(), reader.text, paper=True)
    assert scene.names() == []


def test_a_key_file_elsewhere_is_used_for_everything(scene: Scene, source: Path, tmp_path: Path) -> None:
    access = scene.access()._replace(key_file=str(tmp_path / "key"))
    scene.init("keyfile", access)
    scene.create("monday", source, access=access)
    assert (tmp_path / "key").exists()
    with pytest.raises(KeyfileNotFound):
        scene.names()
    assert scene.names(access) == ["monday"]


def test_a_key_file_that_is_damaged_does_not_keep_another_one_from_opening(scene: Scene, source: Path) -> None:
    scene.init("keyfile")
    scene.create("monday", source)
    (sound,) = (scene.home / "keys").iterdir()
    damaged = sound.with_name("0 comes first")
    damaged.write_text(sound.read_text()[:-40] + "?\n")
    assert scene.restore("monday") == expected(source)
    sound.unlink()
    with pytest.raises(NotABorkKeyFile, match="0 comes first"):
        scene.names()
