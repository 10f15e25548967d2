"""Passphrases: which source wins, and what happens when none is there."""

from __future__ import annotations

import errno
import io
import os

import pytest

from bork.cli.environment import Environment
from bork.cli.output.console import Console
from bork.cli.output.streams import Err
from bork.cli.passphrase import Passphrases, ask_user
from bork.cli.questions import Questions
from bork.errors import NoPassphraseFailure, PasscommandFailure, PasswordRetriesExceeded


class Collected(Err):
    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def write(self, data: bytes) -> None:
        self.text += data.decode("utf-8", "replace")

    def is_terminal(self) -> bool:
        return False


class Typist:
    """Somebody at a terminal."""

    def __init__(self, *lines: str, answers: tuple[str, ...] = (), **variables: str) -> None:
        self.err = Collected()
        self.prompts: list[str] = []
        self._lines = list(lines)
        answer = iter(answers)
        console = Console(level="info", err=self.err)
        environment = Environment(variables)
        questions = Questions(console, environment, lambda: next(answer, None))
        self.passphrases = Passphrases(console, environment, questions, self.ask)

    def ask(self, prompt: str) -> str:
        self.prompts.append(prompt)
        if not self._lines:
            raise EOFError
        return self._lines.pop(0)


# ---- the environment ---------------------------------------------------------------------------------------------


def test_the_variable_is_tried_first_and_once() -> None:
    source = Typist(BORG_PASSPHRASE="secret", BORG_PASSCOMMAND="false", BORG_PASSPHRASE_FD="99").passphrases
    assert source.get("/r", 0) == b"secret"


def test_the_own_variable_wins() -> None:
    assert Typist(BORG_PASSPHRASE="x", BORK_PASSPHRASE="").passphrases.get("/r", 0) == b""


def test_a_command_gives_a_passphrase_without_its_line_end() -> None:
    source = Typist(BORG_PASSCOMMAND="printf 'two words\\n\\n'").passphrases
    assert source.get("/r", 0) == b"two words"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("false", "false ended with status 1"),
        ("no-such-program", "no-such-program: No such file or directory"),
        ("", "it is empty"),
        ("'", "No closing quotation"),
    ],
)
def test_a_command_that_fails_is_named_with_its_variable(line: str, reason: str) -> None:
    with pytest.raises(PasscommandFailure) as caught:
        Typist(BORK_PASSCOMMAND=line).passphrases.get("/r", 0)
    assert str(caught.value) == f"Passcommand supplied in BORK_PASSCOMMAND failed: {reason}"


def test_a_descriptor_is_read_once_to_its_end() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"from a pipe\n")
    os.close(writing)
    source = Typist(BORG_PASSPHRASE_FD=str(reading)).passphrases
    assert [source.get("/r", 0), source.get("/r", 0), source.new("/r")] == [b"from a pipe"] * 3
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reading)


@pytest.mark.parametrize("number", ["9999", "x", "", "-1", "99999999999999999999"])
def test_a_descriptor_that_is_none_is_named(number: str) -> None:
    with pytest.raises(NoPassphraseFailure, match="BORG_PASSPHRASE_FD is"):
        Typist(BORG_PASSPHRASE_FD=number).passphrases.get("/r", 0)


def test_bytes_that_are_no_text_are_kept() -> None:
    source = Typist(BORG_PASSPHRASE=os.fsdecode(b"\xff\xfe")).passphrases
    assert source.get("/r", 0) == b"\xff\xfe"


# ---- the terminal ------------------------------------------------------------------------------------------------


def test_without_a_source_the_user_is_asked_three_times() -> None:
    person = Typist("one", "two", "three", "four")
    source = person.passphrases
    assert source.get("/r", 0) is None
    assert [source.get("/r", attempt) for attempt in (1, 2, 3)] == [b"one", b"two", b"three"]
    assert person.prompts == ["Enter passphrase for key /r: "] * 3
    with pytest.raises(PasswordRetriesExceeded):
        source.get("/r", 4)


def test_without_a_terminal_the_message_names_the_variables() -> None:
    with pytest.raises(NoPassphraseFailure) as caught:
        Typist().passphrases.get("/r", 1)
    assert str(caught.value) == (
        "Cannot acquire a passphrase: BORG_PASSPHRASE is not set. BORG_PASSCOMMAND is not set. "
        "Interactive password query failed."
    )


def test_without_a_terminal_stdin_is_read_and_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_terminal(*arguments: object) -> int:
        raise OSError(errno.ENXIO, "No such device or address")

    monkeypatch.setattr(os, "open", no_terminal)
    monkeypatch.setattr("sys.stdin", io.StringIO("secret\n"))
    assert ask_user("Enter passphrase: ") == "secret"
    with pytest.raises(EOFError):
        ask_user("Enter passphrase: ")


# ---- new ones ----------------------------------------------------------------------------------------------------


def test_a_new_passphrase_has_a_variable_of_its_own() -> None:
    source = Typist(BORG_PASSPHRASE="old", BORG_NEW_PASSPHRASE="new").passphrases
    assert (source.get("/r", 0), source.new("/r")) == (b"old", b"new")


def test_a_new_passphrase_is_typed_twice_until_both_are_the_same() -> None:
    person = Typist("a", "b", "c", "c", answers=("n",))
    assert person.passphrases.new("/r") == b"c"
    assert person.prompts == ["Enter new passphrase: ", "Enter same passphrase again: "] * 2
    assert person.err.text == (
        "Passphrases do not match\n"
        "Do you want your passphrase to be displayed for verification? [yN]: "
        "Remember your passphrase. Your data will be inaccessible without it.\n"
    )


def test_a_passphrase_is_displayed_only_on_request() -> None:
    person = Typist("grün", "grün", BORG_DISPLAY_PASSPHRASE="yes")
    assert person.passphrases.new("/r") == "grün".encode()
    assert 'Your passphrase (between double-quotes): "grün"\n' in person.err.text
    assert "hex): 6772c3bc6e\n" in person.err.text
    person = Typist("grün", "grün", BORG_DISPLAY_PASSPHRASE="no")
    person.passphrases.new("/r")
    assert "grün" not in person.err.text


def test_nobody_has_to_type_for_ever() -> None:
    with pytest.raises(PasswordRetriesExceeded):
        Typist(*(str(number) for number in range(40))).passphrases.new("/r")
