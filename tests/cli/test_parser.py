"""The grammar of the command line: where options may stand, what they take, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bork.cli import parser
from bork.cli.commands import COMMANDS, NOT_AVAILABLE
from bork.cli.commands.create import COMMAND as CREATE
from bork.cli.commands.init import COMMAND as INIT
from bork.cli.commands.key_export import COMMAND as KEY_EXPORT
from bork.cli.commands.list import COMMAND as LIST
from bork.cli.execute import load
from bork.cli.options import COMMON, Command
from bork.cli.parser import BadArguments, CommandLine, Values
from bork.cli.patterns import Rules
from bork.errors import NotAvailable


def values_of(command: Command, *words: str) -> Values:
    return parser.parse(command, words, Rules())


# ---- the command -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("create r::a p", CommandLine("create", ("r::a", "p"))),
        ("--info create r::a", CommandLine("create", ("--info", "r::a"))),
        ("--lock-wait 5 list r", CommandLine("list", ("--lock-wait", "5", "r"))),
        ("--lock-wait=5 -p list r", CommandLine("list", ("--lock-wait=5", "-p", "r"))),
        ("-vp list", CommandLine("list", ("-vp",))),
        ("--umask 077 key --info export r", CommandLine("key export", ("--umask", "077", "--info", "r"))),
        ("key", CommandLine("key", ())),
        ("key --help", CommandLine("key", ("--help",))),
        ("", CommandLine("", ())),
        ("--version", CommandLine("", (), version=True)),
        ("--log-json -V", CommandLine("", (), version=True)),
        ("create --version", CommandLine("create", ("--version",))),
    ],
)
def test_the_command_is_found_behind_common_options(words: str, expected: CommandLine) -> None:
    assert parser.split_command(words.split()) == expected


@pytest.mark.parametrize("command", sorted(NOT_AVAILABLE))
def test_a_command_that_only_borg_has_is_named_as_such(command: str) -> None:
    with pytest.raises(NotAvailable, match="not available in this version"):
        parser.require_known(command)


@pytest.mark.parametrize("command", ["foo", "key foo"])
def test_a_command_that_nobody_has_is_an_invalid_choice(command: str) -> None:
    with pytest.raises(BadArguments, match="invalid choice: 'foo'"):
        parser.require_known(command)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_a_module_that_describes_it(command: str) -> None:
    module = load(command)
    assert module.COMMAND.name == command
    assert callable(module.run)


# ---- options -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        "--stats -x r::a p1 p2",
        "r::a --stats p1 -x p2",
        "r::a p1 p2 --stats -x",
        "-sx r::a p1 p2",
        "r::a p1 -- p2 --stats",
    ],
)
def test_options_may_stand_anywhere(words: str) -> None:
    values = values_of(CREATE, *words.split())
    assert values["location"] == "r::a"
    assert values["paths"] == (["p1", "p2", "--stats"] if "--" in words.split() else ["p1", "p2"])


@pytest.mark.parametrize("words", [("--comment", "x"), ("--comment=x",), ("--comment", "y", "--comment=x")])
def test_a_value_follows_its_option_and_the_last_one_wins(words: tuple[str, ...]) -> None:
    assert values_of(CREATE, "r::a", *words, "p").text("comment") == "x"


@pytest.mark.parametrize("words", [("-P", "x"), ("-Px",), ("-P=x",), ("-vPx",), ("-vP", "x")])
def test_a_short_option_takes_its_value_attached_or_not(words: tuple[str, ...]) -> None:
    assert values_of(LIST, *words, "r").text("prefix") == "x"


def test_only_the_long_name_of_a_deprecated_option_is_reported() -> None:
    assert values_of(LIST, "-P", "x", "r").deprecated == []
    for words in (("--prefix", "x"), ("--prefix=x",)):
        warning = 'Warning: "--prefix" has been deprecated. Use "--glob-archives \'yourprefix*\'" (-a) instead.'
        assert values_of(LIST, *words, "r").deprecated == [warning]


def test_the_same_flag_twice_is_no_error() -> None:
    assert values_of(CREATE, "--stats", "r::a", "p", "--stats").flag("stats")


def test_the_later_log_level_wins() -> None:
    line = parser.split_command(["--debug", "list", "--info", "r"])
    assert values_of(LIST, *line.words).text("log_level") == "info"


def test_a_dash_is_an_argument() -> None:
    assert values_of(CREATE, "r::a", "-")["paths"] == ["-"]


def test_negative_numbers_are_values_and_arguments() -> None:
    assert values_of(CREATE, "r::a", "-1", "--comment", "-2.5")["paths"] == ["-1"]


def test_an_empty_value_is_a_value() -> None:
    assert values_of(CREATE, "--comment=", "r::a", "p", "--stdin-name", "").text("stdin_name") == ""


def test_everything_behind_two_dashes_is_an_argument() -> None:
    words = ("--content-from-command", "r::a", "--", "mysqldump", "--all", "-v", "--")
    assert values_of(CREATE, *words)["paths"] == ["mysqldump", "--all", "-v", "--"]


@pytest.mark.parametrize("dashes", [(), ("--",)])
def test_everything_behind_a_command_to_run_belongs_to_it(dashes: tuple[str, ...]) -> None:
    command = load("with-lock").COMMAND
    values = values_of(
        command, "--lock-wait", "5", "r", *dashes, "rsync", "--list", "-v", "--", "--help", "--lock-wait"
    )
    assert (values["location"], values["command"], values["lock_wait"]) == ("r", "rsync", 5)
    assert values["args"] == ["--list", "-v", "--", "--help", "--lock-wait"]
    assert (values["help"], values["log_level"]) == (False, "warning")


def test_pattern_options_keep_their_order_and_their_spaces() -> None:
    rules = Rules()
    words = ("r::a", "--pattern", "+ a", "-e", "*.o", "--pattern", "- **/b", "p", "--pattern=-c", "-e*.c *.d")
    parser.parse(CREATE, words, rules)
    assert [(pattern.action, pattern.text) for pattern in rules.patterns] == [
        ("+", b"a"),
        ("!", b"*.o"),
        ("-", b"**/b"),
        ("-", b"c"),
        ("!", b"*.c *.d"),
    ]


@pytest.mark.parametrize(
    ("command", "words", "message"),
    [
        (CREATE, "--foo r::x d", "unrecognized arguments: --foo"),
        (CREATE, "--foo=bar r::x d", "unrecognized arguments: --foo=bar"),
        (CREATE, "-Z r::x d", "unrecognized arguments: -Z"),
        (CREATE, "-sZ r::x d", "unrecognized arguments: -sZ"),
        (CREATE, "--stat r::x d", "unrecognized arguments: --stat"),
        (CREATE, "--stats=1 r::x d", "argument -s/--stats: ignored explicit argument '1'"),
        (CREATE, "", "the following arguments are required: ARCHIVE"),
        (CREATE, "r::x d --comment", "argument --comment: expected one argument"),
        (CREATE, "--comment --stats r::x d", "argument --comment: expected one argument"),
        (CREATE, "--comment -- r::x d", "argument --comment: expected one argument"),
        (CREATE, "--pattern -x r::x d", "argument --pattern: expected one argument"),
        (
            CREATE,
            "--files-cache size --files-cache size r::x d",
            "argument --files-cache: There can be only one.",
        ),
        (CREATE, "--lock-wait x r::x d", "argument --lock-wait: invalid int value: 'x'"),
        (CREATE, "-C foo r::x d", "argument -C/--compression: unsupported compression type"),
        (INIT, "r", "the following arguments are required: -e/--encryption"),
        (INIT, "-e none r extra", "unrecognized arguments: extra"),
        (
            INIT,
            "-e foo r",
            (
                "argument -e/--encryption: invalid choice: 'foo' (choose from 'none', 'keyfile', 'repokey', "
                "'authenticated', 'keyfile-blake2', 'repokey-blake2', 'authenticated-blake2')"
            ),
        ),
        (LIST, "-P a -a b r", "argument -a/--glob-archives: not allowed with argument -P/--prefix"),
        (LIST, "-a b -P a r", "argument -P/--prefix: not allowed with argument -a/--glob-archives"),
        (LIST, "--first 1 --last 1 r", "argument --last: not allowed with argument --first"),
        (LIST, "--first 0 r", "argument --first: A positive integer is required: 0"),
        (LIST, "--sort-by ts r", "argument --sort-by: Invalid sort key: ts"),
        (KEY_EXPORT, "r out more", "unrecognized arguments: more"),
    ],
)
def test_a_wrong_command_line_is_refused_in_the_words_of_borg(command: Command, words: str, message: str) -> None:
    with pytest.raises(BadArguments) as caught:
        values_of(command, *words.split())
    assert str(caught.value) == message
    assert caught.value.command == command.name


def test_help_is_shown_even_if_the_rest_is_wrong() -> None:
    assert values_of(INIT, "--help").flag("help")


@pytest.mark.parametrize("option", ["--noatime", "--nobsdflags", "--numeric-owner", "--remote-ratelimit=1"])
def test_deprecated_options_still_work_and_say_so(option: str) -> None:
    deprecated = values_of(CREATE, option, "r::a", "p").deprecated
    assert len(deprecated) == 1
    assert deprecated[0].startswith(f'Warning: "{option.partition("=")[0]}" has been deprecated.')


# ---- completeness ------------------------------------------------------------------------------------------------

# Every option that Borg 1.4.5 has, from its --help.
BORG_OPTIONS = {
    "": """-h --help --critical --error --warning --info -v --verbose --debug --debug-topic -p --progress --iec
        --log-json --lock-wait --bypass-lock --show-version --show-rc --umask --remote-path --remote-ratelimit
        --upload-ratelimit --remote-buffer --upload-buffer --consider-part-files --debug-profile --rsh""",
    "break-lock": "",
    "check": """--repository-only --archives-only --verify-data --repair --save-space --max-duration
        -P --prefix -a --glob-archives --sort-by --first --last""",
    "compact": "-n --dry-run --cleanup-commits --threshold",
    "config": "-c --cache -d --delete -l --list",
    "delete": """-n --dry-run --list -s --stats --quick-stats --cache-only --force --keep-security-info --save-space
        -c --checkpoint-interval -P --prefix -a --glob-archives --sort-by --first --last""",
    "create": """-n --dry-run -s --stats --quick-stats --list --filter --json --no-cache-sync --stdin-name --stdin-user
        --stdin-group --stdin-mode --content-from-command --paths-from-stdin --paths-from-command --paths-delimiter
        -e --exclude --exclude-from --pattern --patterns-from --exclude-caches --exclude-if-present
        --keep-exclude-tags --exclude-nodump --exclude-dataless -x --one-file-system --numeric-owner --numeric-ids
        --noatime --atime --noctime --nobirthtime --nobsdflags --noflags --noacls --noxattrs --sparse --files-cache
        --files-changed --read-special --comment --timestamp -c --checkpoint-interval --chunker-params
        -C --compression""",
    "diff": """--numeric-owner --numeric-ids --same-chunker-params --sort --sort-by --content-only --json-lines
        -e --exclude --exclude-from --pattern --patterns-from""",
    "extract": """--list -n --dry-run --numeric-owner --numeric-ids --nobsdflags --noflags --noacls --noxattrs --stdout
        --sparse -e --exclude --exclude-from --pattern --patterns-from --strip-components""",
    "export-tar": """--tar-filter --list -e --exclude --exclude-from --pattern --patterns-from --strip-components
        --tar-format""",
    "help": "--epilog-only --usage-only",
    "import-tar": """--tar-filter -s --stats --quick-stats --list --filter --json --ignore-zeros --comment --timestamp
        -c --checkpoint-interval --chunker-params -C --compression""",
    "info": "--json -P --prefix -a --glob-archives --sort-by --first --last",
    "init": "-e --encryption --append-only --storage-quota --make-parent-dirs --import-related-secrets",
    "key change-passphrase": "",
    "key export": "--paper --qr-html",
    "key export-related-secrets": "",
    "key import": "--paper",
    "list": """--consider-checkpoints --short --format --json --json-lines -P --prefix -a --glob-archives --sort-by
        --first --last -e --exclude --exclude-from --pattern --patterns-from""",
    "recreate": """--list --filter -n --dry-run -s --stats -e --exclude --exclude-from --pattern --patterns-from
        --exclude-caches --exclude-if-present --keep-exclude-tags --target -c --checkpoint-interval --comment
        --timestamp -C --compression --recompress --chunker-params""",
    "prune": """-n --dry-run --force -s --stats --quick-stats --list --keep-within --keep-last --keep-secondly
        --keep-minutely -H --keep-hourly -d --keep-daily -w --keep-weekly -m --keep-monthly --keep-13weekly
        --keep-3monthly -y --keep-yearly --save-space -c --checkpoint-interval -P --prefix -a --glob-archives""",
    "pull": "",
    "push": "",
    "rename": "",
    # Borg takes the beginning of an option for the whole, so that --restrict-to-repo is in its documentation.
    "serve": "--restrict-to-path --restrict-to-repository --restrict-to-repo --append-only --storage-quota",
    "source": "",
    "status": "",
    "version": "",
    "with-lock": "",
}

_NOT_OF_PULL = """--stdin-name --stdin-user --stdin-group --stdin-mode --content-from-command --paths-from-stdin
    --paths-from-command --paths-delimiter --sparse"""
# What Borg has not.
OWN_OPTIONS = {
    "source": "--read --repository-id",
    "pull": " ".join({*BORG_OPTIONS["create"].split()} - {*_NOT_OF_PULL.split()})
    + " --share-dedup --download-ratelimit --no-ship --client-encrypts --passphrase-from-server --init"
    + " --all --due --host --jobs --check --setup --apply --config",
    "status": "--config --json --prometheus --refresh",
    "create": "--root",
    "extract": "--root",
    "prune": "--by-arrival",
    "push": " ".join({*BORG_OPTIONS["extract"].split()} - {"--numeric-owner", "--nobsdflags", "--stdout"})
    + " --filter --no-ship",
}


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a_command_has_exactly_the_options_of_borg(command: str) -> None:
    options = {flag for option in load(command).COMMAND.all_options() for flag in option.flags}
    assert options == set(BORG_OPTIONS[command].split()) | set(OWN_OPTIONS.get(command, "").split())


def test_the_common_options_are_those_of_borg_and_the_number_of_threads() -> None:
    options = {flag for option in COMMON for flag in option.flags}
    assert options == {*BORG_OPTIONS[""].split(), "--threads"}


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_no_option_of_a_command_has_the_name_of_a_common_one(command: str) -> None:
    common = {flag for option in COMMON for flag in option.flags}
    assert not common & {flag for option in load(command).COMMAND.all_options() for flag in option.flags}


@given(st.lists(st.sampled_from(["--stats", "-x", "--comment=c", "-C", "lz4", "p", "--", "-", "-e", "*.o", "r::a"])))
def test_a_command_line_is_understood_or_refused(words: list[str]) -> None:
    try:
        values = values_of(CREATE, *words)
    except BadArguments:
        return
    assert values["location"] is not None
