"""Which repositories a client reaches: by the command line of the server, whatever it asks for."""

import os
from pathlib import Path
from typing import Any

import pytest

from bork.errors import PathNotAllowed
from bork.server.policy import FencedMachine, Policy, resolve
from bork.storage.local import LocalStore
from tests.server.served import Served, tree


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with ``repo``, ``repo/below``, ``other``, and links between them."""
    home = tmp_path / "srv"
    for name in ("repo/below", "other", "repo-2"):
        (home / name).mkdir(parents=True)
    (home / "link").symlink_to("repo")
    (home / "repo" / "out").symlink_to(home / "other")
    monkeypatch.chdir(home)
    return home


def test_the_forms_of_a_path(place: Path) -> None:
    policy = Policy(home=str(place))
    for asked in (b"/./repo", b"/~/repo", b"/~/other/../repo", b"/./link", os.fsencode(place / "repo")):
        assert resolve(policy, asked) == str(place / "repo"), asked
    assert resolve(policy, b"/~") == resolve(policy, b"/.") == str(place)


@pytest.mark.parametrize("asked", [b"repo", b"", b"../repo", b"~/repo", b"/re\0po", b"/~no-such-user/repo", b"-x"])
def test_other_forms_are_refused(place: Path, asked: bytes) -> None:
    with pytest.raises(PathNotAllowed):
        resolve(Policy(), asked)


# What is asked for below the home; and whether --restrict-to-path and --restrict-to-repository allow it.
ASKED = [
    ("repo", True, True),
    ("repo/", True, True),
    ("repo/.", True, True),
    ("link", True, True),
    ("other/../repo", True, True),
    ("repo/below", True, False),
    ("repo/new", True, False),
    ("repo/out", False, False),
    ("repo/../other", False, False),
    ("repo-2", False, False),
    ("other", False, False),
    ("", False, False),
    ("..", False, False),
    ("nothing", False, False),
    ("repo/below/../../other", False, False),
]


@pytest.mark.parametrize("prefix", ["absolute", "/./", "/~/"])
@pytest.mark.parametrize(("asked", "below_path", "is_repository"), ASKED)
def test_the_fences_hold(place: Path, prefix: str, asked: str, below_path: bool, is_repository: bool) -> None:
    text = os.fsencode(f"{place}/{asked}" if prefix == "absolute" else prefix + asked)
    fence = str(place / "repo")
    for policy, allowed in (
        (Policy(restrict_to_paths=(fence,), home=str(place)), below_path),
        (Policy(restrict_to_repositories=(fence,), home=str(place)), is_repository),
        (Policy(restrict_to_repositories=(f"{place}/link",), home=str(place)), is_repository),
    ):
        if allowed:
            resolve(policy, text)
        else:
            with pytest.raises(PathNotAllowed) as refusal:
                resolve(policy, text)
            assert refusal.value.args == (os.fsdecode(text),), "nothing is said that the client did not know"


def test_several_fences_are_all_open(place: Path) -> None:
    policy = Policy(restrict_to_paths=(str(place / "other"),), restrict_to_repositories=(str(place / "repo"),))
    assert resolve(policy, os.fsencode(place / "other"))
    assert resolve(policy, os.fsencode(place / "repo"))
    with pytest.raises(PathNotAllowed):
        resolve(policy, os.fsencode(place / "repo" / "below"))


def test_a_fence_of_root_is_no_fence_and_says_so_to_nobody(place: Path) -> None:
    assert resolve(Policy(restrict_to_paths=("/",)), os.fsencode(place / "repo"))


def test_a_directory_that_is_swapped_for_a_link_after_the_check_is_not_entered(place: Path) -> None:
    policy = Policy(restrict_to_repositories=(str(place / "repo"),))
    path = resolve(policy, b"/./repo")
    assert LocalStore.open(path, FencedMachine(policy)).location == path
    (place / "repo").rename(place / "moved")
    (place / "repo").symlink_to("other")
    with pytest.raises(PathNotAllowed):
        LocalStore.open(path, FencedMachine(policy))


def test_a_repository_is_made_at_a_fence_and_below_one(place: Path) -> None:
    for policy, name in (
        (Policy(restrict_to_repositories=(str(place / "new"),)), "new"),
        (Policy(restrict_to_paths=(str(place / "repo"),)), "repo/new"),
        (Policy(restrict_to_paths=(str(place / "far" / "away"),)), "far/away/new"),
    ):
        with Served(policy).greet() as served:
            made = served.ask("create", path=os.fsencode(place / name), make_parent_dirs=True)
            assert "error" not in made.body
        assert (place / name / "packs" / "00").is_dir()


@pytest.mark.parametrize("verb", ["open", "create"])
def test_a_client_is_told_only_that_it_is_not_allowed(place: Path, verb: str) -> None:
    before = tree(place)
    more: dict[str, Any] = {"make_parent_dirs": True} if verb == "create" else {}
    for asked in ("other", "nothing", "deep/nothing", "repo/../../x"):
        with Served(Policy(restrict_to_repositories=(str(place / "repo"),))).greet() as served:
            answer = served.ask(verb, b"", path=os.fsencode(place / asked), **more)
            assert answer.body["error"] == "PathNotAllowed"
            assert answer.body["values"] == [f"{place}/{asked}"]
    assert tree(place) == before
