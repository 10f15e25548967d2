"""Files of this user beside the repository."""

import os
import threading
from pathlib import Path

from bork.storage.private import write_private, write_to


def test_a_private_file_is_for_its_user_alone_and_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    for content in (b"one", b"two"):
        write_private(str(tmp_path / "new" / "file"), content)
        assert (tmp_path / "new" / "file").read_bytes() == content
    assert (tmp_path / "new" / "file").stat().st_mode & 0o777 == 0o600


def test_a_link_that_the_user_names_stays_one(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    for content in (b"one", b"two"):
        write_to(str(tmp_path / "link"), content)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "file").read_bytes() == content


def test_a_pipe_that_the_user_names_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=write_to, args=(str(pipe), b"content"))
    writer.start()
    assert pipe.read_bytes() == b"content"
    writer.join()
    assert pipe.is_fifo()
