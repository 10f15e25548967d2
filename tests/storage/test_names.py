"""Which strings name objects."""

from hypothesis import given
from hypothesis import strategies as st

from bork.storage.names import CONFIG, checked, is_object_name


def test_the_names_of_the_layout_are_names() -> None:
    digits = "0f" * 32
    for name in ("config", f"packs/0f/{digits}", f"indexes/{digits}", f"keys/{digits}", f"archives/{digits}"):
        assert is_object_name(name)


def test_a_checked_name_is_returned() -> None:
    assert checked(CONFIG) == CONFIG


@given(st.text())
def test_no_other_text_is_a_name(text: str) -> None:
    assert not is_object_name(text) or text == "config"


@given(st.sampled_from(["packs/0f/" + "0f" * 32, "archives/" + "0f" * 32]), st.integers(0, 72), st.characters())
def test_no_character_of_a_name_can_be_replaced_by_one_that_is_no_digit(name: str, at: int, character: str) -> None:
    changed = name[:at] + character + name[at + 1 :]
    assert not is_object_name(changed) or set(changed) <= set("abcdefghijklmnopqrstuvwxyz0123456789/")
    assert ".." not in changed or not is_object_name(changed)
