"""What a client may do, by the policy of the server and the config of the repository."""

import os
from pathlib import Path

import pytest

from bork.protocol.codec import Value
from bork.repository.config import RepositoryConfig
from bork.repository.layout import RepositoryId
from bork.repository.session import Role, SessionRecord
from bork.server.policy import Policy
from tests.server.conftest import ARCHIVE, DEAD, GENERATION, make
from tests.server.served import Served, name_of, opened, tree, wait_until

NEW_ARCHIVE = "archives/" + "cd" * 32
SESSION = "sessions/" + "ee" * 32
APPEND_ONLY = Policy(append_only=True)
CONFIG = RepositoryConfig(RepositoryId(bytes(32)), "none", 3).encode()


def record(role: Role) -> bytes:
    return SessionRecord(role, 0).encode()


def changes(before: dict[str, object], after: dict[str, object]) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name, ...) != after.get(name, ...)}


# ---- names and bytes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("collection", ["packs", "indexes", "keys"])
def test_bytes_that_are_not_what_their_name_says_never_become_visible(repository: Path, collection: str) -> None:
    before = tree(repository)
    with opened(repository) as served:
        name = name_of(collection, b"good")
        assert served.refused("put_if_absent", b"evil", name=name) == "IntegrityError"
        assert served.refused("get", name=name) == "ObjectMissing"
        assert served.ask("put_if_absent", b"good", name=name).body.keys() == {"answer"}
        assert served.ask("get", name=name).data == b"good"
    assert changes(before, tree(repository)) == {name}


@pytest.mark.parametrize(
    ("name", "length"), [("config", 5000), (NEW_ARCHIVE, (1 << 20) + 1), (name_of("keys", bytes(70_000)), 70_000)]
)
def test_small_objects_stay_small(tmp_path: Path, name: str, length: int) -> None:
    path = make(tmp_path / "repo")
    (path / "config").unlink()
    with opened(path) as served:
        assert served.refused("put_if_absent", bytes(length), name=name) == "StorageFault"


def test_only_config_and_heads_can_be_replaced(repository: Path) -> None:
    with opened(repository) as served:
        for name in (name_of("keys", b"old"), name_of("packs", b"old"), GENERATION):
            assert served.refused("replace", b"new", name=name) == "StorageFault"
        served.ask("replace", CONFIG, name="config")
        served.ask("replace", b"newer", name=ARCHIVE)
        assert served.ask("get", name=ARCHIVE).data == b"newer"
    assert (repository / "config").read_bytes() == CONFIG


# ---- append-only -------------------------------------------------------------------------------------------------

REFUSED: list[tuple[str, bytes, dict[str, Value]]] = [
    ("replace", CONFIG, {"name": "config"}),
    ("replace", b"x", {"name": ARCHIVE}),
    ("replace", b"x", {"name": name_of("keys", b"old")}),
    ("replace", b"x", {"name": NEW_ARCHIVE}),
    ("put_if_absent", CONFIG, {"name": "config"}),
    ("put_if_absent", b"key", {"name": name_of("keys", b"key")}),
    ("put_if_absent", b"x", {"name": "gc/" + "f" * 16}),
    ("put_if_absent", b"x", {"name": "gc/" + "0" * 15 + "2"}),
    ("put_if_absent", b"x", {"name": "damaged/" + "0" * 64}),
    ("put_if_absent", b"x", {"name": SESSION}),
    ("delete", b"", {"name": "config"}),
    ("delete", b"", {"name": ARCHIVE}),
    ("delete", b"", {"name": GENERATION}),
    ("delete", b"", {"name": name_of("packs", b"old")}),
    ("delete", b"", {"name": name_of("indexes", b"old")}),
    ("delete", b"", {"name": name_of("keys", b"old")}),
    ("delete", b"", {"name": NEW_ARCHIVE}),
    ("destroy", b"", {}),
    ("hold", record("deleter"), {"name": SESSION}),
    ("hold", record("compactor"), {"name": SESSION}),
    ("hold", record("exclusive"), {"name": SESSION}),
]


@pytest.mark.parametrize("by", ["command line", "config", "unreadable config"])
def test_an_append_only_client_changes_nothing_that_exists(tmp_path: Path, by: str) -> None:
    path = make(tmp_path / "repo", append_only=by == "config")
    if by == "unreadable config":
        (path / "config").write_bytes(b"# Bork repository of the year 2040\n")
    before = tree(path)
    with opened(path, APPEND_ONLY if by == "command line" else Policy()) as served:
        for verb, data, arguments in REFUSED:
            assert served.refused(verb, data, **arguments) == "ChangeRefused", (verb, arguments)
    assert tree(path) == before


def test_an_append_only_client_adds_packs_indexes_and_archives_once(repository: Path) -> None:
    before = tree(repository)
    with opened(repository, APPEND_ONLY) as served:
        served.ask("hold", record("writer"), name=SESSION)
        added = {name_of("packs", b"new"), name_of("indexes", b"new"), NEW_ARCHIVE}
        for name in added:
            assert "error" not in served.ask("put_if_absent", b"new", name=name).body
            assert served.refused("put_if_absent", b"new", name=name) == "ObjectExists"
            assert served.refused("delete", name=name) == "ChangeRefused"
        served.ask("hold_release", name=SESSION)
    assert changes(before, tree(repository)) == added


def test_an_append_only_client_removes_dead_sessions_and_no_living_one(repository: Path) -> None:
    with opened(repository) as other, opened(repository, APPEND_ONLY) as served:
        other.ask("hold", record("writer"), name=SESSION)
        assert served.refused("delete", name=SESSION) == "ChangeRefused"
        assert "error" not in served.ask("delete", name=DEAD).body
    assert not (repository / DEAD).exists()


def test_an_archive_goes_again_only_if_its_session_was_broken(repository: Path) -> None:
    with opened(repository, APPEND_ONLY) as served, opened(repository) as other:
        served.ask("hold", record("writer"), name=SESSION)
        served.ask("put_if_absent", b"head", name=NEW_ARCHIVE)
        assert served.refused("delete", name=NEW_ARCHIVE) == "ChangeRefused"
        other.ask("delete", name=SESSION)  # what break-lock does
        assert served.refused("delete", name=ARCHIVE) == "ChangeRefused"
        assert "error" not in served.ask("delete", name=NEW_ARCHIVE).body
    assert (repository / ARCHIVE).exists()
    assert not (repository / NEW_ARCHIVE).exists()


def test_a_session_cannot_become_more_than_it_was(repository: Path) -> None:
    with opened(repository, APPEND_ONLY) as served:
        served.ask("hold", record("writer"), name=SESSION)
        assert served.refused("hold_replace", record("exclusive"), name=SESSION) == "ChangeRefused"
        assert served.ask("get", name=SESSION).data == record("writer")


def test_the_reserve_stays_in_an_append_only_session(repository: Path) -> None:
    (repository / "tmp" / "reserve").write_bytes(bytes(100))
    with opened(repository, APPEND_ONLY) as served:
        served.ask("use_reserve")
    assert (repository / "tmp" / "reserve").exists()
    with opened(repository) as served:
        served.ask("use_reserve")
    assert not (repository / "tmp" / "reserve").exists()


def test_an_append_only_client_makes_a_repository_where_there_is_none(tmp_path: Path) -> None:
    with Served(APPEND_ONLY).greet() as served:
        path = tmp_path / "new"
        served.ask("create", path=os.fsencode(path), make_parent_dirs=False)
        for data, name in ((b"key", name_of("keys", b"key")), (CONFIG, "config")):
            assert "error" not in served.ask("put_if_absent", data, name=name).body
        assert served.refused("put_if_absent", b"k2", name=name_of("keys", b"k2")) == "ChangeRefused"
        assert served.refused("delete", name=name_of("keys", b"key")) == "ChangeRefused"
    assert sorted(os.listdir(path / "keys")) == [name_of("keys", b"key")[5:]]


# ---- quota -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("by_policy", "by_config"), [(3000, 0), (0, 3000), (3000, 5000), (5000, 3000)])
def test_the_smaller_quota_holds(tmp_path: Path, by_policy: int, by_config: int) -> None:
    path = make(tmp_path / "repo", storage_quota=by_config)
    with opened(path, Policy(storage_quota=by_policy)) as served:
        contents = [bytes([number]) * 1000 for number in range(3)]
        answers = [served.ask("put_if_absent", each, name=name_of("packs", each)).body for each in contents]
        assert [answer.get("error") for answer in answers] == [None, None, "StorageQuotaExceeded"]
        answer = served.ask("free_space")
        assert isinstance(answer.body["free_bytes"], int)
        assert answer.body["free_bytes"] <= 1000


def test_what_was_not_stored_does_not_count_against_the_quota(repository: Path) -> None:
    with opened(repository, Policy(storage_quota=3000)) as served:
        for _ in range(10):
            assert served.refused("put_if_absent", bytes(1000), name=ARCHIVE) == "ObjectExists"
        assert "error" not in served.ask("put_if_absent", bytes(1000), name=NEW_ARCHIVE).body


def test_deleting_makes_room_below_a_quota(repository: Path) -> None:
    with opened(repository, Policy(storage_quota=3000)) as served:
        served.ask("put_if_absent", bytes(2900), name=NEW_ARCHIVE)
        content = bytes(2000)
        assert served.refused("put_if_absent", content, name=name_of("packs", content)) == "StorageQuotaExceeded"
        served.ask("delete", name=NEW_ARCHIVE)
        assert "error" not in served.ask("put_if_absent", content, name=name_of("packs", content)).body


# ---- sessions ----------------------------------------------------------------------------------------------------


def test_a_session_dies_with_its_connection(repository: Path) -> None:
    first = opened(repository)
    first.ask("hold", record("writer"), name=SESSION)
    with opened(repository) as other:
        assert other.ask("is_held", name=SESSION).body["held"] is True
        first.close()
        wait_until(lambda: other.ask("is_held", name=SESSION).body["held"] is False)
    assert not (repository / SESSION).exists()


def test_a_session_of_another_client_cannot_be_touched(repository: Path) -> None:
    with opened(repository) as owner, opened(repository, APPEND_ONLY) as other:
        owner.ask("hold", record("writer"), name=SESSION)
        for verb in ("hold_release", "hold_is_intact"):
            assert other.refused(verb, name=SESSION) == "ObjectMissing"
        assert other.refused("hold_replace", record("reader"), name=SESSION) == "ObjectMissing"
        assert owner.ask("hold_is_intact", name=SESSION).body["intact"] is True


def test_a_client_has_a_bounded_number_of_sessions(repository: Path) -> None:
    with opened(repository) as served:
        answers = [served.ask("hold", record("reader"), name=f"sessions/{number:064x}").body for number in range(20)]
    assert ["error" in answer for answer in answers] == [False] * 16 + [True] * 4
    assert sorted(os.listdir(repository / "sessions")) == [DEAD[9:]]


def test_only_sessions_are_held(repository: Path) -> None:
    with opened(repository) as served:
        for name in ("config", NEW_ARCHIVE, name_of("packs", b"x")):
            assert served.refused("hold", record("writer"), name=name) == "StorageFault"


def test_arrival_is_the_clock_of_the_server(repository: Path) -> None:
    os.utime(repository / ARCHIVE, ns=(5, 1_000_000_007))
    with opened(repository) as served:
        assert served.ask("arrivals", names=[ARCHIVE, NEW_ARCHIVE]).body["times_ns"] == [1_000_000_007, None]
