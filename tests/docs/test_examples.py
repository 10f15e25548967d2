"""Every console block of the pages for users is run, and says what the page says.

A page is one session of a shell in an empty directory. A command that fails has to be followed by ``$ echo $?``, so
that no example fails by accident. Set-up that readers need not see stands in ``<!-- setup ... -->``.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, USAGE, Command, commands, matches

PAGES = [ROOT / "README.md", *sorted(USAGE.glob("*.md"))]
PASSPHRASE = "correct horse battery staple"


def script(page_commands: list[Command], results: Path) -> str:
    """A shell script that runs the commands in one shell, each with files for what it says and how it ends."""
    parts = []
    for number, command in enumerate(page_commands):
        parts.append(f"{{\n{command.text}\n}} >{results}/{number}.out 2>&1\n")
        parts.append(f"code=$?; echo $code >{results}/{number}.code; (exit $code)\n")
    return "".join(parts)


def environment(directory: Path, home: Path) -> dict[str, str]:
    """A program ``bork``, a passphrase, and a terminal width that pages can rely on."""
    programs = directory / "bin"
    programs.mkdir()
    program = programs / "bork"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m bork "$@"\n')
    program.chmod(0o755)
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "HOME": str(home), "COLUMNS": "80", "BORK_PASSPHRASE": PASSPHRASE}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_example_does_what_the_page_shows(page: Path, tmp_path: Path, home: Path) -> None:
    page_commands = commands(page)
    results, work = tmp_path / "results", tmp_path / "work"
    results.mkdir()
    work.mkdir()
    shell = ["bash", "-c", script(page_commands, results)]
    subprocess.run(shell, cwd=work, env=environment(tmp_path, home), stdin=subprocess.DEVNULL, check=False)
    for number, command in enumerate(page_commands):
        place = f"{page.name}:{command.line}: {command.text}"
        said = (results / f"{number}.out").read_text(errors="surrogateescape")
        code = int((results / f"{number}.code").read_text())
        following = page_commands[number + 1].text if number + 1 < len(page_commands) else ""
        assert code == 0 or following == "echo $?", f"{place}\nended with {code}:\n{said}"
        if command.output is not None:
            assert matches(command.output, said), f"{place}\nsaid:\n{said}\nand not:\n{command.output}"


def test_every_usage_page_has_an_example() -> None:
    assert [page.name for page in PAGES if not commands(page)] == []


@pytest.mark.parametrize(
    ("expected", "actual", "is_same"),
    [
        ("", "", True),
        ("", "something\n", False),
        ("a ... c\n", "a b c\n", True),
        ("a ... c\n", "a\nc\n", False),
        ("first\n...\nlast\n", "first\nb\nc\nlast\n", True),
        ("first\n...\nlast\n", "first\nlast\n", True),
        ("first\n", "first\nsecond\n", False),
        ("a*c\n", "abc\n", False),
        ("no blank\n", "no blank  \n", True),
    ],
)
def test_dots_stand_for_any_text_and_nothing_else_does(expected: str, actual: str, is_same: bool) -> None:
    assert matches(expected, actual) is is_same


def test_a_console_block_is_taken_apart(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- setup\nmkdir a\n-->\n```console\n$ cat <<END\n> x\n> END\nx\n$ true\n```\n")
    assert commands(page) == [
        Command(2, "mkdir a\n", None),
        Command(5, "cat <<END\nx\nEND", "x\n"),
        Command(9, "true", ""),
    ]
