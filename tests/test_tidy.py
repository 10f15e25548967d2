"""The parts of the style guide that a machine can check. CONTRIBUTING.md gives the reasons.

Everything that would be committed is looked at: what git tracks, and new files that it does not ignore.
"""

import ast
import re
import subprocess
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

LINES_MAX = {"src": 400, "demo": 400, "benchmarks": 700, "rust": 700, "tests": 900}  # by top directory, code files only
LINES_MAX_EXEMPT = {"src/bork/errors.py": 700}  # the one list of all that can go wrong; it is read as a table
FUNCTION_LINES_MAX = 70  # from `def` to the last line; Rust functions are measured by clippy (clippy.toml)
FILE_BYTES_MAX = 256 * 1024  # outside vectors/
CODE = {".py", ".pyi", ".rs"}
LOCK_FILES = {"Cargo.lock", *(f"requirements-{each}.txt" for each in ("build", "dev", "standalone"))}  # by tools

# Assembled, so that this file does not break its own rules.
DRAWER_NAMES = {"util", "utils", "helper", "helpers", "common", "misc", "tools", "stuff"}
UNFINISHED = re.compile("|".join([r"\bFIX" + r"ME\b", r"\bXX" + r"X\b", r"\bTO" + r"DO\b", r"\bHA" + r"CK\b"]))
UNFINISHED_MACRO = re.compile(r"\b(?:to" + r"do|unimplem" + r"ented|d" + r"bg)!")
REGISTRY_HOSTS = re.compile(
    "|".join(
        re.escape(".".join(parts))
        for parts in (
            ("pypi", "org"),
            ("pythonhosted", "org"),
            ("crates", "io"),
            ("npmjs", "org"),
            ("npmjs", "com"),
            ("proxy", "golang", "org"),
            ("deb", "debian", "org"),
            ("maven", "org"),
        )
    )
)
# `/home/user` and the like are what documentation shows; these are paths of one machine.
EXAMPLE_USERS = ("user", "alice", "ann", "bob", "jane", "joe", "someone")
MACHINE_PATHS = re.compile(
    r"(?<![\w.~*/-])/" + "(?:"
    r"(?:wo" + r"rk|root/\.|opt/wheels|mnt/data)(?:/|\b)"
    r"|(?:home|Users)/(?!(?:" + "|".join(EXAMPLE_USERS) + r")\b)[a-z][\w-]{2,}"
    r")"
)


@cache
def committed_files() -> tuple[Path, ...]:
    """Every file that git tracks or would add. Outside a clone (a source distribution): every file there is."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    except (FileNotFoundError, subprocess.CalledProcessError):
        hidden = {".venv", "target", "build", "dist", "__pycache__"}
        paths = [path for path in ROOT.rglob("*") if not hidden & set(path.relative_to(ROOT).parts)]
    else:
        paths = [ROOT / name for name in names if name]
    return tuple(sorted(path for path in paths if path.is_file() and not path.is_symlink()))


def relative(path: Path) -> str:
    """The name of a file in messages."""
    return str(path.relative_to(ROOT))


def top(path: Path) -> str:
    """``src``, ``rust``, ``tests``, ...; the file's own name at the top."""
    return path.relative_to(ROOT).parts[0]


def code_files(*suffixes: str) -> Iterator[Path]:
    """The committed files with these suffixes (default: all code)."""
    return (path for path in committed_files() if path.suffix in (suffixes or CODE) and top(path) != "vectors")


def text_lines() -> Iterator[tuple[Path, int, str]]:
    """Every line of every committed text that a person wrote."""
    for path in committed_files():
        if top(path) == "vectors" or path.name in LOCK_FILES:
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), start=1):
            yield path, number, line


def places(pattern: re.Pattern[str]) -> list[str]:
    """Where a pattern occurs, as ``file:line: text``."""
    return [
        f"{relative(path)}:{number}: {line.strip()[:100]}"
        for path, number, line in text_lines()
        if pattern.search(line)
    ]


# ---- size --------------------------------------------------------------------------------------------------------


def test_no_source_file_is_too_long() -> None:
    too_long = {}
    for path in code_files():
        lines = len(path.read_bytes().splitlines())
        allowed = LINES_MAX_EXEMPT.get(relative(path)) or LINES_MAX.get(top(path), max(LINES_MAX.values()))
        if lines > allowed:
            too_long[relative(path)] = lines
    assert too_long == {}, "split by verb or by noun, before it grows"


def test_no_function_is_too_long() -> None:
    """Tables of options are module data, not functions, so nothing is exempt."""
    too_long = {}
    for path in code_files(".py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    too_long[f"{relative(path)}:{node.lineno} {node.name}"] = lines
    assert too_long == {}


def test_no_large_file_outside_vectors() -> None:
    large = {
        relative(path): path.stat().st_size
        for path in committed_files()
        if top(path) != "vectors" and path.stat().st_size > FILE_BYTES_MAX
    }
    assert large == {}


# ---- words -------------------------------------------------------------------------------------------------------


def test_every_python_module_says_why_it_exists() -> None:
    mute = [
        relative(path)
        for path in code_files(".py", ".pyi")
        if path.stat().st_size and not ast.get_docstring(ast.parse(path.read_bytes()))
    ]
    assert not mute, "\n".join(mute)


def test_every_rust_file_says_why_it_exists() -> None:
    """The first lines are `//!`, before any code."""
    mute = [
        relative(path)
        for path in code_files(".rs")
        if not path.read_text().removeprefix("#![no_main]").lstrip().startswith("//!")
    ]
    assert not mute, "\n".join(mute)


def test_no_module_is_a_junk_drawer() -> None:
    drawers = [
        relative(path)
        for path in code_files()
        if DRAWER_NAMES & {part.removesuffix(path.suffix) for part in path.relative_to(ROOT).parts}
    ]
    assert not drawers, "\n".join(drawers)


def test_nothing_is_marked_as_unfinished() -> None:
    """What is missing is written down in SHORTCOMINGS.md, with its effect and its remedy."""
    found = places(UNFINISHED) + [place for place in places(UNFINISHED_MACRO) if ".rs:" in place]
    assert not found, "\n".join(found)


def comments(path: Path) -> Iterator[tuple[int, str]]:
    """Every comment of a Python file with its line number."""
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string


def test_every_exemption_from_a_check_gives_its_reason() -> None:
    """``type: ignore[code]`` and ``noqa: CODE`` name what they exempt from, and a comment behind them says why."""
    exemption = re.compile(
        r"#\s*(?:type: ignore\[[\w, -]+\]|(?:ruff: )?noqa: ?[A-Z]+\d+(?:, ?[A-Z]+\d+)*)(?P<reason>.*)"
    )
    blanket = re.compile(r"#\s*(?:type: ignore(?!\[)|(?:ruff: )?noqa(?!:)|mypy: ignore-errors)")
    unexplained = []
    for path in code_files(".py", ".pyi"):
        for number, comment in comments(path):
            match = exemption.search(comment)
            if blanket.search(comment) or (match and len(match["reason"].strip(" #-:")) < 8):
                unexplained.append(f"{relative(path)}:{number}: {comment}")
    assert not unexplained, "\n".join(unexplained)


def test_every_stub_exemption_gives_its_reason() -> None:
    lines = (ROOT / "tests" / "stubtest-allowlist.txt").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#") and " #" not in line] == []


def test_no_text_names_a_registry() -> None:
    """Where packages come from is the business of the machine that builds."""
    found = places(REGISTRY_HOSTS)
    assert not found, "\n".join(found)


def test_no_text_names_a_path_of_one_machine() -> None:
    found = places(MACHINE_PATHS)
    assert not found, "\n".join(found)


def test_text_files_end_with_one_newline_and_have_no_trailing_blanks() -> None:
    untidy = [
        f"{relative(path)}:{number}"
        for path, number, line in text_lines()
        if line != line.rstrip() and path.suffix in {*CODE, ".toml", ".rst"}
    ]
    for path in code_files():
        data = path.read_bytes()
        if data and (not data.endswith(b"\n") or data.endswith(b"\n\n")):
            untidy.append(relative(path))
    assert not untidy, "\n".join(untidy)


# ---- one name everywhere -----------------------------------------------------------------------------------------


def commands() -> list[str]:
    """The verbs of the command line, read from the tree: ``cli/commands/<verb>.py``."""
    directory = ROOT / "src" / "bork" / "cli" / "commands"
    return sorted(path.stem for path in directory.glob("[!_]*.py"))


@pytest.mark.parametrize("verb", commands())
def test_every_command_has_its_page(verb: str) -> None:
    assert (ROOT / "docs" / "usage" / f"{verb.replace('_', '-')}.md").is_file()


def test_every_link_between_pages_leads_somewhere() -> None:
    broken = []
    for path in committed_files():
        if path.suffix != ".md":
            continue
        targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text())
        broken += [
            f"{relative(path)}: {target}"
            for target in targets
            if "://" not in target and not target.startswith("mailto:") and not (path.parent / target).exists()
        ]
    assert not broken, "\n".join(broken)


def test_decisions_are_short_and_say_what_was_rejected() -> None:
    """One screen: the decision, because, rejected, consequences. See docs/decisions/README.md."""
    wrong = []
    for path in sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md")):
        text = path.read_text()
        headings = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
        if headings != ["Decision", "Because", "Rejected", "Consequences"] or len(text.splitlines()) > 60:
            wrong.append(relative(path))
    assert not wrong, "\n".join(wrong)
