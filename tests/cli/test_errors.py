"""Every error says what, where, and what to do, in one line."""

import re
from collections.abc import Iterator

import pytest

from bork import errors
from bork.cli.execute import with_advice
from bork.cli.item_warnings import ITEM_WARNINGS
from bork.errors import BorkError, IntegrityError


def tree(root: type[BorkError]) -> Iterator[type[BorkError]]:
    yield root
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from tree(child)


ALL = list(tree(BorkError))
FAMILIES = {"BorkError", "UsageError", "SystemFault", "StorageError", "RepositoryError"}  # never raised themselves
RAISED = [error for error in ALL if error.__name__ not in FAMILIES]


def drawn(kind: type[BorkError], before: str = "", after: str = "") -> Iterator[str]:
    """The tree as the docstring of the module draws it."""
    yield f"{before}{kind.__name__}"
    children = [child for child in kind.__subclasses__() if child.__module__ == errors.__name__]
    for child in children:
        is_last = child is children[-1]
        yield from drawn(child, after + ("└── " if is_last else "├── "), after + ("    " if is_last else "│   "))


def test_the_tree_in_the_docstring_is_the_real_one() -> None:
    block = (errors.__doc__ or "").partition("::\n\n")[2].partition("\n\n")[0]
    shown = [re.match(r"    ([│├└─ ]*\w+)", line) for line in block.split("\n")]
    assert [match and match[1] for match in shown] == list(drawn(BorkError))


@pytest.mark.parametrize("error", RAISED, ids=lambda error: error.__name__)
def test_an_error_is_one_line_with_its_values_in_it(error: type[BorkError]) -> None:
    text = str(error(*(f"<{field}>" for field in error.fields)))
    assert "\n" not in text
    assert all(f"<{field}>" in text for field in error.fields if f"{{{field}}}" in error.message)
    assert "{" not in text


@pytest.mark.parametrize("error", RAISED, ids=lambda error: error.__name__)
def test_an_error_gives_advice_or_says_it_all(error: type[BorkError]) -> None:
    if error.__name__ not in ("CommandError", "CancelledByUser"):
        assert error.advice.endswith((".", '"', "yes"))
    assert "\n" not in with_advice(error())


@pytest.mark.parametrize("error", RAISED, ids=lambda error: error.__name__)
def test_an_error_has_a_code_and_a_name(error: type[BorkError]) -> None:
    assert 2 <= error.exit_code < 100
    assert error.msgid


def test_a_value_that_is_missing_does_not_hide_the_error() -> None:
    assert str(errors.RepositoryDoesNotExist()) == "Repository ? does not exist."


def test_too_many_values_are_a_mistake_of_the_caller() -> None:
    with pytest.raises(TypeError):
        errors.CancelledByUser("x")


def test_a_value_with_a_line_end_cannot_forge_a_line() -> None:
    assert "\n" not in str(errors.ArchiveDoesNotExist("x\nERROR: all is lost\x1b[2J"))


def test_bytes_are_shown_as_text() -> None:
    assert str(errors.SourceFault(b"/a/\xc3\xa4", "gone")) == "/a/ä: gone"


def test_a_single_value_where_several_belong_is_the_whole_sentence() -> None:
    """Engines tell their errors so."""
    assert str(errors.StorageFault("the disk is gone")) == "the disk is gone"


def test_an_integrity_error_says_what_it_is_in_any_case() -> None:
    assert str(IntegrityError("no pack")) == "Data integrity error: no pack"
    assert (
        str(IntegrityError("pack 1", "repo", "a", "b")) == "Data integrity error: pack 1 in repo: expected a, found b"
    )


def test_a_fault_of_the_repository_can_never_be_a_warning() -> None:
    """Warnings are no exceptions, so that no ``except`` can turn one into the other."""
    assert not any(isinstance(warning, BaseException) for warning in ITEM_WARNINGS.values())
