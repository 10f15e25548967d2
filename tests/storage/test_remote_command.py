"""The words that make a connection: as Borg has them, and nothing in them can be taken for something else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bork.errors import CommandError
from bork.storage.remote.command import Server, connect_command


@pytest.mark.parametrize(
    ("server", "rsh", "words"),
    [
        (Server("host"), "ssh", ["ssh", "host"]),
        (Server("host", "user"), "ssh", ["ssh", "user@host"]),
        (Server("host", "user", 2222), "ssh", ["ssh", "-p", "2222", "user@host"]),
        (Server("::1", None, 22), "ssh -i 'my key'", ["ssh", "-i", "my key", "-p", "22", "::1"]),
        (Server("fe80::1%eth0"), "ssh", ["ssh", "fe80::1%eth0"]),
        (Server("grün.example"), "ssh", ["ssh", "grün.example"]),
        (
            Server("any"),
            "sh -c 'exec socat STDIO UNIX-CONNECT:/run/bork/repo.sock'",
            ["sh", "-c", "exec socat STDIO UNIX-CONNECT:/run/bork/repo.sock", "any"],
        ),
    ],
)
def test_the_words_are_those_of_borg(server: Server, rsh: str, words: list[str]) -> None:
    assert connect_command(server, rsh, "bork", "--info") == [*words, "bork", "serve", "--info"]


BAD = [
    "-oProxyCommand=id",
    "-l",
    "",
    "a b",
    "a\tb",
    "a\nb",
    "a\0b",
    "$(id)",
    "`id`",
    "a;b",
    "a|b",
    "a&b",
    "a>b",
    "~",
    "*",
]


@pytest.mark.parametrize("name", BAD)
def test_a_host_or_user_that_could_be_something_else_is_refused(name: str) -> None:
    with pytest.raises(CommandError):
        connect_command(Server(name), "ssh", "bork")
    with pytest.raises(CommandError):
        connect_command(Server("host", name), "ssh", "bork")


@pytest.mark.parametrize("path", ["-oProxyCommand=id", "", "-h"])
def test_a_remote_path_that_is_an_option_is_refused(path: str) -> None:
    with pytest.raises(CommandError):
        connect_command(Server("host"), "ssh", path)


@pytest.mark.parametrize("rsh", ["", " ", "ssh 'unfinished"])
def test_a_command_that_is_none_is_refused(rsh: str) -> None:
    with pytest.raises(CommandError):
        connect_command(Server("host"), rsh, "bork")


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_that_is_none_is_refused(port: int) -> None:
    with pytest.raises(CommandError):
        connect_command(Server("host", None, port), "ssh", "bork")


@given(st.text(), st.none() | st.text())
def test_whatever_a_location_holds_is_one_word_that_is_no_option(host: str, user: str | None) -> None:
    try:
        words = connect_command(Server(host, user), "ssh", "bork")
    except CommandError:
        return
    assert words == ["ssh", f"{user}@{host}" if user is not None else host, "bork", "serve"]
    assert not words[1].startswith("-")
    assert words[1].isprintable()
