"""Compaction gives back exactly what nobody needs, and says what it could not."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bork.errors import ArchiveDoesNotExist, IntegrityError, LockTimeout, NoSpace, StorageQuotaExceeded
from bork.operations import check, compact, config, delete, generations, rename, sessions
from bork.operations.check import CheckOptions
from bork.operations.compact import CompactOptions, CompactOutcome, PackUsage, plan_rewrite
from bork.operations.create import Compression
from bork.operations.delete import DeleteOptions
from bork.operations.heads import load_heads
from bork.operations.opening import OpenRepository, open_repository
from bork.operations.selection import ArchiveName
from bork.repository.layout import PackId
from bork.repository.session import Role
from bork.storage.memory import MemoryHold, MemoryStore
from bork.storage.names import ObjectName
from tests.operations.scene import Recorder, Scene, expected


@pytest.fixture
def trees(scene: Scene, tmp_path: Path) -> dict[str, Path]:
    """Two archives that share a large part, one of them with much of its own."""
    shared = bytes(range(256)) * 200
    found = {}
    for name in ("keep", "old"):
        root = tmp_path / name
        root.mkdir()
        (root / "shared").write_bytes(shared)
        found[name] = root
    for number in range(20):
        (found["old"] / f"own {number}").write_bytes(bytes([number]) * 4000 + b"%d" % number * 900)
    scene.init()
    scene.create("old", found["old"])
    scene.create("keep", found["keep"])
    return found


def run(scene: Scene, **changes: object) -> CompactOutcome:
    return compact.run(scene.access(), CompactOptions(**changes), Recorder())  # type: ignore[arg-type]  # its fields


def remove(scene: Scene, *names: str) -> None:
    delete.archives(scene.access(), DeleteOptions(tuple(map(ArchiveName, names))), Recorder(), lambda _: None)


def objects(scene: Scene, collection: str) -> set[ObjectName]:
    return {name for name in scene.stores.objects["/repository"] if name.startswith(collection)}


def is_sound(scene: Scene) -> bool:
    return check.run(scene.access(), CheckOptions(verify_data=True), Recorder()).problems == 0


@contextmanager
def somebody(scene: Scene, role: Role) -> Iterator[OpenRepository]:
    with open_repository(scene.access(), role=role) as opened:
        yield opened


# ---- plans ----------------------------------------------------------------------------------------------------

usages = st.lists(st.tuples(st.integers(1, 10**9), st.integers(0, 100)), max_size=30).map(
    lambda packs: [
        PackUsage(PackId(at.to_bytes(32, "big")), stored + 100, stored, stored * percent // 100, percent)
        for at, (stored, percent) in enumerate(packs)
    ]
)


@given(usages, st.integers(0, 200))
def test_packs_are_rewritten_that_are_needed_in_part_and_too_little(usage: list[PackUsage], threshold: int) -> None:
    chosen = plan_rewrite(usage, threshold)
    needed = {pack for pack in usage if pack.chunks}
    assert set(chosen) == {p for p in needed if p.needed < p.stored and p.unused_percent >= threshold}
    unused = [pack.unused_percent for pack in chosen]
    assert unused == sorted(unused, reverse=True)


@given(usages.filter(bool), st.integers(0, 10**10))
def test_a_round_moves_no_more_than_there_is_room_for(usage: list[PackUsage], room: int) -> None:
    chosen, others = compact._round(usage, room)
    assert [*chosen, *others] == usage
    assert len(chosen) == 1 or sum(pack.needed for pack in chosen) <= room
    assert not others or sum(pack.needed for pack in (*chosen, others[0])) > room, "as much as there is room for"


# ---- alone ----------------------------------------------------------------------------------------------------


def test_alone_everything_that_is_not_needed_is_freed_at_once(scene: Scene, trees: dict[str, Path]) -> None:
    before = sum(len(data) for data in scene.stores.objects["/repository"].values())
    remove(scene, "old")
    outcome = run(scene)
    after = sum(len(data) for data in scene.stores.objects["/repository"].values())
    assert outcome.deleted_packs > 0
    assert outcome.waiting_bytes == 0
    assert 0 < outcome.freed_bytes < before
    assert after < before
    assert scene.restore("keep") == expected(trees["keep"])
    assert is_sound(scene)
    again = run(scene, dry_run=True, threshold=0)
    assert (again.unused_bytes, again.deleted_packs, again.waiting_bytes) == (0, 0, 0)


@pytest.mark.parametrize("length", [1, 2, 10, 100])
@pytest.mark.parametrize(
    "compression", [Compression("none"), Compression("lz4"), Compression("zstd", 3), Compression("lzma", 6)]
)
def test_a_tiny_chunk_is_needed_however_well_what_lies_around_it_is_compressed(
    scene: Scene, tmp_path: Path, compression: Compression, length: int
) -> None:
    """Its share of the stored bytes of its object can be less than one."""
    for name in ("keep", "old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tiny").write_bytes(b"!" * length)
    for number in range(40):
        (tmp_path / "old" / f"own {number}").write_bytes(b"setting = %d\n" % number * 400)
    scene.init()
    scene.create("old", tmp_path / "old", compression=compression)
    scene.create("keep", tmp_path / "keep")
    remove(scene, "old")
    assert run(scene, dry_run=True).unused_bytes > 0
    assert run(scene).freed_bytes > 0
    assert scene.restore("keep") == expected(tmp_path / "keep")
    assert is_sound(scene)


def test_with_nothing_to_free_no_pack_is_touched(scene: Scene, trees: dict[str, Path]) -> None:
    before = objects(scene, "packs/")
    assert run(scene).freed_bytes == 0
    assert objects(scene, "packs/") == before
    assert objects(scene, "gc/") == set()


def test_without_archives_no_pack_is_left(scene: Scene, trees: dict[str, Path]) -> None:
    remove(scene, "old", "keep")
    run(scene)
    assert objects(scene, "packs/") == objects(scene, "indexes/") == set()
    scene.create("anew", trees["old"])
    assert scene.restore("anew") == expected(trees["old"])


def test_a_dry_run_changes_nothing_and_says_what_it_would_free(scene: Scene, trees: dict[str, Path]) -> None:
    remove(scene, "old")
    before = dict(scene.stores.objects["/repository"])
    outcome = run(scene, dry_run=True)
    assert scene.stores.objects["/repository"] == before
    assert outcome.unused_bytes > 0
    assert outcome.freed_bytes == 0
    assert run(scene).unused_bytes == outcome.unused_bytes


def test_a_pack_below_the_threshold_stays(scene: Scene, trees: dict[str, Path]) -> None:
    remove(scene, "old")
    few = run(scene, dry_run=True, threshold=100)
    many = run(scene, dry_run=True, threshold=0)
    assert few.rewritten_packs == 0
    assert many.rewritten_packs > 0
    assert run(scene, threshold=100).rewritten_packs == 0
    assert scene.restore("keep") == expected(trees["keep"])


# ---- beside others -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["reader", "writer", "deleter"])
def test_what_a_living_session_may_need_waits_for_the_next_compaction(
    scene: Scene, trees: dict[str, Path], role: Role
) -> None:
    remove(scene, "old")
    before = objects(scene, "packs/")
    with somebody(scene, role):
        outcome = run(scene)
        assert before <= objects(scene, "packs/")
    assert outcome.deleted_packs == 0
    assert outcome.waiting_bytes > 0
    assert [seen.record.role for seen in outcome.waiting_for] == [role]
    assert scene.restore("keep") == expected(trees["keep"])
    assert is_sound(scene)
    later = run(scene)
    assert later.waiting_bytes == 0
    assert later.deleted_packs > 0
    assert is_sound(scene)


@pytest.mark.parametrize(("free", "moved"), [(0, 0), (2 * compact.ROUND_BYTES - 1, 0), (2 * compact.ROUND_BYTES, 1)])
def test_where_space_is_scarce_nothing_is_moved_that_cannot_be_deleted(
    scene: Scene, trees: dict[str, Path], monkeypatch: pytest.MonkeyPatch, free: int, moved: int
) -> None:
    """While a session lives, what is moved takes its space twice: the rest of a small disk belongs to that session."""
    remove(scene, "old")
    monkeypatch.setattr(MemoryStore, "free_space", lambda _: free)
    with somebody(scene, "reader"):
        outcome = run(scene)
    assert (outcome.rewritten_packs, outcome.deleted_packs) == (moved, 0)
    assert outcome.waiting_bytes > 0
    assert is_sound(scene)


def test_alone_one_pack_is_moved_at_a_time_where_space_is_scarce(
    scene: Scene, trees: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    remove(scene, "old")
    monkeypatch.setattr(MemoryStore, "free_space", lambda _: 0)
    outcome = run(scene)
    assert (outcome.rewritten_packs, outcome.waiting_bytes) == (1, 0)
    assert is_sound(scene)


def test_who_began_after_the_generation_is_not_in_the_way(scene: Scene, trees: dict[str, Path]) -> None:
    remove(scene, "old")
    with somebody(scene, "reader"):
        run(scene)
    with somebody(scene, "reader"):
        assert run(scene).waiting_bytes == 0


def test_nothing_new_refers_to_what_is_condemned(scene: Scene, trees: dict[str, Path]) -> None:
    remove(scene, "old")
    with somebody(scene, "reader"):
        run(scene)
    scene.create("anew", trees["old"])
    run(scene)
    assert scene.restore("anew") == expected(trees["old"])
    assert is_sound(scene)


def test_a_condemned_pack_that_is_needed_again_is_pardoned(scene: Scene, trees: dict[str, Path]) -> None:
    """A writer that began before the generation refers to it, and commits after the compaction."""
    committed = False

    def compact_and_go_on() -> None:
        nonlocal committed
        remove(scene, "old")
        outcome = run(scene)
        committed = outcome.waiting_bytes > 0

    scene.create("anew", trees["old"], before_commit=compact_and_go_on)
    assert committed
    assert scene.restore("anew") == expected(trees["old"])
    for _ in range(2):
        run(scene)
    assert scene.restore("anew") == expected(trees["old"])
    assert scene.restore("keep") == expected(trees["keep"])
    assert is_sound(scene)
    with somebody(scene, "reader") as opened:
        condemned = generations.newest(opened.repository, opened.keys).condemned
        assert not set(opened.repository.packs()) & set(condemned)


def test_an_archive_that_is_committed_when_a_reader_has_seen_the_index_is_not_there_for_it(
    scene: Scene, trees: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It needs a chunk that the reader knows in a condemned pack only, which goes when the chunk is stored again."""
    remove(scene, "old")
    with somebody(scene, "reader"):
        run(scene)  # what only "old" needed is condemned, and still there
    real = sessions.begin

    def begin(*arguments: object) -> object:
        session = real(*arguments)  # type: ignore[arg-type]  # as it was called
        monkeypatch.setattr(sessions, "begin", real)
        scene.create("new", trees["old"])
        run(scene)
        return session

    monkeypatch.setattr(sessions, "begin", begin)
    with pytest.raises(ArchiveDoesNotExist):
        scene.restore("new")
    assert scene.restore("new") == expected(trees["old"])


def lose_newest_generation(scene: Scene) -> None:
    del scene.stores.objects["/repository"][max(objects(scene, "gc/"))]


def test_the_number_of_a_lost_generation_does_not_come_twice(scene: Scene, trees: dict[str, Path]) -> None:
    """A backup that has seen it would seem to know what the next one of that number condemns."""
    for name in ("first", "second"):
        (trees["keep"] / "own").write_text(name)
        scene.create(name, trees["keep"])
        remove(scene, name)
        run(scene)

    def lose_and_compact() -> None:
        lose_newest_generation(scene)
        remove(scene, "old")
        assert run(scene).waiting_bytes > 0

    scene.create("new", trees["old"], before_commit=lose_and_compact)
    run(scene)
    assert is_sound(scene)
    assert scene.restore("new") == expected(trees["old"])


def test_what_a_lost_generation_has_pardoned_is_not_deleted_under_who_has_seen_it(
    scene: Scene, trees: dict[str, Path]
) -> None:
    def condemn() -> None:
        remove(scene, "old")
        assert run(scene).waiting_bytes > 0

    def lose_and_compact() -> None:
        lose_newest_generation(scene)
        remove(scene, "anew")
        assert run(scene).waiting_bytes > 0

    scene.create("anew", trees["old"], before_commit=condemn)
    run(scene)  # it pardons
    scene.create("new", trees["old"], before_commit=lose_and_compact)
    run(scene)
    assert is_sound(scene)
    assert scene.restore("new") == expected(trees["old"])


@pytest.mark.parametrize("generation", [2**48 - 1, 2**48, 2**63 - 1])
def test_no_session_can_let_numbers_run_out_or_have_seen_everything(
    scene: Scene, trees: dict[str, Path], generation: int
) -> None:
    remove(scene, "old")
    with somebody(scene, "writer") as opened:
        opened.at_work.update(generation=generation)
        assert run(scene).deleted_packs == 0
    for _ in range(2):
        run(scene)
        assert is_sound(scene)
    assert run(scene).waiting_bytes == 0


def test_packs_of_a_running_backup_are_not_condemned(scene: Scene, trees: dict[str, Path]) -> None:
    def go_on() -> None:
        for name in objects(scene, "indexes/"):
            del scene.stores.objects["/repository"][name]
        run(scene)

    (trees["keep"] / "new").write_bytes(b"new" * 2000)
    scene.create("anew", trees["keep"], before_commit=go_on)
    assert scene.restore("anew") == expected(trees["keep"])
    with somebody(scene, "reader") as opened:
        assert generations.newest(opened.repository, opened.keys).condemned == {}


def test_an_archive_that_is_renamed_while_heads_are_read_is_not_missed(
    scene: Scene, trees: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It needs a condemned pack, and came after the marking: listed under the old name, and gone when it is read."""
    real = MemoryStore.get
    listing = MemoryStore.list
    state = {"is_armed": False}

    def at_the_end() -> None:
        remove(scene, "old")
        with somebody(scene, "reader"):
            assert run(scene).waiting_bytes > 0  # condemned, and the writer has not seen it

    def get(self: MemoryStore, name: ObjectName) -> bytes:
        if state["is_armed"] and name.startswith("archives/"):
            state["is_armed"] = False
            rename.run(scene.access(), ArchiveName("anew"), ArchiveName("renamed"))
        return real(self, name)

    scene.create("anew", trees["old"], before_commit=at_the_end)

    def needed(self: compact._Compaction) -> frozenset[PackId]:
        state["is_armed"] = True
        self._marked = frozenset(entry.id for entry in self._archives if entry.name == "keep")
        return look(self)

    look = compact._Compaction._needed_by_new_archives
    monkeypatch.setattr(compact._Compaction, "_needed_by_new_archives", needed)
    monkeypatch.setattr(compact._Compaction, "_needed", lambda *_: False)  # as if it had not been marked
    monkeypatch.setattr(MemoryStore, "get", get)
    run(scene)
    assert listing is MemoryStore.list
    assert scene.names() == ["keep", "renamed"]
    assert scene.restore("renamed") == expected(trees["old"])


def test_two_compactions_take_turns(scene: Scene, trees: dict[str, Path]) -> None:
    with somebody(scene, "compactor"), pytest.raises(LockTimeout, match="compactor"):
        compact.run(scene.access()._replace(lock_wait_s=0), CompactOptions(), Recorder())


# ---- damage ----------------------------------------------------------------------------------------------------


def test_with_a_damaged_head_nothing_is_deleted(scene: Scene, trees: dict[str, Path]) -> None:
    remove(scene, "old")
    (head,) = objects(scene, "archives/")
    store = scene.stores.objects["/repository"]
    store[head] = store[head][:-1]
    before = dict(store)
    with pytest.raises(IntegrityError):
        run(scene)
    assert {name: data for name, data in store.items() if not name.startswith("sessions/")} == before


def test_missing_chunks_are_counted_and_stay_missing(scene: Scene, trees: dict[str, Path]) -> None:
    with somebody(scene, "reader") as opened:
        packs = opened.repository.packs()
    largest = max(packs, key=lambda pack: packs[pack])
    del scene.stores.objects["/repository"][ObjectName(f"packs/{largest.hex()[:2]}/{largest.hex()}")]
    events = Recorder()
    outcome = compact.run(scene.access(), CompactOptions(), events)
    assert outcome.missing_chunks > 0
    assert any("missing" in message for _, message in events.logged)


def fill_up(monkeypatch: pytest.MonkeyPatch, owner: type, method: str) -> list[str]:
    """The method finds no space until the reserve is used; the result tells when that was."""
    used: list[str] = []
    real = getattr(owner, method)

    def put(self: object, *arguments: object) -> None:
        if not used:
            raise NoSpace("/repository", "put", "an object")
        real(self, *arguments)

    monkeypatch.setattr(owner, method, put)
    monkeypatch.setattr(MemoryStore, "use_reserve", lambda _: used.append("reserve"))
    return used


def test_a_full_medium_still_gives_space_back(
    scene: Scene, trees: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first round only deletes: its generation may use the reserve."""
    remove(scene, "old", "keep")
    fill_up(monkeypatch, MemoryStore, "put_if_absent")
    assert run(scene).freed_bytes > 0
    assert objects(scene, "packs/") == set()


def test_a_quota_that_is_full_does_not_stop_what_makes_room(scene: Scene, trees: dict[str, Path]) -> None:
    remove(scene, "old")
    config.change(scene.access(), "storage_quota", 1)
    with somebody(scene, "reader"):
        assert run(scene).rewritten_packs == 1, "there is room: the quota is not looked at"
    outcome = run(scene)
    assert outcome.waiting_bytes == 0
    assert outcome.freed_bytes > 0
    assert scene.restore("keep") == expected(trees["keep"])
    with pytest.raises(StorageQuotaExceeded):
        scene.create("more", trees["old"])


def test_a_medium_with_room_for_one_session_gives_space_back(
    scene: Scene, trees: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that changes is another file beside the first for a moment."""
    remove(scene, "old", "keep")
    used = fill_up(monkeypatch, MemoryHold, "replace")
    assert run(scene).freed_bytes > 0
    assert used


def test_an_archive_that_is_renamed_away_and_back_while_it_is_looked_for_is_found(
    scene: Scene, trees: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was committed after the marking, by a writer that began before."""
    remove(scene, "keep")
    readings = []

    def unseen_at_first(*arguments: object, **options: object) -> object:
        readings.append(load_heads(*arguments, **options))  # type: ignore[arg-type]  # passed on
        return readings[-1]._replace(entries=()) if len(readings) == 1 else readings[-1]

    def away(old: str, new: str) -> None:
        rename.run(scene.access(), ArchiveName(old), ArchiveName(new))

    get, is_away = MemoryStore.get, iter([True])

    def flapping(store: MemoryStore, name: ObjectName) -> bytes:
        if name.startswith("archives/") and readings and next(is_away, False):
            away("old", "new")
            try:
                return get(store, name)
            finally:
                away("new", "old")
        return get(store, name)

    monkeypatch.setattr(compact, "load_heads", unseen_at_first)
    monkeypatch.setattr(MemoryStore, "get", flapping)
    run(scene)
    assert next(is_away, None) is None  # it happened
    assert is_sound(scene)
    assert scene.restore("old") == expected(trees["old"])


@pytest.mark.parametrize("attempt", range(6))
def test_of_two_copies_of_a_node_the_one_that_can_be_read_is_kept(scene: Scene, tmp_path: Path, attempt: int) -> None:
    """Which index is looked at first depends on its name, which is another one each time."""
    root = tmp_path / "source"
    root.mkdir()
    for number in range(30):
        (root / f"{number}").write_bytes(b"%d" % number)
    scene.init("none")
    scene.create("one", root)
    store = scene.stores.objects["/repository"]
    for name in sorted(objects(scene, "packs/")):
        whole = store[name]
        store[name] = whole[:74] + bytes([whole[74] ^ 1]) + whole[75:]
        try:
            scene.restore("one")
        except IntegrityError as fault:
            if "items of the archive" not in str(fault):
                break  # this is the pack of the tree, and not of content
        store[name] = whole
    else:
        pytest.fail("no pack holds the tree")
    scene.create("two", root)  # it meets the damaged node, and stores it again
    assert scene.restore("one") == expected(root)
    run(scene)
    assert scene.restore("one") == expected(root)
    assert scene.restore("two") == expected(root)
