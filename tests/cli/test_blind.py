"""What a server shows of what a client tells, and what it starts with which environment."""

import json
import sys
from pathlib import Path

import pytest

from bork.cli.blind import Relay, _without_secrets, own_words
from bork.cli.output import console as consoles
from bork.cli.output.console import Console
from bork.cli.output.streams import Err, Out


class Shown:
    """A console whose two streams can be read."""

    def __init__(self, directory: Path, *, log_json: bool = False, shown: frozenset[str] = frozenset()) -> None:
        self._paths = [directory / name for name in ("out", "err")]
        self._files = [open(path, "wb", buffering=0) for path in self._paths]  # noqa: SIM115 (closed by ``read``)
        out, err = (file.fileno() for file in self._files)
        self.console = Console(log_json=log_json, shown=shown, out=Out(out), err=Err(err))
        self.relay = Relay(self.console, None)

    def read(self) -> tuple[str, str]:
        """stdout and stderr."""
        self.console.out.flush()
        for file in self._files:
            file.close()
        out, err = (path.read_text() for path in self._paths)
        return out, err


def record(**members: object) -> bytes:
    return json.dumps(members).encode()


def test_records_are_shown_as_if_it_had_happened_here(tmp_path: Path) -> None:
    shown = Shown(tmp_path, shown=frozenset((consoles.STATS,)))
    tell = shown.relay.said_by_client
    tell(record(type="log_message", levelname="WARNING", message="x: file changed", name="borg.archiver"))
    tell(record(type="log_message", levelname="INFO", message="not asked for", name="borg.archiver"))
    tell(record(type="log_message", levelname="INFO", message="Archive name: a", name=consoles.STATS))
    tell(record(type="file_status", status="A", path="etc/passwd"))
    tell(record(type="archive_progress", finished=False, original_size=1000, nfiles=3, path="etc"))
    tell(record(type="question_prompt", message="More? [yN]"))
    tell(record(type="pull_result", document={"archive": {"name": "one"}}))
    shown.relay.said_by_server(b"done")
    assert shown.read() == (
        '{"archive": {"name": "one"}}\n',
        "x: file changed\nArchive name: a\nA etc/passwd\n1.00 kB O 0 B C 0 B D 3 N etc\nMore? [yN]\nbork serve: done\n",
    )
    assert not shown.relay.has_failed()


def test_for_a_program_they_are_records_again(tmp_path: Path) -> None:
    shown = Shown(tmp_path, log_json=True)
    shown.relay.said_by_client(record(type="file_status", status="A", path="a\x1bb", more="x"))
    shown.relay.said_by_client(
        record(type="log_message", levelname="ERROR", message="no", name="x", msgid="Repository")
    )
    shown.relay.said_by_client(b"Welcome")
    first, second, third = (json.loads(line) for line in shown.read()[1].splitlines())
    assert first == {"type": "file_status", "status": "A", "path": "a\x1bb"}
    assert (second["levelname"], second["msgid"], second["name"]) == ("ERROR", "Repository", "borg.archiver")
    assert third["message"] == "Remote: Welcome"
    assert shown.relay.has_failed()


@pytest.mark.parametrize(
    "line",
    [
        b"\x1b[2J",
        b"[" * 50_000,
        b'"text"',
        b"1" * 10_000,
        b"null",
        b"{}",
        b'{"type": []}',
        record(type="log_message", levelname=1, message="x"),
        record(type="log_message", levelname="x\x1b", message="\x1b[2J\nforged", name=["x"], msgid={"a": 1}),
        record(type="file_status", status="\x1b\n", path="\x1b]0;x\x07\n"),
        record(type="archive_progress", finished=True, nfiles=10**400, path={}),
        record(type="archive_progress", finished=False, nfiles=-1, original_size=1e300, path="\x1b\n"),
        record(type="question_x", message="\x1b\n"),
        record(type="pull_result", document="x"),
        b'{"type": "log_message", "levelname": "ERROR", "message": "\\ud800"}',
    ],
)
def test_nothing_that_a_client_says_steers_a_terminal_or_stops_the_server(tmp_path: Path, line: bytes) -> None:
    shown = Shown(tmp_path)
    shown.relay.said_by_client(line)
    text = "".join(shown.read())
    assert not [c for c in text if not c.isprintable() and c != "\n"]
    assert text.count("\n") <= 1
    assert len(shown.relay.last_words()) <= 150


def test_the_last_words_are_what_ssh_said(tmp_path: Path) -> None:
    shown = Shown(tmp_path)
    for word in (b"one", b"two", b"three", b"four"):
        shown.relay.said_by_client(word)
    assert shown.read()[1] == "Remote: one\nRemote: two\nRemote: three\nRemote: four\n"
    assert shown.relay.last_words() == "two / three / four"


def test_the_programs_that_are_started_get_no_passphrase() -> None:
    variables = {f"{prefix}_{name}": "x" for prefix in ("BORG", "BORK") for name in ("PASSPHRASE", "PASSCOMMAND")}
    kept = {"PATH": "/bin", "BORK_BASE_DIR": "/b", "SSH_AUTH_SOCK": "/s"}
    assert _without_secrets({**variables, **kept, "BORK_NEW_PASSPHRASE": "x", "BORK_PASSPHRASE_FD": "3"}) == kept


def test_this_very_bork_is_started_whatever_lies_in_the_working_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    assert own_words("bork") == (sys.executable, "-P", "-m", "bork")
    monkeypatch.setattr(sys, "executable", "/opt/bork/bork")
    assert own_words("bork") == ("/opt/bork/bork",)
