"""What a server that pulls may tell a client, and that nothing else is understood."""

from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bork.errors import CommandError, RPCServerOutdated
from bork.operations.create import Compression, CreateOptions, Root
from bork.operations.selection import ArchiveName, Pattern
from bork.protocol import codec
from bork.protocol.codec import Malformed, Value
from bork.pull.blind.fence import fenced
from bork.pull.blind.order import FLAGS, Order, Talk, decode, encode, options_of

OPTIONS = CreateOptions(
    archive=ArchiveName("of-today"),
    roots=(Root(b"/etc", b"etc"), Root(b"/home/\xff", b"home/\xff")),
    hostname="server",
    username="root",
    cwd="/",
    command_line=("bork", "pull", "\udcff"),
    comment="a comment",
    timestamp_ns=1,
    patterns=(Pattern("!", "fm", b"*.o"), Pattern("+", "re", b"\xff$")),
    exclude_if_present=(b".nobackup",),
    one_file_system=True,
    compression=Compression("zstd", 3, True, 110),
    chunker=("fixed", 4096, 0),
)
ORDER = Order(
    place="server:/srv/repo",
    path=b"/srv/repo",
    archive=OPTIONS.archive,
    options=options_of(OPTIONS),
    roots=OPTIONS.roots,
    command_line=OPTIONS.command_line,
    talk=Talk(level="info", progress=True, lists=True, list_filter=b"AM", statistics="quick json"),
    rate_bytes_s=1024,
    passphrase=b"secret",
)


def sent(order: Order) -> dict[str, Value]:
    """As it arrives."""
    return cast("dict[str, Value]", codec.decode(codec.encode(encode(order))))


def test_an_order_arrives_as_it_was_given() -> None:
    assert decode(sent(ORDER)) == ORDER
    other = ORDER._replace(passphrase=None, encryption="repokey", options=options_of(OPTIONS._replace(comment="")))
    assert decode(sent(other)) == other


def test_the_client_does_what_the_server_would_do_but_as_itself() -> None:
    made = decode(sent(ORDER)).create_options(roots=ORDER.roots, hostname="client", username="me", cwd="/root")
    assert made._replace(lines=None) == OPTIONS._replace(hostname="client", username="me", cwd="/root")


def test_every_option_of_create_is_sent_or_is_the_clients_own() -> None:
    known = {*options_of(OPTIONS), "archive", "roots", "command_line", "lines", "hostname", "username", "cwd"}
    refused = {"stdin", "path_list", "before_commit", "root"}  # what would run programs or read streams of the client
    chosen_by_client = {"pack_size", "root", "of_user"}  # the last one: of an agent's pull
    assert known | refused | chosen_by_client == set(CreateOptions._fields)
    assert set(FLAGS) < set(options_of(OPTIONS))


HOSTILE: list[tuple[str, Any]] = [
    *(("archive", value) for value in ("", "a/b", "a::b", b"a", None, "x" * 5000)),
    *(
        ("roots", [[b"/etc", stored]])
        for stored in (b"/etc", b"../etc", b"a/../b", b"a//b", b"", b"./a", b"a/", b"a\0")
    ),
    *(("roots", value) for value in ([[b"", b"a"]], [[b"/e\0", b"a"]], [["/etc", "etc"]], [[b"/etc"]], b"/etc", None)),
    *(("patterns", [each]) for each in (["x", "fm", b"a"], ["+", "xx", b"a"], ["+", "fm", "a"], ["+"], None)),
    *(("compression", value) for value in (["lz4"], ["exec", 1, False, 0], ["zstd", 99, False, 0], ["zstd", 3, 1, 0])),
    *(("chunker", value) for value in (["gear", 1, 60, 30], ["gear", 18, 22], ["fixed", 1, 0], ["fixed", 1 << 40, 0])),
    *(("flags", value) for value in (["content_from_command"], ["paths_from_stdin"], "dry_run", [1])),
    *(("level", value) for value in ("trace", 1, None)),
    *(("rate_bytes_s", value) for value in (-1, True, "1")),
    *(("encryption", value) for value in ("rot13", 1)),
    *(("path", value) for value in (b"", b"a\0b", "/srv")),
    ("files_cache", "everything"),
    ("files_changed", "no"),
    ("timestamp_ns", -1),
    ("passphrase", "text"),
    ("statistics", "all"),
    ("command_line", ["text"]),
    ("exclude_if_present", [b"a\0"]),
]


@pytest.mark.parametrize(("name", "value"), HOSTILE, ids=[f"{name}-{value!r:.30}" for name, value in HOSTILE])
def test_a_bad_value_is_refused(name: str, value: Value) -> None:
    with pytest.raises(Malformed, match=f"bad value of {name}"):
        decode({**sent(ORDER), name: value})


def test_what_is_not_known_and_what_is_missing_is_refused() -> None:
    with pytest.raises(Malformed, match="content_from_command"):
        decode({**sent(ORDER), "content_from_command": True})
    for name in sent(ORDER).keys() - {"version"}:
        with pytest.raises(Malformed, match=name):
            decode({key: value for key, value in sent(ORDER).items() if key != name})


@pytest.mark.parametrize("version", [0, 2, True, None, "1", [1]])
def test_an_order_of_another_version_is_refused_by_name(version: Value) -> None:
    with pytest.raises(RPCServerOutdated, match=r"bork 9\.9"):
        decode({"version": version, "program": "bork 9.9", "what": "nobody knows yet"})


_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 1 << 64) | st.text() | st.binary(), st.lists
)


@given(st.sampled_from(sorted(encode(ORDER))), _VALUES)
def test_any_value_is_taken_or_refused(name: str, value: Value) -> None:
    try:
        order = decode({**encode(ORDER), name: value})
    except (Malformed, RPCServerOutdated):
        return
    order.create_options(roots=order.roots, hostname="h", username="u", cwd="/")


# ---- fences ------------------------------------------------------------------------------------------------------


def rooted(*paths: str | bytes | Path, **options: object) -> Order:
    sources = [path if isinstance(path, bytes) else str(path).encode() for path in paths]
    return ORDER._replace(roots=tuple(Root(source, b"x") for source in sources), options={**ORDER.options, **options})


def test_without_fences_a_server_may_ask_for_everything() -> None:
    assert fenced(rooted("/", "relative"), []) == (Root(b"/", b"x"), Root(b"relative", b"x"))


def test_roots_at_and_below_a_fence_are_allowed_and_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "inside"
    (inside / "deep").mkdir(parents=True)
    (tmp_path / "way in").symlink_to(inside)
    (inside / "link").symlink_to("/etc")
    monkeypatch.chdir(inside)
    monkeypatch.setenv("HOME", str(tmp_path))
    asked = (
        inside,
        inside / "deep",
        tmp_path / "way in" / "deep",
        "deep",
        ".",
        "deep/..",
        inside / "link",
        "not there",
    )
    wanted = ("", "/deep", "/deep", "/deep", "", "", "/link", "/not there")
    for fence in (str(inside), str(tmp_path / "way in"), "~/inside", f"{inside}/"):
        roots = fenced(rooted(*asked), ["/nowhere", fence])
        assert [root.source.decode() for root in roots] == [f"{inside}{each}" for each in wanted]


def test_nothing_leads_out_of_a_fence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "inside too").mkdir()
    (inside / "up").symlink_to("..")
    (inside / "etc").symlink_to("/etc")
    monkeypatch.chdir(inside)
    for path in (
        *("/", "..", "../inside too", tmp_path, tmp_path / "inside too", f"{inside}/..", f"{inside}/../inside too"),
        *("up/inside too", "etc/passwd", "etc/.", "up/.", "up/..", f"{inside}/etc/../etc/shadow", b"/\xff"),
    ):
        with pytest.raises(CommandError, match="lets a server read"):
            fenced(rooted(inside, path), [str(inside)])


def test_special_files_are_not_read_through_links_where_there_is_a_fence(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="read-special"):
        fenced(rooted(tmp_path, read_special=True), [str(tmp_path)])
