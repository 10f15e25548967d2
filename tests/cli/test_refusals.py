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
        ("mount", 2, 'The command "bork mount" is not available in this version of Bork. See "bork help"'),
        ("prune /r", 2, 'Command Error: At least one of the "keep-within", "keep-last",'),
        ("prune --keep-daily 0 -y 0 /r", 2, 'Command Error: At least one of the "keep-within", "keep-last",'),
        ("prune --keep-daily all /r", 2, "bork prune: error: argument -d/--keep-daily: invalid int value: 'all'."),
        ("prune --keep-within 5 /r", 2, 'bork prune: error: argument --keep-within: Unexpected interval time unit "5"'),
        ("prune --keep-within 0d /r", 2, 'bork prune: error: argument --keep-within: Unexpected interval number "0"'),
        ("prune --keep-within=-1d /r", 2, 'bork prune: error: argument --keep-within: Unexpected interval number "-1"'),
        (
            "prune --keep-3monthly 1 --keep-13weekly 1 /r",
            2,
            "bork prune: error: argument --keep-13weekly: not allowed with argument --keep-3monthly.",
        ),
        ("prune -d 1 -a x -P x /r", 2, "bork prune: error: argument -P/--prefix: not allowed with argument -a/--glob"),
        ("prune -d 1 --stats --quick-stats /r", 2, "bork prune: error: --stats and --quick-stats are mutually exclus"),
        ("prune -d 1 /r::a", 2, 'bork prune: error: argument REPOSITORY: "/r::a": No archive can be specified.'),
        ("prune -d 1 --first 1 /r", 2, "bork prune: error: unrecognized arguments: --first"),
        ("prune -d 1 --bypass-lock /r", 2, "Command Error: Not allowed to bypass locking mechanism for chosen comma"),
        (
            "delete /r::a -a x",
            2,
            "Command Error: Mixing archive filters and explicitly named archives is not supported.",
        ),
        ("delete /r a --last 1", 2, "Command Error: Mixing archive filters and explicitly named archives is not supp"),
        ("delete --cache-only /r::a", 2, "bork delete: error: --cache-only is for whole repositories, not for archi"),
        ("delete --keep-security-info -a x /r", 2, "bork delete: error: --keep-security-info is for whole reposito"),
        ("delete --cache-only --keep-security-info /r", 2, "bork delete: error: --cache-only keeps the security info"),
        ("delete --stats --quick-stats /r::a", 2, "bork delete: error: --stats and --quick-stats are mutually exclu"),
        ("delete", 2, "bork delete: error: argument REPOSITORY_OR_ARCHIVE: no repository given, and BORK_REPO"),
        ("delete /r::", 2, 'bork delete: error: argument REPOSITORY_OR_ARCHIVE: Invalid location format: "/r::".'),
        ("rename /r::a b/c", 2, 'bork rename: error: argument NEWNAME: Invalid archive name: "b/c".'),
        ("rename /r::a b::c", 2, 'bork rename: error: argument NEWNAME: Invalid archive name: "b::c".'),
        ("rename /r::a {foo}", 2, 'Invalid placeholder "foo" in string: {foo}.'),
        ("rename /r::a", 2, "bork rename: error: the following arguments are required: NEWNAME."),
        ("rename /r b", 2, 'bork rename: error: argument ARCHIVE: "/r": No archive specified.'),
        ("config /r", 2, "Command Error: No config key name was provided."),
        ("config --delete /r", 2, "Command Error: No config key name was provided."),
        ("config --list /r id", 2, "bork config: error: --list shows everything: it takes no NAME."),
        (
            "config --list --delete /r",
            2,
            "bork config: error: argument -d/--delete: not allowed with argument -l/--list",
        ),
        ("config --delete /r append_only 1", 2, "bork config: error: --delete takes a NAME, and no VALUE."),
        (
            "config --cache --list /r",
            2,
            "config --cache: the cache of Bork has no settings, and so this is not availabl",
        ),
        ("config /r foo", 2, "Command Error: No option 'foo' in section: 'repository'; there are version, encryption,"),
        ("config /r cache.id", 2, "Command Error: No option 'cache.id' in section: 'repository'"),
        ("config /r append_only yes", 2, "Command Error: Invalid value 'yes' for append_only: it is 0 or 1."),
        ("config /r storage_quota 5M", 2, "Command Error: Invalid value '5M' for storage_quota: quota is too small"),
        ("config /r storage_quota -1", 2, "Command Error: Invalid value '-1' for storage_quota: quota is too small"),
        ("config /r storage_quota 1e999", 2, "Command Error: Invalid value '1e999' for storage_quota: invalid size"),
        ("config /r storage_quota nan", 2, "Command Error: Invalid value 'nan' for storage_quota: invalid size"),
        ("config /r id 1 2", 2, "bork config: error: unrecognized arguments: 2."),
        ("with-lock /r", 2, "bork with-lock: error: the following arguments are required: COMMAND."),
        (
            "with-lock /r::a true",
            2,
            'bork with-lock: error: argument REPOSITORY: "/r::a": No archive can be specified.',
        ),
        ("break-lock /r::a", 2, 'bork break-lock: error: argument REPOSITORY: "/r::a": No archive can be specified.'),
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
        (
            "create /r::a --stdin-name ../x -",
            2,
            "bork create: error: --stdin-name '../x': no file of an archive can be",
        ),
        (
            "create /r::a --content-from-command --stdin-name a/../b -- touch",
            2,
            "bork create: error: --stdin-name 'a/../b': no file of an archive can be called so.",
        ),
        (
            "create --exclude-if-present a/b /r::a p",
            2,
            "bork create: error: argument --exclude-if-present: not the name",
        ),
        ("create /r::a - -", 2, "bork create: error: stdin (-) can be read only once."),
        (
            "create --bypass-lock /r::a p",
            2,
            "Command Error: Not allowed to bypass locking mechanism for chosen command",
        ),
        ("create ssh://-oX/r::a p", 2, "Command Error: not the name of a host: '-oX'"),
        ("create --rsh= --remote-path=-x ssh://host/r::a p", 2, "Command Error: not the name of a program: '-x'"),
        ("init /r", 2, "bork init: error: the following arguments are required: -e/--encryption."),
        ("init -e none /r::a", 2, 'bork init: error: argument REPOSITORY: "/r::a": No archive can be specified.'),
        ("list", 2, "bork list: error: argument REPOSITORY_OR_ARCHIVE: no repository given, and BORK_REPO"),
        ("list --format {foo} /r", 2, "Command Error: --format {foo}: there is no key foo"),
        ("check --repair --archives-only /r", 2, "Command Error: --repair mends everything"),
        ("check --repair --max-duration 5 --repository-only /r", 2, "Command Error: --repair does not allow"),
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


@pytest.mark.parametrize(("command", "metavar"), [("rename", "NEWNAME"), ("diff", "ARCHIVE2")])
def test_an_empty_name_of_an_archive_is_refused(run: Run, command: str, metavar: str) -> None:
    said = run(command, "/r::a", "")
    assert said.code == 2
    assert said.err.startswith(f'bork {command}: error: argument {metavar}: Invalid archive name: "".')


@pytest.mark.parametrize("words", ["create --filter A --filter B /r::a p", "create /r::a p --filter=A --filter=B"])
def test_a_sentence_ends_with_one_full_stop(run: Run, words: str) -> None:
    text = 'bork create: error: argument --filter: There can be only one. See "bork create --help".\n'
    assert run(*words.split()).err == text


def test_an_empty_prefix_is_not_everything_and_an_empty_glob_is_not_the_repository(run: Run) -> None:
    said = run("delete", "--prefix", "", "/nowhere")
    assert "An empty --prefix would delete every archive." in said.err
    said = run("delete", "--glob-archives", "", "--force", "/nowhere", BORG_EXIT_CODES="modern")
    assert (said.code, said.err.partition(".")[0]) == (13, "Repository /nowhere does not exist")
    assert "unknown command" not in run("with-lock", "/nowhere", "").err
    assert run("with-lock", "/nowhere", "").err.startswith("bork with-lock: error: argument COMMAND: it is empty.")


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
