"""Files at the other end of a tar stream, and programs in between."""

import os
from pathlib import Path

import pytest

from bork.cli.output.streams import Out
from bork.cli.tar_files import TarInput, TarOutput, filter_for
from bork.errors import CommandError, OutputFault, SourceFault


@pytest.mark.parametrize(
    ("path", "command"),
    [
        ("x.tar", None),
        ("-", None),
        ("x.tar.gz", "gzip"),
        ("x.tgz", "gzip"),
        ("x.tar.bz2", "bzip2"),
        ("x.tbz", "bzip2"),
        ("x.tar.xz", "xz"),
        ("x.txz", "xz"),
        ("x.tar.zst", "zstd"),
        ("x.tar.zstd", "zstd"),
        ("x.tar.lz4", "lz4"),
        ("x.gz", None),
    ],
)
def test_the_end_of_the_name_decides_as_in_borg(path: str, command: str | None) -> None:
    assert filter_for("auto", path, decompress=False) == command
    assert filter_for("auto", path, decompress=True) == (command and f"{command} -d")
    assert filter_for("cat -v", path, decompress=True) == "cat -v"
    assert filter_for("", path, decompress=True) is None


def test_what_goes_through_a_filter_comes_back(tmp_path: Path) -> None:
    path = str(tmp_path / "x")
    with TarOutput(path, "gzip", Out()) as output:
        output.write(b"a" * 100_000)
        output.write(b"b")
        output.finish()
    with TarInput(path, "gzip -d") as tar, open(tar.descriptor, "rb", closefd=False) as file:
        assert file.read() == b"a" * 100_000 + b"b"
        tar.finish()


def test_an_older_file_stays_until_there_is_a_first_byte(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"old")
    with TarOutput(str(tmp_path / "x"), "cat", Out()):
        pass
    assert (tmp_path / "x").read_bytes() == b"old"


def test_a_filter_is_killed_when_the_stream_is_not_complete(tmp_path: Path) -> None:
    """It must not complete its output as if the stream had ended."""
    script = "trap '' TERM; cat; echo end"
    with TarOutput(str(tmp_path / "x"), f'sh -c "{script}"', Out()) as output:
        output.write(b"a" * 100_000)
    assert b"end" not in (tmp_path / "x").read_bytes()


def write_through(command: str, path: Path) -> None:
    with TarOutput(str(path), command, Out()) as output:
        for _ in range(10):
            output.write(b"a" * 100_000)
        output.finish()


@pytest.mark.parametrize("command", ["false", "sh -c 'cat >/dev/null; exit 3'"])
def test_a_filter_that_fails_is_an_error(command: str, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"filter .* failed, rc=[13]"):
        write_through(command, tmp_path / "x")
    source = tmp_path / "source"
    source.write_bytes(b"x")
    with TarInput(str(source), command) as tar:
        os.read(tar.descriptor, 10)
        with pytest.raises(CommandError, match="failed, rc="):
            tar.finish()


@pytest.mark.parametrize(("command", "is_blamed"), [("false", True), ("sh -c 'cat; exit 3'", True), ("cat", False)])
def test_a_stream_that_is_no_tar_file_is_the_fault_of_a_filter_that_failed(
    command: str, is_blamed: bool, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x")
    with TarInput(str(source), command) as tar, open(tar.descriptor, "rb", closefd=False) as file:
        file.read()
        if is_blamed:
            with pytest.raises(CommandError, match=r"filter .* failed, rc=[13]"):
                tar.blame_filter()
        else:
            tar.blame_filter()


def test_a_filter_that_is_still_at_work_has_not_failed(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * 1_000_000)
    with TarInput(str(source), "sh -c 'cat; exit 3'") as tar:
        assert os.read(tar.descriptor, 10)
        tar.blame_filter()


def test_a_filter_that_ends_early_without_a_failure_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="ended before its input did"):
        write_through("head -c 1", tmp_path / "x")


@pytest.mark.parametrize("command", ["no-such-program", "'unbalanced", " "])
def test_a_filter_that_cannot_start_is_an_error(command: str, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="process creation failed"):
        write_through(command, tmp_path / "x")


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceFault, match="nothing: No such file"):
        TarInput(str(tmp_path / "nothing"), None)
    with pytest.raises(OutputFault, match=r"Cannot write to .*/nothing/x: No such file"):
        TarOutput(str(tmp_path / "nothing" / "x"), None, Out()).write(b"x")
