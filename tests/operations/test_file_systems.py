"""What is said of file systems that carry less than a backup keeps."""

from pathlib import Path
from typing import NamedTuple

import pytest

from bork.operations import file_systems
from bork.operations.file_systems import DEFAULT_FILES_CACHE, KNOWN, WITHOUT_INODE

NUMBERS = {known.name: number for number, known in enumerate(KNOWN)}


class Met(NamedTuple):
    """Stands for the event of the engine, which nothing but the engine can make."""

    number: int
    xattrs: bool = True
    acls: bool = True
    capabilities: bool = True
    flags: bool = True
    path: bytes = b"."
    device: int = 0


def describe(met: Met, purpose: str = "create", unwanted: frozenset[str] = frozenset()) -> str | None:
    return file_systems.describe(met, "/mnt", purpose, unwanted)  # type: ignore[arg-type]  # Met stands for it


def test_what_is_not_there_is_named_and_nothing_else() -> None:
    assert describe(Met(NUMBERS["NFS"])) is None
    assert describe(Met(NUMBERS["NFS"], acls=False)) == "/mnt (NFS) does not show ACLs: the archive will not have them."
    without = Met(NUMBERS["NFS"], xattrs=False, acls=False, capabilities=False, flags=False)
    assert describe(without, "extract") == (
        "/mnt (NFS) does not keep extended attributes, capabilities, ACLs and file flags."
    )
    assert describe(without, unwanted=frozenset({"xattrs", "acls"})) == (
        "/mnt (NFS) does not show file flags: the archive will not have them."
    )
    assert describe(without, unwanted=frozenset({"xattrs", "acls", "flags"})) is None


def test_sshfs_is_known_to_carry_less_than_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_systems, "_type_of", lambda _: "fuse.sshfs")
    text = describe(Met(NUMBERS["FUSE"]))
    assert text == (
        "/mnt (fuse.sshfs) does not show hard links, device numbers, change times and fractions of a second: "
        "the archive will not have them."
    )
    assert "owners and times of symbolic links" in str(describe(Met(NUMBERS["FUSE"]), "extract"))


def test_the_kernel_tells_the_type_of_a_mount() -> None:
    device = Path("/proc").stat().st_dev
    assert file_systems._type_of(device) == "proc"
    assert file_systems._type_of((1 << 40) - 1) is None


def test_a_mode_that_was_named_holds_everywhere_and_else_inodes_count_where_they_stay() -> None:
    assert {mode for _, mode, _ in file_systems.for_create("size")} == {"size"}
    modes = {known.name: mode for known, (_, mode, _) in zip(KNOWN, file_systems.for_create(None), strict=True)}
    assert modes["FUSE"] == modes["CIFS"] == modes["FAT"] == WITHOUT_INODE
    assert modes["NFS"] == modes["Ceph"] == DEFAULT_FILES_CACHE
    assert file_systems.for_extract() == [magic for magic, _, _ in file_systems.for_create(None)]
