"""Whether what is backed up is still there. On real file systems: tests/real/test_sources.py."""

import errno
import os
from pathlib import Path

import pytest

from bork.errors import SourceGone
from bork.operations.sources import Sources


def test_a_path_that_is_removed_meanwhile_is_not_gone(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    sources = Sources([os.fsencode(tmp_path), os.fsencode(tmp_path / "directory"), b"/nonexistent"])
    (tmp_path / "directory").rmdir()
    sources.verify()


@pytest.mark.parametrize("number", [errno.ENOTCONN, errno.ESTALE, errno.EIO])
def test_a_file_system_that_does_not_answer_is_gone(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = Sources([os.fsencode(tmp_path)])

    def statvfs(_path: bytes) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "statvfs", statvfs)
    with pytest.raises(SourceGone, match=os.strerror(number)):
        sources.verify()


def test_a_right_that_is_lost_meanwhile_is_a_matter_of_single_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = Sources([os.fsencode(tmp_path)])

    def statvfs(_path: bytes) -> None:
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(os, "statvfs", statvfs)
    sources.verify()


def test_what_was_unmounted_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = Sources([os.fsencode(tmp_path)])
    elsewhere = os.stat("/proc")
    monkeypatch.setattr(os, "lstat", lambda _path: elsewhere)
    with pytest.raises(SourceGone, match="another file system"):
        sources.verify()


def test_a_link_that_is_switched_to_another_file_system_is_still_there(tmp_path: Path) -> None:
    """What is stored is the link."""
    (tmp_path / "current").symlink_to(tmp_path)
    sources = Sources([os.fsencode(tmp_path / "current")])
    (tmp_path / "current").unlink()
    (tmp_path / "current").symlink_to("/proc")
    sources.verify()
