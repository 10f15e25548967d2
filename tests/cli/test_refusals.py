"""Bad input and bad luck: one line that says what, where and what to do, the right exit code, and no traceback."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from bork import errors

if TYPE_CHECKING:
    from bork.errors import BorkError
    from bork.operations.events import EventSink
    from tests.cli.conftest import Run

CREATE = ("create", "/r::a", "p")


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ("prune /r", 2, 'The command "bork prune" is not available in this version of Bork. See "bork help"'),
        ("foo", 2, "bork: error: argument <command>: invalid choice: 'foo'"),
        ("key foo", 2, "bork key: error: argument <command>: invalid choice: 'foo'"),
        ("create /r::x", 2, "bork create: error: Need at least one PATH argument."),
        ("create /r p", 2, 'bork create: error: argument ARCHIVE: "/r": No archive specified.'),
        ("create /r::a/b p", 2, 'bork create: error: argument ARCHIVE: Invalid location format: "/r::a/b".'),
        ("create ::a p", 2, "bork create: error: argument ARCHIVE: no repository given, and BORK_REPO"),
        ("create /r::{foo} p", 2, 'Invalid placeholder "foo" in string: /r::{foo}. See'),
        ("create --stats --quick-stats /r::a p", 2, "bork create: error: --stats and --quick-stats are mutually excl"),
        ("create /r::a --paths-from-stdin p", 2, "bork create: error: Must not pass PATH with --paths-from-stdin."),
        ("create /r::a --content-from-command", 2, "bork create: error: No command given."),
        ("create /r::a --content-from-command --paths-from-stdin", 2, "bork create: error: --content-from-command and"),
        ("create /r::a --paths-delimiter , p", 2, "bork create: error: --paths-delimiter needs --paths-from-stdin"),
        ("create /r::a - -", 2, "bork create: error: stdin (-) can be read only once."),
        (
            "create --bypass-lock /r::a p",
            2,
            "Command Error: Not allowed to bypass locking mechanism for chosen command",
        ),
        ("create ssh://host/r::a p", 2, "A repository behind ssh (ssh://host/r) is not available in this version"),
        ("init /r", 2, "bork init: error: the following arguments are required: -e/--encryption."),
        ("init -e none /r::a", 2, 'bork init: error: argument REPOSITORY: "/r::a": No archive can be specified.'),
        ("list", 2, "bork list: error: argument REPOSITORY_OR_ARCHIVE: no repository given, and BORK_REPO"),
        ("list --format {foo} /r", 2, "Command Error: --format {foo}: there is no key foo"),
        ("extract --stdout --dry-run /r::a", 2, "bork extract: error: --stdout and --dry-run exclude each other."),
        ("check --repair /r", 2, "check --repair is not available in this version of Bork."),
        (
            "check --repository-only --verify-data /r",
            2,
            "Command Error: --repository-only contradicts --first, --last, --glob-archives, --prefix and --verify-data",
        ),
        ("check --max-duration 5 /r", 2, "Command Error: --repository-only is required for --max-duration support."),
        ("check --repository-only --archives-only /r", 2, "bork check: error: --repository-only and --archives-only"),
        ("key export --paper --qr-html /r", 2, "bork key export: error: --paper and --qr-html exclude each other."),
        ("help foo", 2, "bork help: error: No help available on foo."),
    ],
)
def test_a_command_line_that_cannot_be_is_refused_in_one_line(run: Run, words: str, code: int, text: str) -> None:
    said = run(*words.split())
    assert said.code == code
    assert said.out == ""
    assert said.err.startswith(text)
    assert said.err.count("\n") == 1


def test_with_log_json_even_a_wrong_option_is_one_json_object(run: Run) -> None:
    said = run("--log-json", "list", "--first", "0", "/r")
    record = json.loads(said.err)
    assert (record["type"], record["levelname"]) == ("log_message", "ERROR")


@pytest.mark.parametrize(
    ("error", "code", "msgid", "text"),
    [
        (
            errors.RepositoryDoesNotExist("/r"),
            13,
            "Repository.DoesNotExist",
            'Repository /r does not exist. Check the path, or make the repository with "bork init".',
        ),
        (
            errors.ArchiveAlreadyExists("a"),
            30,
            "Archive.AlreadyExists",
            "Archive a already exists. Choose another name; a placeholder as {now} makes each name new.",
        ),
        (
            errors.PassphraseWrong(),
            52,
            "PassphraseWrong",
            (
                "Passphrase supplied in BORG_PASSPHRASE, by BORG_PASSCOMMAND, or via BORG_PASSPHRASE_FD is incorrect. "
                "Check the passphrase, and that this is the repository that it belongs to."
            ),
        ),
        (
            errors.NoSpace("/r", "put", "packs/00/11"),
            14,
            "Repository.InsufficientFreeSpaceError",
            (
                "No space left for the repository /r (put packs/00/11). "
                "Free some space there and run the command again: what is stored already is not sent twice."
            ),
        ),
        (
            errors.IntegrityError("pack 11", "/r", "aa", "bb"),
            90,
            "IntegrityError",
            (
                "Data integrity error: pack 11 in /r: expected aa, found bb. "
                'Run "bork check --verify-data" to see how much is damaged.'
            ),
        ),
    ],
)
def test_an_error_of_an_operation_is_one_line_with_advice(
    run: Run, native: None, monkeypatch: pytest.MonkeyPatch, error: BorkError, code: int, msgid: str, text: str
) -> None:
    def fail(*arguments: object) -> None:
        raise error

    monkeypatch.setattr("bork.operations.create.run", fail)
    said = run(*CREATE)
    assert (said.code, said.err) == (2, f"{text}\n")
    said = run(*CREATE, "--log-json", "--show-rc", BORG_EXIT_CODES="modern")
    first, last = (json.loads(line) for line in said.err.splitlines())
    assert (said.code, first["message"], first["msgid"], first["name"]) == (code, text, msgid, "borg.archiver")
    assert (last["message"], last["levelname"]) == (f"terminating with error status, rc {code}", "ERROR")
    assert last["name"] == "borg.output.show-rc"


def test_an_unexpected_exception_asks_for_a_report(run: Run, native: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr("bork.operations.create.run", fail)
    said = run(*CREATE)
    assert said.code == 2
    assert said.err.startswith("internal error: KeyError: 'x'. This is a bug in Bork: please report it")
    assert said.err.count("\n") == 1
    assert "Traceback" in run(*CREATE, "--debug").err


@pytest.mark.parametrize("error", [MemoryError(), RecursionError("deep"), SystemExit(0), AssertionError()])
def test_whatever_is_raised_ends_with_exit_code_2(
    run: Run, native: None, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(*arguments: object) -> None:
        raise error

    monkeypatch.setattr("bork.operations.create.run", fail)
    said = run(*CREATE)
    assert (said.code, said.err.count("\n")) == (2, 1)


def test_a_missing_engine_is_named_with_what_builds_it(run: Run, native: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise errors.NativeMissing("no module")

    monkeypatch.setattr("bork.operations.list.archives", fail)
    assert run("list", "/r").err == (
        'The native engine of Bork cannot be loaded: no module. Build it again with "pip install ." in the source '
        "directory.\n"
    )


def test_what_was_listed_before_an_error_is_shown(run: Run, native: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(access: object, name: object, options: object, events: EventSink) -> None:
        events.lines(b"one\n")
        raise errors.ObjectMissing("11", "/r")

    monkeypatch.setattr("bork.operations.list.items", fail)
    said = run("list", "/r::a")
    assert (said.code, said.out) == (2, "one\n")


@pytest.mark.parametrize("option", ["--critical", "--error"])
def test_the_level_hides_warnings(run: Run, native: None, monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    def warn(access: object, options: object, events: EventSink) -> object:
        events.problem("io", b"x", "no")
        return SimpleNamespace(head=None)

    monkeypatch.setattr("bork.operations.create.run", warn)
    said = run(*CREATE, option)
    assert (said.code, said.err) == (1, "")


def test_deprecated_options_are_reported_on_stderr(run: Run, native: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def make_nothing(*arguments: object) -> object:
        return SimpleNamespace(head=None)

    monkeypatch.setattr("bork.operations.create.run", make_nothing)
    assert run(*CREATE, "--numeric-owner").err == (
        'Warning: "--numeric-owner" has been deprecated. Use --numeric-ids instead.\n'
    )
