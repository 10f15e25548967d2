"""The commands whose every crash is explored. To add one, add an entry to ``SCENARIOS``."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bork.errors import (
    ArchiveAlreadyExists,
    ArchiveDoesNotExist,
    IntegrityError,
    InvalidRepository,
    RepositoryAlreadyExists,
    RepositoryDoesNotExist,
)
from bork.operations import check, compact, delete, key, prune, recreate, rename
from bork.operations.check import CheckOptions
from bork.operations.compact import CompactOptions
from bork.operations.create import Compression
from bork.operations.delete import DeleteOptions, RepositoryDeleteOptions
from bork.operations.prune import PruneOptions
from bork.operations.recreate import SUFFIX, RecreateOptions
from bork.operations.retention import Policy
from bork.operations.selection import ArchiveName
from tests.crash.disk import Disk
from tests.crash.world import NEW_PASSPHRASE, PLACE, World, objects_of
from tests.operations.scene import PASSPHRASE, Recorder, expected

Command = Callable[[World, Disk], None]
Groups = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Scenario:
    """``act`` is interrupted. ``again`` is the next command of its kind, which has to work whatever was left."""

    name: str
    prepare: Command
    act: Command
    again: Command
    always: Groups = ()  # of each group, one archive at least is there at every instant
    after: tuple[str, ...] = ()  # archives that are there once ``act`` or ``again`` has reported success
    gone: tuple[str, ...] = ()  # and those that are not
    is_sound: bool = True  # False: ``check`` may complain before it is done
    states_min: int = 1  # different states after crashes: fewer mean that the tests have stopped looking
    passphrase: bytes | None = PASSPHRASE  # which opens it then; before that, any of the two


# ---- the steps ---------------------------------------------------------------------------------------------------


def nothing(world: World, disk: Disk) -> None:
    """No repository yet."""


def init(world: World, disk: Disk) -> None:
    world.user.configured = PASSPHRASE
    world.scene(disk).init()


def init_again(world: World, disk: Disk) -> None:
    """An init that was interrupted can be repeated, or it was done."""
    try:
        init(world, disk)
    except RepositoryAlreadyExists:
        world.scene(disk).names()


def create(name: str, source: str = "") -> Command:
    """Back up ``home/sources/<source or name>``."""

    def run(world: World, disk: Disk) -> None:
        path = world.home / "sources" / (source or name)
        world.sources[name] = expected(path / "root")
        world.clock.ns += 10**9
        events = Recorder()
        world.scene(disk).create(name, path / "root", events=events)
        assert events.problems == []

    return run


def tolerating(error: type[Exception] | tuple[type[Exception], ...], command: Command) -> Command:
    """A command that may find that its predecessor had done all, and says so."""

    def run(world: World, disk: Disk) -> None:
        try:
            command(world, disk)
        except error:
            return

    return run


def sequence(*commands: Command) -> Command:
    """One after the other."""

    def run(world: World, disk: Disk) -> None:
        for command in commands:
            command(world, disk)

    return run


def change_passphrase(world: World, disk: Disk) -> None:
    """From whichever passphrase opens it now."""
    world.user.configured = world.judge(disk.state(), thoroughly=False).passphrase
    world.user.chosen = NEW_PASSPHRASE
    key.change_passphrase(world.scene(disk).access())


def make_sources(home: Path) -> None:
    """Trees that share most of their content."""
    for name in ("first", "second", "third"):
        root = home / "sources" / name / "root"
        (root / "folder").mkdir(parents=True)
        (root / "folder" / "same").write_bytes(bytes(range(256)) * 40)
        (root / "own").write_bytes(name.encode() * 5000)
        (root / "empty").touch()


def many_small(world: World, disk: Disk) -> None:
    """Files that a compaction groups anew, and smaller than they were."""
    for name, step in (("first", 1), ("second", 3)):
        for number in range(0, 60, step):
            file = world.home / "sources" / name / "root" / f"small {number:02}"
            file.write_bytes(b"line %d of a small file, all alike\n" % number * 60)


def deleted(name: str) -> Command:
    """A name that does not exist is told, and no error."""
    options = DeleteOptions(names=(ArchiveName(name),))

    def run(world: World, disk: Disk) -> None:
        delete.archives(world.scene(disk).access(), options, Recorder(), lambda _: None)

    return run


def destroyed(world: World, disk: Disk) -> None:
    assert delete.repository(world.scene(disk).access(), RepositoryDeleteOptions())


def renamed(old: str, new: str) -> Command:
    def run(world: World, disk: Disk) -> None:
        world.sources[new] = world.sources[old]
        rename.run(world.scene(disk).access(), ArchiveName(old), ArchiveName(new))

    return run


def renamed_again(old: str, new: str) -> Command:
    """A rename that was interrupted can have left both names. The user who is told so deletes the old one."""

    def run(world: World, disk: Disk) -> None:
        try:
            renamed(old, new)(world, disk)
        except ArchiveAlreadyExists:
            deleted(old)(world, disk)
        except ArchiveDoesNotExist:
            return

    return run


def pruned(world: World, disk: Disk) -> None:
    """All were made on one day."""
    options = PruneOptions(Policy(counts={"daily": 1}))
    prune.run(world.scene(disk).access(), options, Recorder(), lambda _: None, lambda _: None)


def recreated(name: str) -> Command:
    """Compress everything in another way."""
    options = RecreateOptions(recompress="always", compression=Compression("zstd", 3), pack_size=20_000)

    def run(world: World, disk: Disk) -> None:
        world.sources[name + SUFFIX] = world.sources[name]
        recreate.run(world.scene(disk).access(), ArchiveName(name), options, Recorder())

    return run


def spoiled(world: World, disk: Disk) -> None:
    """No archive has lost anything, but one index is gone, one is damaged, and so is a pack that nobody needs."""
    before = dict(objects_of(disk.state()))
    create("third")(world, disk)
    after = dict(objects_of(disk.state()))
    deleted("third")(world, disk)
    gone, *indexes = sorted(name for name in after if name.startswith("indexes/"))
    packs = sorted(name for name in after.keys() - before.keys() if name.startswith("packs/"))
    assert indexes
    assert packs
    disk.machine().unlink(f"/{PLACE}/{gone}")
    for name in indexes[:1] + packs[:1]:
        disk.node(f"{PLACE}/{name}").data[200] ^= 1


def repaired(world: World, disk: Disk) -> None:
    options = CheckOptions(repair=True, verify_data=True)
    if check.run(world.scene(disk).access(), options, Recorder()).problems:
        raise IntegrityError("the command line ends with an error then")


def compacted(world: World, disk: Disk) -> None:
    compact.run(world.scene(disk).access(), CompactOptions(), Recorder())


# ---- the table ---------------------------------------------------------------------------------------------------

FIRST = sequence(init, create("first"))
TWO = sequence(FIRST, create("second"))
THREE = sequence(TWO, create("third"))
HOLES = sequence(THREE, deleted("first"), deleted("third"))

SCENARIOS = (
    Scenario("init", nothing, init, init_again, states_min=40),
    Scenario(
        "create, the first",
        init,
        create("first"),
        tolerating(ArchiveAlreadyExists, create("first")),
        after=("first",),
        states_min=20,
    ),
    Scenario(
        "create, with shared chunks",
        FIRST,
        create("second"),
        tolerating(ArchiveAlreadyExists, create("second")),
        always=(("first",),),
        after=("second",),
        states_min=20,
    ),
    Scenario(
        "key change-passphrase",
        FIRST,
        change_passphrase,
        change_passphrase,
        always=(("first",),),
        passphrase=NEW_PASSPHRASE,
        states_min=5,
    ),
    Scenario("delete", TWO, deleted("second"), deleted("second"), always=(("first",),), gone=("second",), states_min=5),
    Scenario(
        "rename",
        FIRST,
        renamed("first", "renamed"),
        renamed_again("first", "renamed"),
        always=(("first", "renamed"),),
        after=("renamed",),
        gone=("first",),
        states_min=10,
    ),
    Scenario("prune", THREE, pruned, pruned, always=(("third",),), gone=("first", "second"), states_min=10),
    Scenario(
        "delete, the whole repository",
        TWO,
        destroyed,
        tolerating((RepositoryDoesNotExist, InvalidRepository), destroyed),
        gone=("first", "second"),
        passphrase=None,
        is_sound=False,
        states_min=20,
    ),
    Scenario(
        "recreate",
        FIRST,
        recreated("first"),
        recreated("first"),
        always=(("first",),),
        after=("first",),
        gone=("first.recreate",),
        states_min=20,
    ),
    Scenario(
        "check --repair",
        sequence(TWO, spoiled),
        repaired,
        repaired,
        always=(("first",), ("second",)),
        is_sound=False,
        states_min=20,
    ),
    Scenario("compact", HOLES, compacted, compacted, always=(("second",),), states_min=20),
)

# What is killed, for a compaction to find the traces.
KILLED = (
    *(one for one in SCENARIOS if one.name in {"create, with shared chunks", "delete", "rename", "prune"}),
    *(one for one in SCENARIOS if one.name in {"recreate", "compact"}),
    Scenario(
        "compact, small files",
        sequence(init, many_small, create("first"), create("second"), deleted("first")),
        compacted,
        compacted,
        always=(("second",),),
        states_min=5,
    ),
)
