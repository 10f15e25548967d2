"""Questions that only the user can answer, on the terminal or by an environment variable."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bork.cli.environment import Environment
    from bork.cli.output.console import Console

_TRUE = frozenset(("Yes", "YES", "yes", "Y", "y", "1"))
_FALSE = frozenset(("No", "NO", "no", "N", "n", "0"))
_DEFAULT = frozenset(("Default", "DEFAULT", "default", "D", "d", ""))


def _read_line() -> str | None:
    """One line of stdin, None at its end or if it is not text."""
    try:
        line = sys.stdin.readline() if sys.stdin is not None else ""
    except (UnicodeDecodeError, OSError, ValueError):
        return None
    return line.rstrip("\n") if line else None


class Questions:
    """Asks on stderr and reads the answer from stdin. ``msgid`` is Borg's name of the variable that answers instead."""

    def __init__(
        self, console: Console, environment: Environment, read_line: Callable[[], str | None] = _read_line
    ) -> None:
        self._console = console
        self._environment = environment
        self._read_line = read_line

    def ask(self, msgid: str, message: str, default: bool = False) -> bool:
        """True for yes. The end of stdin and an answer that is none of the known ones mean ``default``."""
        self._console.question("prompt", msgid, message)
        answer = self._from_environment(msgid)
        if answer is None:
            answer = self._read_line()
        truths = frozenset(("YES",)) if msgid.endswith("_I_KNOW_WHAT_I_AM_DOING") else _TRUE
        if answer is None:
            decision = default
        elif answer in truths:
            return True
        elif answer in _DEFAULT:
            return default
        elif answer in _FALSE:
            decision = False
        else:
            self._console.question("invalid_answer", msgid, "Invalid answer, aborting.")
            return default
        if not decision:
            self._console.question("accepted_false", msgid, "Aborting.")
        return decision

    def ask_again(self, msgid: str, message: str) -> bool:
        """A question with the default No that is repeated until the answer is clear."""
        variable_was_used = False
        self._console.question("prompt", msgid, message)
        while True:
            answer = None if variable_was_used else self._from_environment(msgid)
            variable_was_used = True
            if answer is None:
                answer = self._read_line()
            if answer in _TRUE:
                return True
            if answer is None or answer in _FALSE or answer in _DEFAULT:
                return False
            self._console.question("invalid_answer", msgid, "Invalid answer, try again.")
            self._console.question("prompt_retry", msgid, message)

    def _from_environment(self, msgid: str) -> str | None:
        name = msgid.removeprefix("BORG_").removeprefix("BORK_")
        answer = self._environment.get(name)
        if answer is not None:
            variable = self._environment.name_of(name)
            self._console.question("env_answer", msgid, f"{answer} (from {variable})", env_var=variable)
        return answer
