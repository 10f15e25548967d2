"""The command behind ``--content-from-command``: its status decides, and it never outlives the backup."""

import os
import time

import pytest

from bork.cli.feeder import Feeder
from bork.errors import CommandError


def test_the_output_of_a_command_can_be_read() -> None:
    with Feeder(["echo", "hello"]) as feeder:
        assert os.read(feeder.descriptor, 100) == b"hello\n"
        feeder.finish()


@pytest.mark.parametrize(
    ("script", "message"),
    [("exit 3", "Command 'sh' exited with status 3"), ("kill -9 $$", "Command 'sh' was killed by signal 9")],
)
def test_a_bad_end_is_an_error(script: str, message: str) -> None:
    with Feeder(["sh", "-c", script]) as feeder, pytest.raises(CommandError, match=message):
        feeder.finish()


@pytest.mark.parametrize("words", [["no-such-program"], ["/"], ["a\0b"]])
def test_a_command_that_cannot_start_is_an_error(words: list[str]) -> None:
    with pytest.raises(CommandError, match="Failed to execute command"):
        Feeder(words)


def test_a_command_is_ended_with_the_backup() -> None:
    started = time.monotonic()
    with Feeder(["sleep", "60"]):
        pass
    assert time.monotonic() - started < 5


def test_ctrl_c_is_not_for_the_command() -> None:
    """The terminal sends it to both; Bork ends the command in its own time."""
    with Feeder(["sh", "-c", "kill -INT $$; echo alive"]) as feeder:
        assert os.read(feeder.descriptor, 100) == b"alive\n"
        feeder.finish()
