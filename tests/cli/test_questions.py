"""Questions: the words that count as yes, the variables that answer, and what silence means."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from bork.cli.environment import Environment
from bork.cli.output.console import Console
from bork.cli.output.streams import Err
from bork.cli.questions import Questions

MSGID = "BORG_RELOCATED_REPO_ACCESS_IS_OK"


class Collected(Err):
    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def write(self, data: bytes) -> None:
        self.text += data.decode()


def asking(*lines: str | None, log_json: bool = False, **variables: str) -> tuple[Questions, Collected]:
    err = Collected()
    answers: Iterator[str | None] = iter(lines)
    read_line: Callable[[], str | None] = lambda: next(answers, None)
    return Questions(Console(err=err, log_json=log_json), Environment(variables), read_line), err


@pytest.mark.parametrize("answer", ["Yes", "YES", "yes", "Y", "y", "1"])
def test_yes_has_many_spellings(answer: str) -> None:
    questions, err = asking(answer)
    assert questions.ask(MSGID, "Sure? ")
    assert err.text == "Sure? "


@pytest.mark.parametrize("answer", ["No", "NO", "no", "N", "n", "0"])
def test_no_has_many_spellings(answer: str) -> None:
    questions, err = asking(answer)
    assert not questions.ask(MSGID, "Sure? ", default=True)
    assert err.text == "Sure? Aborting.\n"


@pytest.mark.parametrize("answer", ["", "d", "default", None, "perhaps"])
@pytest.mark.parametrize("default", [True, False])
def test_silence_and_nonsense_mean_the_default(answer: str | None, default: bool) -> None:
    questions, _ = asking(answer)
    assert questions.ask(MSGID, "Sure? ", default=default) is default


@pytest.mark.parametrize(("answer", "decision"), [("yes", True), ("no", False)])
def test_a_variable_answers(answer: str, decision: bool) -> None:
    questions, err = asking(BORG_RELOCATED_REPO_ACCESS_IS_OK=answer)
    assert questions.ask(MSGID, "Sure? ") is decision
    assert err.text.startswith(f"Sure? {answer} (from {MSGID})\n")


def test_the_own_variable_wins() -> None:
    questions, err = asking(BORG_RELOCATED_REPO_ACCESS_IS_OK="no", BORK_RELOCATED_REPO_ACCESS_IS_OK="yes")
    assert questions.ask(MSGID, "Sure? ")
    assert "(from BORK_RELOCATED_REPO_ACCESS_IS_OK)" in err.text


@pytest.mark.parametrize(("answer", "decision"), [("YES", True), ("yes", False), ("y", False)])
def test_dangerous_questions_want_a_loud_yes(answer: str, decision: bool) -> None:
    questions, _ = asking(answer)
    assert questions.ask("BORG_DELETE_I_KNOW_WHAT_I_AM_DOING", "All? ") is decision


def test_questions_are_json_with_log_json() -> None:
    questions, err = asking(log_json=True, BORG_RELOCATED_REPO_ACCESS_IS_OK="no")
    questions.ask(MSGID, "Sure?\n[yN] ")
    assert [json.loads(line) for line in err.text.splitlines()] == [
        {"type": "question_prompt", "msgid": MSGID, "message": "Sure?\n[yN] "},
        {"env_var": MSGID, "type": "question_env_answer", "msgid": MSGID, "message": f"no (from {MSGID})"},
        {"type": "question_accepted_false", "msgid": MSGID, "message": "Aborting."},
    ]


def test_a_repeated_question_waits_for_a_clear_answer() -> None:
    questions, err = asking("what", "y")
    assert questions.ask_again("X", "Show? ")
    assert err.text == "Show? Invalid answer, try again.\nShow? "


def test_a_variable_that_makes_no_sense_is_used_once() -> None:
    questions, _ = asking("n", BORG_DISPLAY_PASSPHRASE="what")
    assert not questions.ask_again("BORG_DISPLAY_PASSPHRASE", "Show? ")
