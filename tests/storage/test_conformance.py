"""What every storage backend promises (``bork/storage/base.py``), tried on each of them."""

import time
from collections.abc import Callable
from mmap import mmap
from threading import Barrier, Thread

import pytest

from bork.core import digest
from bork.errors import IntegrityError, ObjectExists, ObjectMissing
from bork.repository.config import RepositoryConfig
from bork.repository.layout import RepositoryId
from bork.storage.base import LOOK_LENGTH_MAX, Found, Hold, Look, Range, Store
from bork.storage.holding import LocalHold
from bork.storage.memory import MemoryStore
from bork.storage.names import COLLECTIONS, CONFIG, ObjectName
from bork.storage.remote.child import Child
from bork.storage.remote.store import RemoteStore
from tests.storage.naming import archive, pack, session

Reopen = Callable[[], Store]
MIB = 1 << 20
TICK_NS = 20_000_000  # file systems take the time from a clock that ticks every few milliseconds


def test_what_was_put_is_got(store: Store) -> None:
    store.put_if_absent(pack(b"one"), b"one")
    assert store.get(pack(b"one")) == b"one"


def test_an_empty_object_is_an_object(store: Store) -> None:
    store.put_if_absent(pack(b""), b"")
    assert store.get(pack(b"")) == b""
    assert dict(store.list("packs")) == {pack(b""): 0}


def test_another_process_sees_what_was_put(reopen: Reopen) -> None:
    reopen().put_if_absent(archive("monday"), b"head")
    assert reopen().get(archive("monday")) == b"head"


@pytest.mark.parametrize("length", [MIB - 1, MIB, MIB + 1, MIB + 4096, 3 * MIB + 4095, 5 * MIB + 512])
@pytest.mark.parametrize("aligned", [True, False])
def test_large_objects_of_every_length_and_alignment_are_stored_exactly(
    store: Store, length: int, aligned: bool
) -> None:
    content = (bytes(range(251)) * (length // 251 + 1))[:length]
    with mmap(-1, length + 4096) as pages:
        start = 0 if aligned else 1
        pages[start : start + length] = content
        with memoryview(pages) as all_pages, all_pages[start : start + length] as data:
            store.put_if_absent(pack(content), data)
    assert store.get(pack(content)) == content
    assert dict(store.list("packs")) == {pack(content): length}


def test_a_name_that_is_taken_is_refused_and_keeps_its_object(store: Store) -> None:
    store.put_if_absent(archive("monday"), b"first")
    with pytest.raises(ObjectExists):
        store.put_if_absent(archive("monday"), b"second")
    assert store.get(archive("monday")) == b"first"


def test_of_many_writers_of_one_name_exactly_one_succeeds(reopen: Reopen) -> None:
    writers = 8
    stores = [reopen() for _ in range(writers)]
    barrier, results = Barrier(writers), dict[int, bool]()

    def write(number: int) -> None:
        barrier.wait()
        try:
            stores[number].put_if_absent(archive("monday"), b"%d" % number * 1000)
            results[number] = True
        except ObjectExists:
            results[number] = False

    threads = [Thread(target=write, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [number for number, won in results.items() if won]
    assert len(results) == writers
    assert len(winners) == 1
    assert reopen().get(archive("monday")) == b"%d" % winners[0] * 1000


def test_an_object_that_is_not_there_is_missing(store: Store) -> None:
    with pytest.raises(ObjectMissing):
        store.get(pack(b"nothing"))
    with pytest.raises(ObjectMissing):
        store.get_range(pack(b"nothing"), 0, 1)
    with pytest.raises(ObjectMissing):
        store.delete(pack(b"nothing"))


def test_ranges_are_exact_and_come_in_the_order_asked(store: Store) -> None:
    store.put_if_absent(pack(b"0123456789"), b"0123456789")
    store.put_if_absent(pack(b"abc"), b"abc")
    assert store.get_range(pack(b"0123456789"), 3, 4) == b"3456"
    assert store.get_range(pack(b"0123456789"), 10, 0) == b""
    wanted = [Range(pack(b"0123456789"), 8, 2), Range(pack(b"abc"), 0, 3), Range(pack(b"0123456789"), 0, 1)]
    assert store.get_ranges(wanted) == [b"89", b"abc", b"0"]


@pytest.mark.parametrize(("offset", "length"), [(0, 11), (9, 2), (10, 1), (1 << 40, 1)])
def test_a_range_past_the_end_is_an_integrity_error(store: Store, offset: int, length: int) -> None:
    store.put_if_absent(pack(b"0123456789"), b"0123456789")
    with pytest.raises(IntegrityError, match="10 bytes"):
        store.get_range(pack(b"0123456789"), offset, length)


def test_listing_shows_each_object_of_the_collection_and_no_other(store: Store) -> None:
    contents = [b"%d" % number for number in range(300)]
    for content in contents:
        store.put_if_absent(pack(content), content)
    store.put_if_absent(archive("monday"), b"head")
    store.put_if_absent(CONFIG, b"config")
    assert sorted(store.list("packs")) == sorted((pack(content), len(content)) for content in contents)
    assert list(store.list("archives")) == [(archive("monday"), 4)]
    assert list(store.list("indexes")) == []


def test_a_deleted_object_is_gone_and_its_name_is_free(store: Store, reopen: Reopen) -> None:
    store.put_if_absent(archive("monday"), b"one")
    assert store.get_range(archive("monday"), 0, 3) == b"one"
    store.delete(archive("monday"))
    for each in (store, reopen()):
        with pytest.raises(ObjectMissing):
            each.get_range(archive("monday"), 0, 3)
        assert list(each.list("archives")) == []
    store.put_if_absent(archive("monday"), b"two")
    assert store.get_range(archive("monday"), 0, 3) == b"two"


def test_replacing_shows_the_new_content_to_everybody(store: Store, reopen: Reopen) -> None:
    old, new = (RepositoryConfig(RepositoryId(bytes(32)), mode, 3).encode() for mode in ("none", "authenticated"))
    store.replace(CONFIG, old)
    assert store.get_range(CONFIG, 0, len(old)) == old
    store.replace(CONFIG, new)
    assert store.get_range(CONFIG, 0, len(new)) == new
    assert reopen().get(CONFIG) == new


def test_settling_and_sweeping_change_nothing(store: Store) -> None:
    store.put_if_absent(pack(b"one"), b"one")
    store.settle([pack(b"one"), CONFIG])
    store.sweep()
    assert store.get(pack(b"one")) == b"one"


def test_a_store_that_is_destroyed_holds_nothing_and_again_nothing(store: Store, reopen: Reopen) -> None:
    another = reopen()
    for content in (b"one", b"two"):
        store.put_if_absent(pack(content), content)
    store.put_if_absent(archive("monday"), b"head")
    store.put_if_absent(CONFIG, RepositoryConfig(RepositoryId(bytes(32)), "none", 3).encode())
    hold = store.hold(session("mine"), b"at work")
    assert store.destroy()
    hold.release()
    for collection in COLLECTIONS:
        assert list(another.list(collection)) == []
    with pytest.raises(ObjectMissing):
        another.get(CONFIG)


def test_an_object_that_was_begun_is_there_when_it_was_waited_for(store: Store, reopen: Reopen) -> None:
    contents = [b"%d" % number * 50_000 for number in range(8)]
    begun = [store.begin_put(pack(content), content) for content in contents]
    for put in begun:
        if put is not None:
            put.wait()
    assert dict(reopen().list("packs")) == {pack(content): len(content) for content in contents}


def test_a_name_that_is_taken_is_refused_when_it_was_begun_too(store: Store) -> None:
    store.put_if_absent(archive("monday"), b"first")
    with pytest.raises(ObjectExists):  # noqa: PT012  # here or there
        put = store.begin_put(archive("monday"), b"second")
        assert put is not None
        put.wait()
    assert store.get(archive("monday")) == b"first"


def test_ranges_of_any_number_and_length_come_back_whole(store: Store) -> None:
    content = bytes(range(251)) * 40_000
    name = pack(content)  # once: it is the hash of all of it
    store.put_if_absent(name, content)
    wanted = [Range(name, 1000 * number, number % 300) for number in range(9000)]
    wanted.append(Range(name, 0, len(content)))
    assert store.get_ranges(wanted) == [content[offset : offset + length] for _, offset, length in wanted]


def test_an_arrival_is_the_time_of_the_put(store: Store, reopen: Reopen) -> None:
    before = time.time_ns()
    store.put_if_absent(archive("monday"), b"head")
    after = time.time_ns()
    monday, nothing = reopen().arrivals_ns([archive("monday"), archive("tuesday")])
    assert nothing is None
    assert monday is not None
    assert before - TICK_NS <= monday <= after
    assert store.arrived_ns(archive("monday")) == monday
    assert store.arrivals_ns([archive("monday")] * 5000) == [monday] * 5000


def shown(store: Store, what: str, *, contents: bool = True, holders: bool = False) -> list[Found]:
    (found,) = store.look([Look(what, contents, holders)])
    return sorted(found)


def test_a_look_shows_names_lengths_and_contents(store: Store) -> None:
    contents = [b"head %d" % number for number in range(50)]
    names = [archive(f"archive {number}") for number in range(50)]
    for name, content in zip(names, contents, strict=True):
        store.put_if_absent(name, content)
    store.put_if_absent(pack(b"0123"), b"0123")
    assert shown(store, "archives") == sorted(
        Found(name, len(content), content) for name, content in zip(names, contents, strict=True)
    )
    assert shown(store, "packs", contents=False) == [Found(pack(b"0123"), 4)]
    assert shown(store, "indexes") == []
    assert [len(each) for each in store.look([Look("packs"), Look("gc"), Look("archives")])] == [1, 0, 50]


def test_a_look_at_one_object_shows_it_or_nothing(store: Store) -> None:
    config = RepositoryConfig(RepositoryId(bytes(32)), "none", 3).encode()
    store.put_if_absent(CONFIG, config)
    store.put_if_absent(archive("monday"), b"")
    assert shown(store, CONFIG) == [Found(CONFIG, len(config), config)]
    assert shown(store, archive("monday")) == [Found(archive("monday"), 0, b"")]
    assert shown(store, archive("tuesday")) == []


def test_a_look_carries_no_long_object(store: Store) -> None:
    longest, longer = bytes(LOOK_LENGTH_MAX), bytes(LOOK_LENGTH_MAX + 1)
    for content in (longest, longer):
        store.put_if_absent(pack(content), content)
    assert shown(store, "packs") == sorted(
        [Found(pack(longest), len(longest), longest), Found(pack(longer), len(longer), None)]
    )
    assert [each.data for each in shown(store, pack(longer))] == [None]


def test_a_look_of_many_pages_is_whole(store: Store) -> None:
    contents = {pack(b"%d" % number * 10_000): b"%d" % number * 10_000 for number in range(300)}
    for name, content in contents.items():
        store.put_if_absent(name, content)
    assert shown(store, "packs") == sorted(Found(name, len(content), content) for name, content in contents.items())


@pytest.mark.parametrize("what", ["", "tmp", "packs/", "archives/..", "/etc/passwd"])
def test_a_look_at_nothing_that_there_is_reaches_no_storage(store: Store, what: str) -> None:
    with pytest.raises(ValueError, match="not the name of"):
        store.look([Look(what, contents=True)])


def test_only_the_content_that_was_meant_is_deleted(store: Store, reopen: Reopen) -> None:
    store.put_if_absent(archive("monday"), b"one")
    assert not store.begin_delete_if(archive("monday"), digest(b"another"))()
    assert store.get(archive("monday")) == b"one"
    assert store.begin_delete_if(archive("monday"), digest(b"one"))()
    assert list(reopen().list("archives")) == []
    assert not store.begin_delete_if(archive("monday"), digest(b"one"))()


def test_reads_that_were_begun_come_in_any_order(store: Store) -> None:
    content = bytes(range(256))
    store.put_if_absent(pack(content), content)
    begun = [store.begin_ranges([Range(pack(content), at, 1), Range(pack(content), 0, at)]) for at in range(50)]
    for at, read in reversed([*enumerate(begun)]):
        assert read is None or read() == [content[at : at + 1], content[:at]]


def test_free_space_is_a_number_or_unknown(store: Store) -> None:
    free = store.free_space()
    assert free is None or free > 0


# ---- objects that live as long as their holder -----------------------------------------------------------------

SESSION = ObjectName("sessions/" + "5" * 64)


def let_die(store: Store, hold: Hold) -> None:
    """The process ends without a word."""
    if isinstance(store, MemoryStore):
        store.die()
    elif isinstance(store, RemoteStore):
        child = store._connection._child
        assert isinstance(child, Child)
        child._process.kill()
        child._process.wait()
    else:
        assert isinstance(hold, LocalHold)
        hold._root.close(hold._fd)


def test_what_is_held_is_there_and_alive_for_everybody(store: Store, reopen: Reopen) -> None:
    hold = store.hold(SESSION, b"one")
    other = reopen()
    assert other.get(SESSION) == b"one"
    assert other.is_held(SESSION) is True
    assert store.is_held(SESSION) is True
    assert hold.is_intact()
    hold.replace(b"another")
    assert other.get(SESSION) == b"another"
    assert other.is_held(SESSION) is True
    assert hold.is_intact()
    hold.release()


def test_a_session_is_put_before_the_looks_that_come_with_it(store: Store, reopen: Reopen) -> None:
    store.put_if_absent(archive("monday"), b"head")
    hold, (sessions, heads) = store.hold_and_look(SESSION, b"one", [Look("sessions", True, True), Look("archives")])
    assert list(sessions) == [Found(SESSION, 3, b"one", held=True)]
    assert list(heads) == [Found(archive("monday"), 4)]
    hold.release()
    assert list(reopen().list("sessions")) == []


def test_a_session_that_is_there_already_is_not_taken_by_a_look(store: Store, reopen: Reopen) -> None:
    hold = store.hold(SESSION, b"one")
    with pytest.raises(ObjectExists):
        reopen().hold_and_look(SESSION, b"two", [Look("sessions")])
    assert hold.is_intact()
    assert store.get(SESSION) == b"one"
    hold.release()


def test_a_look_shows_who_is_dead(store: Store, reopen: Reopen) -> None:
    let_die(store, store.hold(SESSION, b"one"))
    (found,) = reopen().look([Look("sessions", contents=True, holders=True)])
    assert list(found) == [Found(SESSION, 3, None, held=False)]


def test_an_object_is_put_while_a_session_is_held_and_not_after(store: Store, reopen: Reopen) -> None:
    hold = store.hold(SESSION, b"one")
    assert store.put_while_held(hold, archive("monday"), b"head")
    with pytest.raises(ObjectExists):
        store.put_while_held(hold, archive("monday"), b"other")
    reopen().delete(SESSION)
    with pytest.raises(ObjectMissing):
        store.put_while_held(hold, archive("tuesday"), b"head")
    assert [name for name, _ in store.list("archives")] == [archive("monday")]
    hold.release()


def test_a_store_that_says_so_releases_what_it_holds_when_it_is_closed(reopen: Reopen) -> None:
    store = reopen()
    hold = store.hold(SESSION, b"one")
    if not store.releases_at_close:
        hold.release()
    store.close()
    assert list(reopen().list("sessions")) == []


def test_what_is_released_is_gone(store: Store, reopen: Reopen) -> None:
    hold = store.hold(SESSION, b"one")
    hold.release()
    assert list(reopen().list("sessions")) == []
    assert reopen().is_held(SESSION) is False
    hold.release()


def test_what_a_dead_process_held_is_there_and_not_alive(store: Store, reopen: Reopen) -> None:
    hold = store.hold(SESSION, b"one")
    hold.replace(b"another")
    let_die(store, hold)
    assert reopen().get(SESSION) == b"another"
    assert reopen().is_held(SESSION) is False


def test_what_somebody_removed_does_not_come_back(store: Store, reopen: Reopen) -> None:
    hold = store.hold(SESSION, b"one")
    reopen().delete(SESSION)
    assert not hold.is_intact()
    assert reopen().is_held(SESSION) is False
    with pytest.raises(ObjectMissing):
        hold.replace(b"another")
    assert list(reopen().list("sessions")) == []
    hold.release()


def test_a_name_is_held_once(store: Store, reopen: Reopen) -> None:
    hold = store.hold(SESSION, b"one")
    with pytest.raises(ObjectExists):
        reopen().hold(SESSION, b"another")
    assert reopen().get(SESSION) == b"one"
    assert reopen().is_held(SESSION) is True
    assert hold.is_intact()
    hold.release()


BAD_NAMES = [
    *("", ".", "..", "/etc/passwd", "config/", "config\n", "tmp/1-0", "packs", "packs/", "other/" + "0" * 64),
    *("packs/" + "0" * 64, "packs/01/" + "0" * 64, "archives/00/" + "0" * 64, "archives/" + "0" * 63),
    *("archives/" + "G" * 64, "archives/../" + "0" * 64, "archives/" + "0" * 64 + "/", "archives/" + "0" * 64 + "\0"),
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_is_none_reaches_no_storage(store: Store, name: str) -> None:
    bad = ObjectName(name)
    uses: list[Callable[[], object]] = [
        lambda: store.get(bad),
        lambda: store.get_range(bad, 0, 0),
        lambda: store.put_if_absent(bad, b""),
        lambda: store.replace(bad, b""),
        lambda: store.delete(bad),
        lambda: store.settle([bad]),
    ]
    for use in uses:
        with pytest.raises(ValueError, match="not the name of an object"):
            use()


@pytest.mark.parametrize("collection", ["", "tmp", "config", "packs/00", "..", "packs/"])
def test_only_collections_can_be_listed(store: Store, collection: str) -> None:
    with pytest.raises(ValueError, match="not the name of a collection"):
        list(store.list(collection))
