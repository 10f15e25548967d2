"""The public constants of the crate bork-format, read from its source. Enough of Rust for that, and no more."""

import ast
import operator
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.format.places import ROOT

SOURCES = ROOT / "rust" / "bork-format" / "src"
PROTOCOL = "pull"  # the module of docs/protocol.md, which has a test of its own
Number = int | bytes

CONSTANT = re.compile(r"^\s*pub const (?P<name>[A-Z][A-Z0-9_]*): (?P<type>[^=]+?) = (?P<value>.+);$", re.MULTILINE)
ENUM = re.compile(r"^pub enum (?P<name>\w+) \{(?P<body>.*?)^\}", re.MULTILINE | re.DOTALL)
VARIANT = re.compile(r"^\s*(?P<name>\w+) = (?P<value>\w+),", re.MULTILINE)
MODULE = re.compile(r"^pub mod (?P<name>\w+) \{(?P<body>.*?)^\}", re.MULTILINE | re.DOTALL)
OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.LShift: operator.lshift,
}


def constants() -> dict[str, Number]:
    """Every public constant and every number of an enum, as ``module::NAME`` or ``module::Enum::Variant``."""
    found: dict[str, Number] = {}
    modules = {path.stem: path for path in SOURCES.glob("*.rs")}
    modules |= {path.parent.name: path for path in SOURCES.glob("*/mod.rs") if path.parent.name != PROTOCOL}
    for name in sorted(modules, key=lambda name: (name != "lib", name != "pack", name)):
        prefix = "" if name == "lib" else f"{name}::"
        text = modules[name].read_text().partition("#[cfg(test)]")[0]
        for module in MODULE.finditer(text):
            collect(found, f"{prefix}{module['name']}::", module["body"])
        collect(found, prefix, MODULE.sub("", text))
    return found


def collect(found: dict[str, Number], prefix: str, text: str) -> None:
    """Add the constants and enums of one module."""
    for match in CONSTANT.finditer(text):
        found[prefix + match["name"]] = evaluate(match["value"], visible(found, prefix))
    for enum in ENUM.finditer(text):
        for variant in VARIANT.finditer(enum["body"]):
            found[f"{prefix}{enum['name']}::{variant['name']}"] = int(variant["value"], 0)


def visible(found: Mapping[str, Number], prefix: str) -> dict[str, Number]:
    """By their last names, what a module may refer to: its own constants win over those of others."""
    names = {name.rpartition("::")[2]: value for name, value in found.items()}
    own = {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}
    return names | own


def evaluate(text: str, names: Mapping[str, Number]) -> Number:
    """The value of an expression: numbers, names, ``+ - * <<``, ``u32::MAX``, byte strings, zeros."""
    text = text.strip()
    if text.startswith('*b"'):
        literal: bytes = ast.literal_eval(text[1:])
        return literal
    if zeros := re.fullmatch(r"\[0; (\w+)\]", text):
        return bytes(calculated(ast.parse(zeros[1], mode="eval").body, names))
    text = re.sub(r" as \w+", "", text)
    text = re.sub(r"u(\d+)::MAX", lambda match: str((1 << int(match[1])) - 1), text)
    return calculated(ast.parse(text, mode="eval").body, names)


def calculated(node: ast.AST, names: Mapping[str, Number]) -> int:
    """An integer expression."""
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.Name(id=name) if isinstance(known := names[name], int):
            return known
        case ast.BinOp(left=left, op=op, right=right):
            return OPERATORS[type(op)](calculated(left, names), calculated(right, names))
        case _:
            raise ValueError(f"an expression that this test does not understand: {ast.dump(node)}")


def text_constants(path: Path) -> dict[str, str]:
    """``pub const NAME: &str = "..."`` of another file."""
    found = re.findall(r'pub const (\w+): &str = "([^"]+)";', path.read_text())
    return dict(found)
