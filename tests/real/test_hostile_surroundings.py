"""Restores without privilege, or beside somebody who swaps directories; names that steer terminals; odd heads."""

import json
import os
import shutil
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from demo.rich_tree import CAPABILITY
from tests.conftest import Bork
from tests.real.hostile.case import EVIL, file, of_items
from tests.real.hostile.sealer import CONTENT, Forge
from tests.real.hostile.wire import BLOCK, CHARACTER, DIRECTORY, FILE, SYMLINK, Value, inner, item, leaf, slice_record
from tests.real.program import CONTROL, assert_clear, measured, without_privilege

pytestmark = pytest.mark.usefixtures("plain")
STEERING = b"\x1b]0;title\x07\x1b[2J\r\nE /etc/passwd \x7f\x08\x9b31m"


@pytest.fixture
def repository(tmp_path: Path, bork: Bork) -> Path:
    bork("init", "--encryption", "none", tmp_path / "repository")
    return tmp_path / "repository"


# ---- without privilege -------------------------------------------------------------------------------------------


@pytest.mark.needs("root")
def test_a_user_gets_no_device_and_no_foreign_rights_from_an_archive(repository: Path, tmp_path: Path) -> None:
    forge = Forge(repository)
    own, foreign = {"uid": os.getuid(), "gid": os.getgid()}, {"uid": 12_345, "gid": 23_456}
    build = of_items(
        (b"block", item(BLOCK, device=(8, 0))),
        (b"capable", item(FILE, xattrs=[b"security.capability", CAPABILITY])),
        (b"char", item(CHARACTER, device=(1, 1))),
        (b"file", file),
        (b"flags", item(FILE, flags=0x30)),
        (b"setgid foreign", item(0o102755, **foreign)),
        (b"setuid foreign", item(0o104755, **foreign)),
        (b"setuid own", item(0o104755, **own)),
        (b"trusted", item(FILE, xattrs=[b"trusted.x", b"y"])),
    )
    forge.publish(build(forge))
    target = tmp_path / "target"
    target.mkdir()
    ended = measured("extract", f"{repository}::evil", cwd=target, before=without_privilege)
    assert ended.code == 1
    assert_clear(ended.code, ended.err)
    for name in (b"block", b"char", b"capable", b"flags", b"setgid foreign", b"setuid foreign", b"trusted"):
        assert name + b": " in ended.err, name
    assert not (target / "block").exists()
    assert not (target / "char").exists()
    assert (target / "file").read_bytes() == EVIL
    for entry, bits in (("setuid foreign", 0), ("setgid foreign", 0), ("setuid own", stat.S_ISUID)):
        assert (target / entry).stat().st_mode & (stat.S_ISUID | stat.S_ISGID) == bits, entry
    assert "security.capability" not in os.listxattr(target / "capable")


# ---- a race ------------------------------------------------------------------------------------------------------


@contextmanager
def swapping(target: Path, names: list[str], outside: Path) -> Iterator[None]:
    """Again and again each directory is moved away and a link to ``outside`` put there, and back."""
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            for name in names:
                path, kept = target / name, target / f"kept-{name}"
                try:
                    os.rename(path, kept)
                    os.symlink(outside, path)
                    os.unlink(path)
                    os.rename(kept, path)
                except OSError:
                    continue

    threads = [threading.Thread(target=swap) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


def test_directories_that_are_swapped_for_links_during_a_restore_lead_nowhere(
    repository: Path, tmp_path: Path, bork: Bork
) -> None:
    source, outside = tmp_path / "source", tmp_path / "outside"
    outside.mkdir()
    names = [f"d{number}" for number in range(4)]
    for name in names:
        for below in range(150):
            (source / name / f"{below:03}").mkdir(parents=True)
            (source / name / f"{below:03}" / "file").write_bytes(b"restored")
            (source / name / f"{below:03}" / "link").symlink_to("file")
    bork("create", f"{repository}::one", ".", cwd=source)
    for round_number in range(4):
        target = tmp_path / f"target-{round_number}"
        target.mkdir()
        with swapping(target, names, outside):
            ended = measured("extract", f"{repository}::one", cwd=target, timeout_s=30)
        assert_clear(ended.code, ended.err)
        assert ended.code in (0, 1)
        assert list(outside.iterdir()) == [], "something was written behind a link"
        shutil.rmtree(target)


# ---- what is shown -----------------------------------------------------------------------------------------------


@pytest.fixture
def steering(repository: Path) -> Path:
    """An archive full of control characters."""
    forge = Forge(repository)
    chunk = forge.chunk(EVIL, kind=CONTENT)
    content: dict[str, Value] = {"size": len(EVIL), "slices": slice_record(chunk, len(EVIL))}
    items = [
        (STEERING, item(DIRECTORY, user=STEERING, group=STEERING)),
        (STEERING + b"/" + STEERING, item(FILE, **content)),
        (b"a" + STEERING, item(FILE, link=(1, 2), **content)),
        (b"b" + STEERING, item(FILE, link=(1, 2), **content)),
        (b"lost" + STEERING, item(FILE, size=5, slices=slice_record(b"x" * 32, 5))),
    ]
    forge.publish(forge.chunk(leaf(items)))
    return repository


@pytest.mark.parametrize(
    "options", [(), ("--short",), ("--format", "{user} {path}{extra}{NL}"), ("--json-lines",)], ids=str
)
def test_no_name_in_an_archive_can_steer_a_terminal(options: tuple[str, ...], steering: Path, bork: Bork) -> None:
    """Only ``{bpath}`` is verbatim, for ``xargs -0``."""
    said = bork("list", *options, f"{steering}::evil")
    assert not CONTROL.search(said.stdout)
    assert said.stdout.count(b"\n") == 5


def test_verbatim_keys_keep_every_byte(steering: Path, bork: Bork) -> None:
    said = bork("list", "--format", "{bpath}{NUL}", f"{steering}::evil")
    assert b"a" + STEERING in said.stdout.split(b"\0")
    name = STEERING.decode(errors="surrogateescape")
    Forge(steering).head(name, b"x" * 32, comment=name)
    said = bork("list", "--format", "{barchive}{NUL}{bcomment}{NUL}", steering)
    assert said.stdout.split(b"\0").count(STEERING) == 2


def test_no_target_of_a_link_can_steer_a_terminal(repository: Path, bork: Bork) -> None:
    forge = Forge(repository)
    forge.publish(forge.chunk(leaf([(b"link", item(SYMLINK, target=STEERING))])))
    said = bork("list", f"{repository}::evil")
    assert not CONTROL.search(said.stdout)
    assert said.stdout.count(b"\n") == 1


@pytest.mark.parametrize(
    "words", [("extract", "--list"), ("extract", "--list", "--dry-run"), ("check", "--verify-data")]
)
def test_no_message_about_an_archive_can_steer_a_terminal(
    words: tuple[str, ...], steering: Path, bork: Bork, tmp_path: Path
) -> None:
    (tmp_path / "target").mkdir()
    said = bork(*words, f"{steering}::evil", cwd=tmp_path / "target", exit_code=None)
    assert said.returncode in (1, 2)
    assert_clear(said.returncode, said.stderr)
    assert not CONTROL.search(said.stdout)


@pytest.mark.parametrize(
    "words",
    [
        ("list",),
        ("list", "--format", "{name} {comment} {hostname} {username} {command_line}{NL}"),
        ("info",),
        ("check",),
        ("info", "--last", "1"),
    ],
    ids=" ".join,
)
def test_no_head_can_steer_a_terminal(words: tuple[str, ...], repository: Path, bork: Bork) -> None:
    forge = Forge(repository)
    text = STEERING.decode(errors="surrogateescape")
    forge.publish(forge.chunk(leaf([])))
    forge.head(text, b"x" * 32, hostname=text, username=text, comment=text, cwd=text, command_line=[text], sequence=2)
    said = bork(*words, repository, exit_code=None)
    assert_clear(said.returncode, said.stderr)
    assert not CONTROL.search(said.stdout)


# ---- heads -------------------------------------------------------------------------------------------------------

HEADS: dict[str, dict[str, object]] = {
    "another name": {"name": "other"},
    "version 2": {"version": 2},
    "version true": {"version": True},
    "version 1.0": {"version": 1.0},
    "an unknown field": {"colour": "red"},
    "a root of 31 bytes": {"root": "00" * 31},
    "a root of no digits": {"root": "xy" * 32},
    "a name that is a number": {"name": 7},
    "a time that is text": {"time_ns": "now"},
    "a time that is a truth": {"time_ns": True},
    "a time beyond all": {"time_ns": 2**70},
    "a negative sequence": {"sequence": -1},
    "a size that is negative": {"stats": {"items": -1}},
    "roots that are text": {"roots": "/"},
    "an unknown chunker": {"chunker": ["magic", 1, 2, 3]},
    "a chunker of too many": {"chunker": ["gear"] + [1] * 100},
}
PLAIN_HEADS: dict[str, bytes] = {
    "empty": b"", "no JSON": b"\xff\xfe", "an array": b"[]", "nested": b"[" * 100_000, "a huge number": b"1" * 100_000,
    "not a number": b'{"version":NaN}', "17 MB": b'{"x":"' + b"x" * (17 << 20) + b'"}', "null": b"null",
}  # fmt: skip


@pytest.mark.parametrize("changes", [*HEADS.values(), *PLAIN_HEADS.values()], ids=[*HEADS, *PLAIN_HEADS])
def test_an_odd_head_is_refused_and_hides_no_other_archive(
    changes: dict[str, object] | bytes, repository: Path, bork: Bork, tmp_path: Path
) -> None:
    forge = Forge(repository)
    root = of_items((b"file", file))(forge)
    forge.publish(root, "good")
    if isinstance(changes, bytes):
        forge.raw_head("evil", changes)
    else:
        forge.head("evil", root, **changes)
    (tmp_path / "target").mkdir()
    said = bork("extract", f"{repository}::evil", cwd=tmp_path / "target", exit_code=2)
    assert_clear(2, said.stderr)
    assert said.stderr.count(b"\n") == 1
    checked = bork("check", repository, exit_code=None)
    assert checked.returncode in (1, 2)
    assert_clear(checked.returncode, checked.stderr)
    assert len(checked.stderr) < 10_000
    listed = bork("list", "--short", repository, exit_code=None)
    assert_clear(listed.returncode, listed.stderr)
    assert listed.returncode, "a list that leaves something out says so"
    assert b"good" in listed.stdout
    bork("extract", f"{repository}::good", cwd=tmp_path / "target")


def test_times_at_the_ends_of_all_time_can_be_shown(repository: Path, bork: Bork) -> None:
    forge = Forge(repository)
    forge.publish(
        forge.chunk(leaf([(b"f", item(FILE, mtime=(2**63 - 1, 0))), (b"g", item(FILE, mtime=(-(2**63), 0)))]))
    )
    for number, time_ns in enumerate((2**63 - 1, -(2**63), 0)):
        forge.head(f"head-{number}", forge.chunk(leaf([])), time_ns=time_ns, start_ns=time_ns, end_ns=time_ns)
    for words in (("list",), ("info", "--last", "3"), ("list", "--json"), ("info", "--json")):
        said = bork(*words, repository, exit_code=None)
        assert_clear(said.returncode, said.stderr, words)
        assert json.loads(said.stdout) if "--json" in words else said.stdout
    said = bork("list", f"{repository}::evil")
    assert said.stdout.count(b"\n") == 2


def test_sums_beyond_64_bits_can_be_shown(repository: Path, bork: Bork) -> None:
    forge = Forge(repository)
    part = leaf([(b"f", item(FILE, size=2**32 - 1, slices=slice_record(bytes(32), 2**32 - 1)))])
    forge.publish(forge.chunk(inner(1, [(forge.chunk(part), b"f")], items=2**64 - 1, size=2**64 - 1)))
    for words in (("info",), ("list",), ("extract", "--dry-run", "--progress")):
        said = bork(*words, f"{repository}::evil", exit_code=None)
        assert_clear(said.returncode, said.stderr.replace(b"\r", b"").replace(b"\x1b", b""), words)
