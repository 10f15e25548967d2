"""The layering that no linter sees: the native border, who may talk to the user, late imports, Rust's crate graph.

The layers themselves are contracts in pyproject.toml (``make lint`` runs import-linter). These tests read source code
as syntax trees and Cargo's own metadata; they import nothing from bork.
"""

import ast
import json
import subprocess
import tokenize
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "bork"
SOURCES = sorted(PACKAGE.rglob("*.py"))

# What talks to the user, reads the environment or ends the process, as dotted names, with everything below them.
SPEECH = ("print", "input", "sys.stdin", "sys.stdout", "sys.stderr", "sys.__stdout__", "sys.__stderr__", "getpass")
ENVIRONMENT = ("os.environ", "os.environb", "os.getenv", "os.getenvb", "os.putenv", "os.unsetenv", "sys.argv")
EXIT = ("sys.exit", "os._exit", "os.abort", "exit", "quit", "SystemExit")
CLI_ONLY = SPEECH + ENVIRONMENT + EXIT


@cache
def tree(path: Path) -> ast.Module:
    """The syntax tree of a source file."""
    return ast.parse(path.read_bytes(), filename=str(path))


def layer(path: Path) -> str:
    """The part of the house that a file belongs to: ``cli``, ``core``, ``errors``, ..."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def place(path: Path, node: ast.AST) -> str:
    """``src/bork/x.py:12``, for the message of a failure."""
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"


def dotted(node: ast.AST) -> str | None:
    """``a.b.c`` of a chain of names, or None."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else None
    return None


def imported_names(module: ast.Module) -> dict[str, str]:
    """Local name -> what it stands for: ``from os import environ as e`` gives ``{"e": "os.environ"}``."""
    names = {}
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            names.update({alias.asname: alias.name for alias in node.names if alias.asname})
        elif isinstance(node, ast.ImportFrom):
            names.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    return names


def references(path: Path) -> Iterator[tuple[ast.AST, str]]:
    """Every global thing that a file uses or imports, by its full dotted name."""
    local = imported_names(tree(path))
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node, f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Name | ast.Attribute) and (name := dotted(node)):
            first, dot, rest = name.partition(".")
            yield node, local.get(first, first) + dot + rest


def falls_under(name: str, banned: tuple[str, ...]) -> bool:
    """True if ``name`` is one of ``banned`` or something inside it."""
    return any(name == one or name.startswith(f"{one}.") for one in banned)


# ---- Python ------------------------------------------------------------------------------------------------------


def test_only_core_names_the_native_module() -> None:
    offenders = [
        f"{place(path, node)}: {name}"
        for path in SOURCES
        if layer(path) != "core"
        for node, name in references(path)
        if "_native" in name.split(".")
    ]
    assert not offenders, "\n".join(offenders)


def test_no_string_outside_core_names_the_native_module() -> None:
    """Late imports by name would escape the import contracts, which cannot see into a compiled module."""
    offenders = [
        place(path, node)
        for path in SOURCES
        if layer(path) != "core"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.endswith("core._native")
    ]
    assert not offenders, "\n".join(offenders)


def test_importing_by_name_happens_only_in_core() -> None:
    """What a program imports should be seen in it, by people and by the import contracts."""
    offenders = [
        f"{place(path, node)}: {name}"
        for path in SOURCES
        if layer(path) != "core"
        for node, name in references(path)
        if falls_under(name, ("importlib", "__import__", "runpy", "pkgutil"))
    ]
    assert not offenders, "\n".join(offenders)


def test_only_cli_prints_reads_the_environment_or_exits() -> None:
    offenders = [
        f"{place(path, node)}: {name}"
        for path in SOURCES
        if layer(path) not in ("cli", "__main__")
        for node, name in references(path)
        if falls_under(name, CLI_ONLY)
    ]
    assert not offenders, "\n".join(offenders)


def comment_lines(path: Path) -> set[int]:
    """The numbers of the lines that hold a comment for a reader (not one for a checker)."""
    with path.open("rb") as file:
        comments = [token for token in tokenize.tokenize(file.readline) if token.type == tokenize.COMMENT]
    return {token.start[0] for token in comments if not token.string.startswith(("# type:", "# noqa"))}


def test_an_import_inside_a_function_gives_its_reason() -> None:
    """The reason is a comment between the head of the function and the import; one covers all imports below it."""
    offenders = set()
    for path in SOURCES:
        explained = comment_lines(path)
        for function in ast.walk(tree(path)):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for node in ast.walk(function):
                lines = range(function.lineno, getattr(node, "lineno", 0) + 1)
                if isinstance(node, ast.Import | ast.ImportFrom) and not explained.intersection(lines):
                    offenders.add(place(path, node))
    hint = "give the reason in a comment, for example `# late: only --json needs it`\n"
    assert not offenders, hint + "\n".join(sorted(offenders))


def test_no_star_imports_and_no_relative_imports() -> None:
    offenders = [
        place(path, node)
        for path in SOURCES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom) and (node.level > 0 or any(alias.name == "*" for alias in node.names))
    ]
    assert not offenders, "\n".join(offenders)


def test_operations_do_not_know_argparse() -> None:
    offenders = [
        place(path, node)
        for path in SOURCES
        if layer(path) != "cli"
        for node, name in references(path)
        if falls_under(name, ("argparse",))
    ]
    assert not offenders, "\n".join(offenders)


def test_the_blind_server_contract_names_every_part_that_holds_the_data_of_others() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    (contract,) = [one for one in contracts if one["name"].startswith("The server is blind")]
    blind = {f"bork.{name}" for name in ("server", "repository", "storage", "protocol") if (PACKAGE / name).exists()}
    assert set(contract["source_modules"]) == blind
    assert set(contract["forbidden_modules"]) == {"bork.crypto", "bork.archive"}


# ---- Rust --------------------------------------------------------------------------------------------------------

# Which of our crates each of our crates may use.
CRATES: dict[str, set[str]] = {
    "bork-format": set(),
    "bork-core": {"bork-format"},
    "bork-engine": {"bork-format", "bork-core"},
    "bork-agent": {"bork-format", "bork-core", "bork-engine"},
    "bork-fuzz": {"bork-format", "bork-core", "bork-engine"},
    "bork-python": {"bork-format", "bork-core", "bork-engine"},
}
ENCRYPTION = {"ring", "argon2", "aes", "aes-gcm", "chacha20poly1305", "aws-lc-rs", "openssl"}
PYTHON_BORDER = {"pyo3", "pyo3-ffi"}


@pytest.fixture(scope="module")
def metadata() -> dict[str, Any]:
    """Cargo's own view of the workspace."""
    command = ["cargo", "metadata", "--format-version", "1", "--offline", "--all-features"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr.decode()
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def crate_names(metadata: dict[str, Any]) -> dict[str, str]:
    """Package id -> name."""
    return {package["id"]: package["name"] for package in metadata["packages"]}


def uses(metadata: dict[str, Any]) -> dict[str, set[str]]:
    """Package id -> ids of the packages it is built from. What only tests need does not count."""
    return {
        node["id"]: {
            dependency["pkg"]
            for dependency in node["deps"]
            if any(kind["kind"] != "dev" for kind in dependency["dep_kinds"])
        }
        for node in metadata["resolve"]["nodes"]
    }


def closure(metadata: dict[str, Any], crate: str) -> set[str]:
    """The names of everything that a crate is built from, directly or not."""
    names, graph = crate_names(metadata), uses(metadata)
    todo = [one for one in graph if names[one] == crate and one in metadata["workspace_members"]]
    reached: set[str] = set()
    while todo:
        for dependency in graph[todo.pop()] - reached:
            reached.add(dependency)
            todo.append(dependency)
    return {names[one] for one in reached}


@pytest.mark.needs("cargo")
def test_our_crates_depend_only_downwards(metadata: dict[str, Any]) -> None:
    names, graph = crate_names(metadata), uses(metadata)
    for member in metadata["workspace_members"]:
        crate = names[member]
        assert crate in CRATES, f"{crate} is not in the plan of the house: add it to CRATES and to docs/architecture.md"
        ours = {names[one] for one in graph[member]} & set(CRATES)
        assert ours <= CRATES[crate], f"{crate} may not use {ours - CRATES[crate]}"


@pytest.mark.needs("cargo")
def test_only_bork_python_knows_python(metadata: dict[str, Any]) -> None:
    names = crate_names(metadata)
    for crate in {names[one] for one in metadata["workspace_members"]} - {"bork-python"}:
        assert not closure(metadata, crate) & PYTHON_BORDER, crate


@pytest.mark.needs("cargo")
@pytest.mark.parametrize("crate", ["bork-format", "bork-core"])
def test_format_and_core_cannot_encrypt(metadata: dict[str, Any], crate: str) -> None:
    assert not closure(metadata, crate) & ENCRYPTION


def test_every_rust_dependency_has_a_version_and_a_source_of_its_own() -> None:
    with (ROOT / "Cargo.toml").open("rb") as file:
        dependencies = tomllib.load(file)["workspace"]["dependencies"]
    for name, entry in dependencies.items():
        version = entry if isinstance(entry, str) else entry.get("version", "")
        is_ours = isinstance(entry, dict) and entry.get("path", "").startswith("rust/")
        assert is_ours or (version and "*" not in version), name
    for manifest in sorted((ROOT / "rust").glob("*/Cargo.toml")):
        with manifest.open("rb") as file:
            package = tomllib.load(file)
        for table in ("dependencies", "dev-dependencies", "build-dependencies"):
            for name, entry in package.get(table, {}).items():
                is_shared = isinstance(entry, dict) and entry.get("workspace") is True
                assert is_shared, f"{manifest.parent.name}: {name} gets its version from the workspace"


def test_python_and_rust_have_the_same_version() -> None:
    with (ROOT / "Cargo.toml").open("rb") as file:
        rust = tomllib.load(file)["workspace"]["package"]["version"]
    assignments = {
        target.id: ast.literal_eval(node.value)
        for node in tree(PACKAGE / "__init__.py").body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id == "__version__"
    }
    assert assignments["__version__"] == rust


def test_the_installed_program_has_its_function() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        module, function = tomllib.load(file)["project"]["scripts"]["bork"].split(":")
    body = tree(ROOT / "src" / Path(*module.split(".")).with_suffix(".py")).body
    assert function in [node.name for node in body if isinstance(node, ast.FunctionDef)]
