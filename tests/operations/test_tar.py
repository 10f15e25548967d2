"""Archives as tar streams and back, on repositories in memory."""

import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from bork.errors import ArchiveAlreadyExists, ArchiveDoesNotExist, CancelledByUser, IntegrityError, TarInvalid
from bork.operations import export_tar, import_tar
from bork.operations import list as listing
from bork.operations.create import CreateOutcome
from bork.operations.export_tar import ExportTarOptions, TarFormat
from bork.operations.import_tar import ImportTarOptions
from bork.operations.selection import ArchiveName, ItemLines
from tests.operations.scene import Recorder, Scene, expected
from tests.reference import msgpack

FORMATS: tuple[TarFormat, ...] = ("GNU", "PAX", "BORG")
BLOCK = 512
KEYS = (
    "{type}{mode}{user}{group}{uid}{gid}{path}{size}{num_chunks}{isomtime}{isoctime}{isoatime}{flags}"
    "{linktarget}{sha256}"
)


def exported(scene: Scene, name: str, events: Recorder | None = None, **options: object) -> bytes:
    events = events or Recorder()
    export_tar.run(scene.access(), ArchiveName(name), ExportTarOptions(**options), events)  # type: ignore[arg-type]  # as the test wants it
    return bytes(events.content)


def imported(
    scene: Scene, name: str, stream: bytes, events: Recorder | None = None, **changes: object
) -> CreateOutcome:
    with open(os.memfd_create("tar"), "w+b") as file:
        file.write(stream)
        file.seek(0)
        options = ImportTarOptions(ArchiveName(name), file.fileno(), b"x.tar", "host", "user", "/", ("bork",))
        return import_tar.run(
            scene.access(),
            options._replace(**changes),  # type: ignore[arg-type]  # as the test wants it
            events or Recorder(),
        )


def items(scene: Scene, name: str) -> list[dict[str, object]]:
    events = Recorder()
    listing.items(scene.access(), ArchiveName(name), listing.ListOptions(KEYS, json_lines=True), events)
    return [json.loads(line) for line in events.shown.splitlines()]


def stream_of(*members: tuple[str, bytes | None] | tarfile.TarInfo) -> bytes:
    """A stream that Python made: (path, content or None for a directory), or whatever else."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
                continue
            path, content = member
            info = tarfile.TarInfo(path)
            info.size = len(content or b"")
            info.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            tar.addfile(info, io.BytesIO(content or b""))
    return out.getvalue()


def special(path: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(path)
    info.type, info.linkname = kind, target
    return info


@pytest.fixture
def full(scene: Scene, source: Path) -> Path:
    """A tree with what is hard for tar, as archive ``a``."""
    (source / "second name").hardlink_to(source / "small")
    (source / "link").symlink_to("./" * 100 + "small")
    long = source.joinpath(*(f"directory {level}" for level in range(20)))
    long.mkdir(parents=True)
    (long / os.fsdecode(b"not utf-8 \xff")).write_bytes(b"x")
    with (source / "holes").open("wb") as file:
        for number in range(30):
            file.seek(number * 200_000)
            file.write(b"data")
        file.truncate(10_000_000)
    (source / "large").write_bytes(os.urandom(3_000_000))
    os.utime(source / "small", ns=(0, -1))
    scene.init()
    scene.create("a", source)
    return source


@pytest.mark.parametrize("tar_format", FORMATS)
def test_what_is_exported_is_imported_again(tar_format: TarFormat, scene: Scene, full: Path) -> None:
    stream = exported(scene, "a", tar_format=tar_format)
    outcome = imported(scene, "b", stream)
    assert outcome.stats.deduplicated_size == 0, "it is cut otherwise"
    assert scene.restore("b") == expected(full)
    wanted = items(scene, "a")
    if tar_format == "GNU":
        for item in wanted:
            for key in ("mtime", "ctime", "isomtime", "isoctime", "isoatime"):
                item.pop(key, None)
        assert [{key: item[key] for key in wanted[0]} for item in items(scene, "b")] == wanted
    else:
        assert items(scene, "b") == wanted
    assert exported(scene, "b", tar_format=tar_format) == stream


def test_python_reads_what_is_exported(scene: Scene, full: Path) -> None:
    for tar_format in FORMATS:
        with tarfile.open(fileobj=io.BytesIO(exported(scene, "a", tar_format=tar_format))) as tar:
            found = {member.name: member for member in tar}
            assert len(found) == len(items(scene, "a"))
            assert found["source/holes"].size == 10_000_000
            for name in ("holes", "large", "small"):
                file = tar.extractfile(f"source/{name}")
                assert file is not None
                assert file.read() == (full / name).read_bytes()


def test_exporting_lists_strips_and_selects(scene: Scene, source: Path) -> None:
    scene.init()
    scene.create("a", source)
    events = Recorder()
    stream = exported(scene, "a", events, strip_components=2, lines=ItemLines())
    with tarfile.open(fileobj=io.BytesIO(stream)) as tar:
        assert sorted(tar.getnames()) == ["deep", "deep/random", "same"]
    assert events.shown == b"source/folder/deep\nsource/folder/deep/random\nsource/folder/same\n"
    with pytest.raises(ArchiveDoesNotExist):
        exported(scene, "b")


@pytest.mark.parametrize("tar_format", FORMATS)
def test_a_stream_cut_at_any_block_is_no_archive(tar_format: TarFormat, scene: Scene, source: Path) -> None:
    scene.init()
    scene.create("a", source)
    stream = exported(scene, "a", tar_format=tar_format)
    content_end = len(stream.rstrip(b"\0"))
    last = -(-content_end // BLOCK) * BLOCK + 2 * BLOCK
    # The tests in Rust cut a stream at every byte; here it is cut where whole batches are on their way.
    cuts = set(range(0, last, 5 * BLOCK))
    for length in sorted(cuts | {last - BLOCK, last - 1, last - 2 * BLOCK, 1, BLOCK}):
        with pytest.raises(TarInvalid, match="ends too early"):
            imported(scene, "cut", stream[:length])
    assert scene.names() == ["a"]
    imported(scene, "whole", stream[:last])
    assert scene.names() == ["a", "whole"]


def test_a_damaged_stream_is_no_archive(scene: Scene, source: Path) -> None:
    scene.init()
    scene.create("a", source)
    stream = bytearray(exported(scene, "a"))
    stream[10] ^= 1
    with pytest.raises(TarInvalid, match=r"x\.tar cannot be imported: it is damaged, or no tar file, at byte 0"):
        imported(scene, "b", bytes(stream))
    with pytest.raises(ArchiveAlreadyExists):
        imported(scene, "a", bytes(stream))
    assert scene.names() == ["a"]


def damage_packs(scene: Scene) -> None:
    """Every data pack loses its middle."""
    for objects in scene.stores.objects.values():
        for name, data in list(objects.items()):
            if str(name).startswith("packs/") and len(data) > 20_000:
                middle = len(data) // 2
                objects[name] = data[:middle] + bytes(64) + data[middle + 64 :]


def test_an_export_that_fails_ends_inside_a_block(scene: Scene, source: Path) -> None:
    """Whatever was written before, no program takes it for a whole: GNU tar takes an end between members for one."""
    for number in range(40):
        (source / f"{number}").write_bytes(os.urandom(100_000))
    scene.init()
    scene.create("a", source)
    whole = exported(scene, "a")
    for after in range(1, 1000):
        events = Recorder(cancel_after=after)
        try:
            exported(scene, "a", events)
        except CancelledByUser:
            pass
        else:
            assert after > 4, "there is more than one moment to cancel"
            break
        assert whole.startswith(events.content)
        # A signal may come when all is written.
        assert len(events.content) in (0, len(whole)) or len(events.content) % BLOCK == BLOCK - 1
    damage_packs(scene)
    events = Recorder()
    with pytest.raises(IntegrityError):
        exported(scene, "a", events)
    assert len(events.content) % BLOCK == (BLOCK - 1 if events.content else 0)
    assert events.content != whole


def test_hostile_names_stay_inside_and_are_told(scene: Scene) -> None:
    scene.init()
    events = Recorder()
    hostile = stream_of(
        ("/etc/passwd", b"1"),
        ("../../up", b"2"),
        ("a/../../b", b"3"),
        ("./c//d/", None),
        ("", b"4"),
        special("out", tarfile.SYMTYPE, "/etc"),
        ("out/file", b"5"),
        special("name", tarfile.LNKTYPE, "/etc/shadow"),
        special("socket", b"?"),
    )
    imported(scene, "a", hostile, events)
    assert [item["path"] for item in items(scene, "a")] == ["b", "c/d", "etc/passwd", "out", "up"]
    assert sorted((kind, path) for kind, path, _ in events.problems) == [
        ("metadata", b"socket"),
        ("not_found", b"name"),
        ("path_traversal", b"."),
        ("symlink_parent", b"out/file"),
    ]


def test_the_last_member_of_a_path_counts(scene: Scene) -> None:
    scene.init()
    outcome = imported(
        scene,
        "a",
        stream_of(
            ("z", b"old"), special("y", tarfile.LNKTYPE, "z"), ("z", b"new"), special("x", tarfile.LNKTYPE, "./z")
        ),
    )
    assert scene.restore("a") == {"x": b"new", "y": b"old", "z": b"new"}
    assert outcome.stats.files == 2


def test_several_streams_in_one_need_a_word(scene: Scene) -> None:
    scene.init()
    two = stream_of(("a", b"1")) + stream_of(("b", b"2"))
    events = Recorder()
    imported(scene, "first", two, events)
    assert [message for _, _, message in events.problems] == [
        "something follows the end of the tar file and was not imported; --ignore-zeros reads on"
    ]
    imported(scene, "both", two, ignore_zeros=True)
    assert [item["path"] for item in items(scene, "both")] == ["a", "b"]


def test_status_lines_come_in_the_order_of_the_stream(scene: Scene) -> None:
    scene.init()
    events = Recorder()
    stream = stream_of(("z", b"x"), ("big", bytes(3_000_000)), ("a", None), special("l", tarfile.LNKTYPE, "z"))
    imported(scene, "a", stream, events, lines=ItemLines())
    assert events.shown == b"A z\nA big\nd a\nh l\n"


def test_a_filter_that_failed_leaves_no_archive(scene: Scene) -> None:
    def fail() -> None:
        raise CancelledByUser

    scene.init()
    with pytest.raises(CancelledByUser):
        imported(scene, "a", stream_of(("a", b"1")), before_commit=fail)
    assert scene.names() == []


def test_an_imported_file_is_no_reason_not_to_read_the_real_one(scene: Scene, source: Path) -> None:
    """Who makes a tar file could say of its content what the size and the times of a file here promise."""
    scene.init()
    scene.create("a", source)
    stat = (source / "small").stat()
    forged = tarfile.TarInfo("source/small")
    forged.size = stat.st_size
    forged.pax_headers = {"ctime": f"{stat.st_ctime_ns / 1e9:.9f}", "mtime": f"{stat.st_mtime_ns / 1e9:.9f}"}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(forged, io.BytesIO(b"x" * stat.st_size))
    scene.clock.wait(86_400 * 365 * 100)
    imported(scene, "forged", out.getvalue())
    scene.clock.wait(10)
    scene.create("b", source, files_cache="size")
    assert scene.restore("b") == expected(source)


def test_an_archive_in_more_packs_than_seals_are_remembered_is_exported(scene: Scene, tmp_path: Path) -> None:
    """Batches are planned ahead of what is read: the header of a pack may be forgotten again before its turn."""
    block, count = 150_000, 4_200
    root = tmp_path / "source"
    root.mkdir()
    with (root / "large").open("wb") as file:
        for number in range(count):
            file.write(b"%07d\n" % number * (block // 8))
    scene.init("none")
    scene.create("one", root, chunker=("fixed", block, 0), pack_size=64)
    assert sum(name.startswith("packs/") for name in scene.stores.objects["/repository"]) > count
    stream = exported(scene, "one")
    with tarfile.open(fileobj=io.BytesIO(stream)) as tar:
        member = tar.extractfile("source/large")
        assert member is not None
        assert member.read() == (root / "large").read_bytes()


def test_attributes_as_other_programs_write_them_are_kept_or_named(scene: Scene) -> None:
    kept, lost = tarfile.TarInfo("kept"), tarfile.TarInfo("lost")
    label = "system_u:object_r:etc_t:s0"
    kept.pax_headers = {"LIBARCHIVE.xattr.user.a%20name": "dmFsdWU", "RHT.security.selinux": label}
    lost.pax_headers = {"LIBARCHIVE.xattr.user.x": "?", "SCHILY.acl.ace": "owner@:rw------------:-------:allow"}
    scene.init()
    events = Recorder()
    imported(scene, "a", stream_of(kept, lost), events)
    assert events.problems == [
        ("metadata", b"lost", "an extended attribute cannot be understood"),
        ("metadata", b"lost", "an NFSv4 ACL cannot be kept"),
    ]
    with tarfile.open(fileobj=io.BytesIO(exported(scene, "a", tar_format="PAX"))) as tar:
        found = [{key: value for key, value in member.pax_headers.items() if "xattr" in key} for member in tar]
    assert found == [{"SCHILY.xattr.user.a name": "value", "SCHILY.xattr.security.selinux": label + "\0"}, {}]


def test_more_attributes_than_an_archive_can_hold_are_named(scene: Scene) -> None:
    acl, xattrs = tarfile.TarInfo("acl"), tarfile.TarInfo("xattrs")
    users = "".join(f"user:{number}:r--," for number in range(8_192))
    acl.pax_headers = {"SCHILY.acl.access": f"user::rw-,{users}group::r--,mask::r--,other::r--"}
    xattrs.pax_headers = {f"SCHILY.xattr.user.{number}": "" for number in range(32_769)}
    scene.init()
    events = Recorder()
    imported(scene, "a", stream_of(acl, xattrs), events)
    assert events.problems == [
        ("metadata", b"acl", "an ACL has more than 8,192 entries"),
        ("metadata", b"xattrs", "it has more than 32,768 extended attributes"),
    ]
    with tarfile.open(fileobj=io.BytesIO(exported(scene, "a", tar_format="PAX"))) as tar:
        assert tar.getnames() == ["acl", "xattrs"]  # hardly any file system can hold what is left of the attributes


@pytest.mark.parametrize("chunk", [bytes(32), b"\x07" * 32], ids=["hole", "chunk"])
def test_content_comes_from_the_stream_and_from_no_item_record(scene: Scene, chunk: bytes) -> None:
    """The ids of a record would refer to what is not stored, and the archive would be a damaged one."""
    slices = chunk + bytes(4) + (5000).to_bytes(4, "little")
    record = msgpack.encode({1: 0o100644, 2: 7, 3: 0, 6: [1, 0], 10: 5000, 12: slices})
    empty = tarfile.TarInfo("empty")
    empty.pax_headers = {"BORK.item": record.decode("utf-8", "surrogateescape")}
    scene.init()
    events = Recorder()
    imported(scene, "a", stream_of(empty), events)
    assert events.problems == []
    assert [(item["uid"], item["size"], item["num_chunks"]) for item in items(scene, "a")] == [(7, 0, 0)]
    assert scene.restore("a") == {"empty": b""}


@pytest.mark.parametrize("length", [4 << 60, 1 << 58])
def test_a_member_that_is_all_hole_and_longer_than_an_archive_can_hold_is_refused(scene: Scene, length: int) -> None:
    member = tarfile.TarInfo("huge")
    member.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "huge",
        "GNU.sparse.realsize": str(length),
    }
    sparse_map = b"1\n%d\n0\n" % length
    member.size = BLOCK
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(member, io.BytesIO(sparse_map.ljust(BLOCK, b"\0")))
        tar.addfile(tarfile.TarInfo("after"))
    scene.init()
    events = Recorder()
    imported(scene, "one", out.getvalue(), events)
    assert [(path, message) for _, path, message in events.problems] == [
        (b"huge", "it is 256 PiB long or longer, which no archive can hold")
    ]
    assert [item["path"] for item in items(scene, "one")] == ["after"]
