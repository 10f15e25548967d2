"""Variables and directories. ``BORK_X`` wins over ``BORG_X``."""

import os

import pytest

from bork.cli.environment import Environment, for_others


def test_the_own_variable_wins_even_if_it_is_empty() -> None:
    assert Environment({"BORG_X": "a", "BORK_X": ""}).get("X") == ""
    assert Environment({"BORG_X": "a"}).get("X") == "a"
    assert Environment({}).get("X") is None


@pytest.mark.parametrize(
    ("variables", "cache", "config", "keys", "security"),
    [
        ({}, "/h/.cache/bork", "/h/.config/bork", "/h/.config/bork/keys", "/h/.config/bork/security"),
        (
            {"XDG_CACHE_HOME": "/xc", "XDG_CONFIG_HOME": "/xg"},
            "/xc/bork",
            "/xg/bork",
            "/xg/bork/keys",
            "/xg/bork/security",
        ),
        (
            {"BORG_BASE_DIR": "/b", "XDG_CACHE_HOME": "/xc"},
            "/b/.cache/bork",
            "/b/.config/bork",
            "/b/.config/bork/keys",
            "/b/.config/bork/security",
        ),
        ({"BORG_CONFIG_DIR": "/g", "BORG_CACHE_DIR": "/c"}, "/c", "/g", "/g/keys", "/g/security"),
        (
            {"BORG_KEYS_DIR": "/k", "BORK_SECURITY_DIR": "/s"},
            "/h/.cache/bork",
            "/h/.config/bork",
            "/k",
            "/s",
        ),
    ],
)
def test_directories_are_found_as_by_borg(
    variables: dict[str, str], cache: str, config: str, keys: str, security: str
) -> None:
    environment = Environment({"HOME": "/h", **variables})
    found = (environment.cache_dir(), environment.config_dir(), environment.keys_dir(), environment.security_dir())
    assert found == (cache, config, keys, security)


def test_the_home_of_root_is_not_used_by_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mount helpers and sudo leave HOME as it was."""
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert Environment({"HOME": "/root", "USER": "nobody-of-this-name"}).base_dir() == "~nobody-of-this-name"
    assert Environment({"HOME": "/elsewhere"}).base_dir() == "/elsewhere"


@pytest.mark.parametrize(("value", "indent"), [("none", None), ("None", None), ("2", 2), ("", ""), ("\t", "\t")])
def test_the_indent_of_json(value: str, indent: int | str | None) -> None:
    assert Environment({"BORG_JSON_INDENT": value}).json_indent() == indent
    assert Environment({}).json_indent() == 4


def test_exit_codes_are_modern_on_request_only() -> None:
    assert Environment({"BORG_EXIT_CODES": "modern"}).modern_exit_codes()
    assert not Environment({"BORG_EXIT_CODES": "legacy"}).modern_exit_codes()
    assert not Environment({"BORG_EXIT_CODES": "modern", "BORK_EXIT_CODES": "legacy"}).modern_exit_codes()


def test_who_and_where_we_are_can_be_given() -> None:
    environment = Environment({"BORG_HOSTNAME": "alpha.example", "BORG_USERNAME": "ann"})
    assert (environment.hostname(), environment.username()) == ("alpha.example", "ann")
    assert Environment({}).username()
    assert Environment({}).fqdn()


def test_other_programs_are_given_no_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BORK_PASSPHRASE", "BORG_PASSPHRASE", "BORK_NEW_PASSPHRASE", "BORG_NEW_PASSPHRASE"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("BORK_REPO", "kept")
    given = for_others()
    assert given["BORK_REPO"] == "kept"
    assert "secret" not in given.values()
