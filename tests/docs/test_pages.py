"""The pages for users name what the program has: every option, code, variable and placeholder, and no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bork import errors
from bork.cli import exit_codes
from bork.cli.commands import COMMANDS, NOT_AVAILABLE
from bork.cli.execute import load
from bork.cli.formats import ARCHIVE_KEYS, FIXED, ITEM_KEYS
from bork.cli.item_warnings import ITEM_WARNINGS
from bork.cli.options import COMMON, Command, Option
from bork.cli.placeholders import NAMES
from bork.errors import BorkError
from tests.docs.pages import ROOT, USAGE, first_codes, rows, section

GENERAL = USAGE / "general.md"
EXIT_CODES = USAGE / "exit-codes.md"


def page_of(command: str) -> Path:
    return USAGE / f"{command.replace(' ', '-')}.md"


def flags(options: tuple[Option, ...]) -> set[str]:
    return {flag for option in options for flag in option.flags}


def command_of(name: str) -> Command:
    command = load(name).COMMAND
    assert isinstance(command, Command)
    return command


# ---- options -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_names_every_option_of_its_command_and_no_other(name: str) -> None:
    named = [word for word in first_codes(section(page_of(name), "Options")) if word.startswith("-")]
    given = {word.partition(" ")[0] for word in named}
    assert given == flags(command_of(name).all_options())
    assert len(named) == len(given), "an option is named twice"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_names_what_an_option_takes(name: str) -> None:
    text = section(page_of(name), "Options")
    wanted = {option.flags[-1]: option.metavar for option in command_of(name).all_options() if option.metavar}
    assert [flag for flag, metavar in wanted.items() if f"`{flag} {metavar}`" not in text] == []


def test_the_common_options_are_all_on_the_general_page() -> None:
    named = {word.partition(" ")[0] for word in first_codes(section(GENERAL, "Common options"))}
    assert named == flags(COMMON) | {"-V", "--version"}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_has_the_same_sections_as_every_other(name: str) -> None:
    headings = re.findall(r"^## (.+)$", page_of(name).read_text(), flags=re.MULTILINE)
    wanted = ["Synopsis", "What it does", "Options", "Examples", "Exit codes", "Files"]
    assert [heading for heading in headings if heading in wanted] == wanted


@pytest.mark.parametrize("name", COMMANDS)
def test_a_synopsis_names_every_argument(name: str) -> None:
    synopsis = section(page_of(name), "Synopsis")
    metavars = [positional.metavar for positional in command_of(name).positionals]
    assert [metavar for metavar in metavars if metavar not in synopsis] == []


def test_the_general_page_links_every_page() -> None:
    text = GENERAL.read_text()
    assert [page.name for page in USAGE.glob("*.md") if page != GENERAL and f"({page.name})" not in text] == []


def test_commands_that_are_not_there_are_named_as_such() -> None:
    text = section(GENERAL, "Commands that are not there yet")
    assert {word.removeprefix("bork ") for word in first_codes(text)} == NOT_AVAILABLE


# ---- exit codes --------------------------------------------------------------------------------------------------


def _classes(above: type[BorkError]) -> Iterator[type[BorkError]]:
    for below in above.__subclasses__():
        yield below
        yield from _classes(below)


def test_every_error_is_on_the_page_of_exit_codes_with_its_numbers() -> None:
    families = {errors.UsageError, errors.SystemFault, errors.StorageError, errors.RepositoryError}
    wanted = {(str(each.exit_code), each.__name__, each.msgid) for each in _classes(BorkError) if each not in families}
    shown = [[cell.strip("`") for cell in row] for row in rows(section(EXIT_CODES, "Errors"))]
    assert {(row[0], row[1], row[2]) for row in shown} == wanted
    assert [int(row[0]) for row in shown] == sorted(int(row[0]) for row in shown)
    assert all(len(row) == 4 and row[3] for row in shown), "each says what it means"


def test_every_warning_is_on_the_page_of_exit_codes_with_its_numbers() -> None:
    wanted = {(str(each.exit_code), each.msgid) for each in ITEM_WARNINGS.values()}
    shown = [[cell.strip("`") for cell in row] for row in rows(section(EXIT_CODES, "Warnings"))]
    assert {(row[0], row[1]) for row in shown} == wanted
    assert all(exit_codes.classify(int(row[0])) == "warning" for row in shown)


# ---- everything else that users type -----------------------------------------------------------------------------


def _variables() -> set[str]:
    """What ``cli`` asks the environment for: ``environment.get("PASSPHRASE")``, and the questions by their names."""
    found: set[str] = set()
    for path in (ROOT / "src" / "bork").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                first = node.args[0]
                is_name = isinstance(first, ast.Constant) and isinstance(first.value, str) and first.value.isupper()
                if node.func.attr == "get" and is_name and "cli" in path.parts:
                    found.add(ast.literal_eval(first))
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.update(re.findall(r"\bBOR[GK]_([A-Z_]+[A-Z])\b", node.value) if node.value.isupper() else [])
    return found - {"KEY"}  # the first word of a key file is no variable


def test_every_variable_that_is_read_is_on_the_general_page() -> None:
    named = {word.partition("=")[0] for word in first_codes(section(GENERAL, "Environment"))}
    own = {word.removeprefix("BORK_") for word in named if word.startswith("BORK_")}
    assert own == {name for name in _variables() if name not in ("HOME", "USER")}


def test_every_placeholder_is_on_the_general_page() -> None:
    named = {re.split(r"[}:]", word[1:])[0] for word in first_codes(section(GENERAL, "Placeholders"))}
    assert named == set(NAMES)


def test_every_format_key_is_on_the_page_of_list() -> None:
    page = page_of("list")
    for title, keys in (("Keys everywhere", FIXED), ("Keys of archives", ARCHIVE_KEYS), ("Keys of items", ITEM_KEYS)):
        assert set(first_codes(section(page, title))) == set(keys), title
