"""What reaches stderr and how: levels, loggers, live lines, and whole lines in every write."""

from __future__ import annotations

import json
import os
import pty
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bork.cli.output import json as json_output
from bork.cli.output.console import LIST, STATS, Console
from bork.cli.output.streams import ATOMIC_BYTES, ClosedOutput, Err, Out
from bork.cli.output.text import cells, fit, one_line, printable
from bork.operations.events import ArchiveProgress, PercentProgress


class Writes(Err):
    """Keeps each write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def is_terminal(self) -> bool:
        return False


class Terminal(Writes):
    def is_terminal(self) -> bool:
        return True

    def columns(self) -> int:
        return 60


# ---- levels and loggers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
        ("critical", []),
    ],
)
def test_a_level_shows_itself_and_what_is_worse(level: str, shown: list[str]) -> None:
    err = Writes()
    console = Console(level=level, err=err)
    for each in ("debug", "info", "warning", "error"):
        console.log(each, each)
    assert b"".join(err.writes).decode().split() == shown


def test_a_logger_that_was_asked_for_is_shown_on_every_level() -> None:
    err = Writes()
    console = Console(level="critical", shown=frozenset((LIST,)), err=err)
    console.log("info", "listed", name=LIST)
    console.log("info", "stats", name=STATS)
    assert err.writes == [b"listed\n"]


def test_what_is_no_text_is_a_question_mark_on_both_streams() -> None:
    """A program that reads them as UTF-8 must not fail at a name."""
    out, err = Out(), Writes()
    console = Console(out=out, err=err)
    name = os.fsdecode(b"\xff\xc3\xa4\xfe")
    console.log("error", name)
    console.result(f"{name}\n")
    console.progress(ArchiveProgress(1, 1, 1, 1, os.fsencode(name), False))
    assert err.writes[0] == "?ä?\n".encode()
    assert err.writes[1].endswith(" N ?ä?\n".encode())
    assert bytes(out._buffer) == "?ä?\n".encode()


def test_a_listing_that_was_asked_for_verbatim_is_verbatim() -> None:
    out = Out()
    Console(out=out).result_verbatim(os.fsdecode(b"\xff\n"))
    assert bytes(out._buffer) == b"\xff\n"


def test_a_path_in_a_warning_is_text_without_control_characters() -> None:
    assert one_line(b"a\x1b\xff\xc3\xa4\n") == "a\\x1b?ä\\n"
    assert printable("a\x1b\udcffä") == "a??ä"


def test_a_json_record_is_one_write_and_one_line() -> None:
    err = Writes()
    console = Console(log_json=True, err=err)
    console.log("warning", "two\nlines \udcff", msgid="X")
    (line,) = err.writes
    record = json.loads(line)
    assert line.count(b"\n") == 1
    assert record.pop("time") > 0
    assert record == {
        "type": "log_message",
        "message": "two\nlines ?",
        "levelname": "WARNING",
        "name": "borg.archiver",
        "msgid": "X",
    }


@given(st.text(), st.text())
def test_any_message_is_valid_json(message: str, msgid: str) -> None:
    line = json_output.JsonRenderer().log("error", "n", message, msgid)
    assert line.isascii()
    assert line.count(b"\n") == 1
    assert json.loads(line)["type"] == "log_message"


@given(st.lists(st.binary(max_size=9000).map(lambda data: data.replace(b"\n", b"")), max_size=40))
def test_every_write_of_listed_lines_is_of_whole_lines_and_atomic_in_a_pipe(lines: list[bytes]) -> None:
    err = Writes()
    data = b"".join(line + b"\n" for line in lines)
    err.write_lines(data)
    assert b"".join(err.writes) == data
    for write in err.writes:
        assert write.endswith(b"\n")
        assert len(write) <= ATOMIC_BYTES or write.count(b"\n") == 1


# ---- progress ----------------------------------------------------------------------------------------------------

PROGRESS = ArchiveProgress(1_000_000, 500_000, 1000, 3, b"home/user/a/rather/long/path/to/some/file.txt")


def test_progress_is_a_live_line_that_a_message_replaces() -> None:
    err = Terminal()
    console = Console(err=err)
    console.progress(PROGRESS)
    console.log("error", "trouble")
    live, clear, message = err.writes
    assert live == b"1.00 MB O 500.00 kB C 1.00 kB D 3 N home/user...ome/file.txt\r"
    assert (clear, message) == (b" " * 60 + b"\r", b"trouble\n")


def test_the_live_line_is_cleared_at_the_end() -> None:
    err = Terminal()
    console = Console(err=err)
    console.progress(PROGRESS)
    console.progress(ArchiveProgress(0, 0, 0, 0, b"", finished=True))
    assert err.writes[-1] == b" " * 60 + b"\r"


def test_without_a_terminal_progress_is_a_line_of_its_own() -> None:
    err = Writes()
    Console(err=err).progress(PROGRESS)
    assert err.writes == [b"1.00 MB O 500.00 kB C 1.00 kB D 3 N " + PROGRESS.path + b"\n"]


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (PercentProgress("extract", 1, 8, b"a"), " 12.5% Extracting: a"),
        (PercentProgress("extract", 0, 0, b"a"), "Extracting: a"),
        (PercentProgress("check.packs", 1, 3, b""), "Checking packs 33.3%"),
        (PercentProgress("check.archives", 1, 2, b"name"), "Checking archives 50.0% name"),
    ],
)
def test_percents_are_shown_with_what_is_going_on(progress: PercentProgress, text: str) -> None:
    err = Writes()
    Console(err=err).progress(progress)
    assert err.writes == [f"{text}\n".encode()]


def test_operations_are_numbered_in_json() -> None:
    err = Writes()
    console = Console(log_json=True, err=err)
    for operation in ("check.packs", "check.archives", "check.packs"):
        console.progress(PercentProgress(operation, 1, 2, b""))
    records = [json.loads(line) for line in err.writes]
    assert [record["operation"] for record in records] == [1, 2, 1]
    assert records[0]["msgid"] == "repository.check"


@given(st.text(), st.integers(min_value=0, max_value=100))
def test_a_fitted_text_has_exactly_the_columns_it_was_given(text: str, columns: int) -> None:
    assert cells(fit(text, columns)) == columns


@pytest.mark.parametrize(("text", "width"), [("abc", 3), ("日本", 4), ("a\u0301", 1), ("", 0)])
def test_wide_characters_take_two_columns_and_combining_ones_none(text: str, width: int) -> None:
    assert cells(text) == width


# ---- streams -----------------------------------------------------------------------------------------------------


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for descriptor in (reading, writing):
        try:
            os.close(descriptor)
        except OSError:
            pass


def test_stdout_is_written_when_it_is_flushed(pipe: tuple[int, int]) -> None:
    out = Out(pipe[1])
    out.write(b"abc")
    out.flush()
    assert os.read(pipe[0], 10) == b"abc"


def test_a_closed_pipe_behind_stdout_is_told_to_the_caller(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    out = Out(pipe[1])
    out.write(b"abc")
    with pytest.raises(ClosedOutput):
        out.flush()
    out.flush()  # nothing is left to fail again


def test_a_closed_pipe_behind_stderr_is_nobodys_business(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    Err(pipe[1]).write(b"abc")


@pytest.mark.parametrize("kind", [Err, Out])
def test_a_pipe_that_is_not_blocking_gets_everything(pipe: tuple[int, int], kind: type[Err | Out]) -> None:
    """Whoever shares the pipe may have set it so."""
    os.set_blocking(pipe[1], False)
    data = os.urandom(1 << 20)
    received = bytearray()

    def read() -> None:
        while len(received) < len(data):
            received.extend(os.read(pipe[0], 65536))

    reader = threading.Thread(target=read)
    reader.start()
    stream = kind(pipe[1])
    stream.write(data)
    if isinstance(stream, Out):
        stream.flush()
    reader.join(timeout=30)
    assert bytes(received) == data


def test_a_terminal_is_recognized() -> None:
    primary, secondary = pty.openpty()
    try:
        assert Err(secondary).is_terminal()
        assert Err(secondary).columns() > 0
    finally:
        os.close(primary)
        os.close(secondary)
