"""Where passphrases come from: the environment, a command, a descriptor, or the terminal; in this order.

A passphrase that was given by other means than the terminal is tried once. On the terminal there are three attempts.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bork.errors import NoPassphraseFailure, PasscommandFailure, PasswordRetriesExceeded

if TYPE_CHECKING:
    from collections.abc import Callable

    from bork.cli.environment import Environment
    from bork.cli.output.console import Console
    from bork.cli.questions import Questions

ATTEMPTS = 3
NEW_ATTEMPTS = 10


def ask_user(prompt: str) -> str:
    """Ask on the terminal, without echo; without one take the next line of stdin. Raises EOFError, OSError."""
    import getpass  # late: 4 ms, and scripts never ask
    import sys

    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        # getpass would warn about the echo in three lines; here nobody sees a prompt, and nobody types.
        line = sys.stdin.readline()
        if not line:
            raise EOFError from None
        return line.rstrip("\n")
    return getpass.getpass(prompt)


class Passphrases:
    """The PassphraseSource of operations. Nothing is read before it is needed, and the descriptor only once."""

    def __init__(
        self,
        console: Console,
        environment: Environment,
        questions: Questions,
        ask: Callable[[str], str] = ask_user,
    ) -> None:
        self._console = console
        self._environment = environment
        self._questions = questions
        self._ask = ask
        self._looked = False
        self._given: bytes | None = None

    def get(self, prompt_for: str, attempt: int) -> bytes | None:
        """Attempt 0: the passphrase that the environment gives, or None. Attempts 1 to 3 ask for it.

        Raises NoPassphraseFailure if nobody can be asked, PasswordRetriesExceeded after the last attempt.
        """
        if attempt == 0:
            return self.given()
        if attempt > ATTEMPTS:
            raise PasswordRetriesExceeded
        return self._prompt(f"Enter passphrase for key {prompt_for}: ")

    def new(self, prompt_for: str) -> bytes:
        """A passphrase for a new key, typed twice. ``prompt_for`` names the key."""
        if (text := self._environment.get("NEW_PASSPHRASE")) is not None:
            return os.fsencode(text)
        given = self.given()
        if given is not None:
            return given
        for _ in range(NEW_ATTEMPTS):
            passphrase = self._prompt("Enter new passphrase: ")
            if passphrase == self._prompt("Enter same passphrase again: "):
                self._offer_display(passphrase)
                self._console.log("info", "Remember your passphrase. Your data will be inaccessible without it.")
                return passphrase
            self._console.talk("Passphrases do not match")
        raise PasswordRetriesExceeded

    def given(self) -> bytes | None:
        """What the environment says, if it says something."""
        if not self._looked:
            self._looked = True
            self._given = self._from_environment()
        return self._given

    def _from_environment(self) -> bytes | None:
        if (text := self._environment.get("PASSPHRASE")) is not None:
            return os.fsencode(text)
        if (command := self._environment.get("PASSCOMMAND")) is not None:
            return self._from_command(command)
        if (number := self._environment.get("PASSPHRASE_FD")) is not None:
            return self._from_descriptor(number)
        return None

    def _from_command(self, command: str) -> bytes:
        import shlex  # late, with subprocess: most users have no PASSCOMMAND
        import subprocess

        variable = self._environment.name_of("PASSCOMMAND")
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise PasscommandFailure(variable, error) from None
        if not words:
            raise PasscommandFailure(variable, "it is empty")
        try:
            done = subprocess.run(words, stdout=subprocess.PIPE, check=False)
        except OSError as error:
            raise PasscommandFailure(variable, f"{words[0]}: {error.strerror}") from None
        if done.returncode != 0:
            raise PasscommandFailure(variable, f"{words[0]} ended with status {done.returncode}")
        return done.stdout.rstrip(b"\n")

    def _from_descriptor(self, number: str) -> bytes | None:
        variable = self._environment.name_of("PASSPHRASE_FD")
        if not number.isdecimal():
            raise NoPassphraseFailure(f"{variable} is {number!r}, not the number of a descriptor.")
        content = bytearray()
        try:
            while part := os.read(int(number), 65536):
                content += part
            os.close(int(number))
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise NoPassphraseFailure(f"{variable} is {number}: {reason}.") from None
        return bytes(content).rstrip(b"\n")

    def _prompt(self, prompt: str) -> bytes:
        self._console.clear_live_line()
        try:
            return os.fsencode(self._ask(prompt))
        except (EOFError, OSError, ValueError, AttributeError):  # the last one: there is no stdin at all
            variables = " ".join(
                f"{self._environment.name_of(name)} is {'not set' if self._environment.get(name) is None else 'set'}."
                for name in ("PASSPHRASE", "PASSCOMMAND")
            )
            raise NoPassphraseFailure(f"{variables} Interactive password query failed.") from None

    def _offer_display(self, passphrase: bytes) -> None:
        question = "Do you want your passphrase to be displayed for verification? [yN]: "
        if not self._questions.ask_again("BORG_DISPLAY_PASSPHRASE", question):
            return
        text = passphrase.decode("utf-8", "backslashreplace")
        self._console.talk(f'Your passphrase (between double-quotes): "{text}"')
        self._console.talk("Make sure the passphrase displayed above is exactly what you wanted.")
        if not passphrase.isascii():
            self._console.talk(f"Your passphrase (UTF-8 encoding in hex): {passphrase.hex()}")
            self._console.talk("Keep that encoding in hex together with the passphrase at a safe place.")
