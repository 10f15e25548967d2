"""``bork push`` through an agent that this machine runs: what arrives, what is left alone, and what is said."""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Bork
from tests.pull.restoring import AGENT

pytestmark = [pytest.mark.needs("root", "setfacl", "setcap", "chattr"), pytest.mark.timeout(200)]

RSH = "sh -c 'eval \"$2\"' sh"
# In place of ssh: a line that is cut after 20 MB in the direction of the client.
CABLE = """
import os, subprocess, sys
child = subprocess.Popen(["sh", "-c", sys.argv[2]], stdin=subprocess.PIPE)
left = 20_000_000
while left > 0 and (data := os.read(0, min(left, 65536))):
    left -= len(data)
    child.stdin.write(data)
    child.stdin.flush()
child.stdin.close()
child.wait()
"""
COUNTS = re.compile(
    rb"(\d+) items (?:would be )?made, (\d+) replaced, (\d+) corrected, (\d+) were right; (\d+) bytes of content"
)


def picture(root: Path) -> dict[str, tuple[object, ...]]:
    """All that can be restored of what is below ``root``, and the root itself."""
    groups: dict[tuple[int, int], str] = {}
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted([root, *root.rglob("*")], key=os.fsencode):
        status = path.lstat()
        first = groups.setdefault((status.st_dev, status.st_ino), str(path.relative_to(root)))
        xattrs = {
            name: os.getxattr(path, name, follow_symlinks=False) for name in os.listxattr(path, follow_symlinks=False)
        }
        content: object = None
        if stat.S_ISREG(status.st_mode):
            content = (status.st_size, path.read_bytes())
        elif stat.S_ISLNK(status.st_mode):
            content = path.readlink()
        found[str(path.relative_to(root))] = (
            *(status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, status.st_rdev, status.st_nlink),
            *(first, xattrs, content),
        )
    return found


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "source"
    (root / "deep" / "er" / "closed").mkdir(parents=True)
    (root / "deep" / "er" / "closed" / "file").write_bytes(b"in a closed directory")
    (root / "empty").mkdir()
    (root / "empty file").touch()
    (root / "noise").write_bytes(os.urandom(6 << 20))
    (root / "text").write_bytes(b"hello\n" * 300_000)
    os.link(root / "text", root / "deep" / "second name")
    os.link(root / "text", root / "zzz third name")
    (root / "link").symlink_to("deep/er")
    (root / os.fsdecode(b"odd \xff\n name\x1b[31m")).write_bytes(b"x")
    os.mkfifo(root / "fifo")
    os.mknod(root / "device", 0o640 | stat.S_IFBLK, os.makedev(7, 99))
    with (root / "sparse").open("wb") as sparse:
        sparse.write(b"begin")
        sparse.truncate(40 << 20)
    for name in ("text", "deep", "link", "fifo", "device", "noise"):
        os.lchown(root / name, 4101, 4102)
    (root / "text").chmod(0o6751)
    os.setxattr(root / "text", "user.note", b"kept")
    os.setxattr(root / "deep", "trusted.note", b"\0\1")
    subprocess.run(["setfacl", "-m", "u:4102:r,g:4101:rw", root / "noise"], check=True)
    subprocess.run(["setfacl", "-d", "-m", "u:4102:rx", root / "deep"], check=True)
    shutil.copy("/bin/true", root / "true")
    subprocess.run(["setcap", "cap_net_raw+ep", root / "true"], check=True)
    (root / "deep" / "er" / "closed").chmod(0o500)
    os.utime(root / "text", ns=(1, -1_234_567_890_123_456_789))
    os.utime(root / "deep", ns=(1, 987_654_321))
    return root


class Push:
    """``bork push`` of the one archive to a directory of "the client"."""

    def __init__(self, bork: Bork, repository: Path, target: Path) -> None:
        self._bork, self.repository, self.target = bork, repository, target

    def __call__(self, *words: str | Path, exit_code: int = 0) -> subprocess.CompletedProcess[bytes]:
        options = [word for word in words if str(word).startswith("-")]
        paths = [word for word in words if word not in options]
        archive = f"{self.repository}::a"
        return self._bork("push", "-v", *options, archive, f"root@client:{self.target}", *paths, exit_code=exit_code)

    def counts(self, *words: str) -> tuple[int, ...]:
        """Made, replaced, corrected, right; bytes of content."""
        found = COUNTS.search(self(*words).stderr)
        assert found is not None
        return tuple(map(int, found.groups()))


@pytest.fixture
def push(bork: Bork, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Push:
    monkeypatch.setenv("BORK_RSH", RSH)
    repository, target = tmp_path / "repository", tmp_path / "target"
    bork("init", "-e", "repokey", repository)
    bork("create", f"{repository}::a", ".", cwd=source)
    target.mkdir()
    return Push(bork, repository, target)


def test_everything_arrives_and_the_second_time_nothing_is_sent(push: Push, source: Path) -> None:
    wanted = picture(source)
    made, replaced, _, _, content = push.counts()
    assert (made, replaced) == (len(wanted) - 1, 0)
    assert content == sum((source / name).stat().st_size for name in ("noise", "text", "sparse", "true")) + 22
    assert picture(push.target) == wanted
    assert (push.target / "sparse").stat().st_blocks < 100
    before = {path: path.lstat().st_ctime_ns for path in push.target.rglob("*") if not path.is_dir()}
    assert push.counts() == (0, 0, 0, len(wanted), 0)
    assert picture(push.target) == wanted
    assert {path: path.lstat().st_ctime_ns for path in before} == before, "what is right is not touched"


def test_what_differs_is_put_right_and_content_is_sent_only_for_it(push: Push, source: Path) -> None:
    wanted = picture(source)
    push()
    target = push.target
    (target / "noise").write_bytes(b"short")
    (target / "true").chmod(0o600)
    os.setxattr(target / "true", "user.extra", b"to be removed")
    os.removexattr(target / "text", "user.note")
    subprocess.run(["setfacl", "-b", target / "deep"], check=True)
    (target / "empty file").unlink()
    (target / "empty file").symlink_to("/etc/passwd")
    (target / "zzz third name").unlink()
    shutil.copy2(target / "text", target / "zzz third name")
    os.chown(target / "sparse", 77, 77)
    (target / "empty").rmdir()
    (target / "empty").write_bytes(b"a file")
    (target / "new").write_bytes(b"not in the archive")
    _, replaced, _, _, content = push.counts()
    assert content == (source / "noise").stat().st_size + (source / "sparse").stat().st_size
    assert replaced >= 4
    (target / "new").unlink()
    os.utime(target, ns=(0, source.stat().st_mtime_ns))
    assert picture(target) == wanted


def test_a_dry_run_tells_and_changes_nothing(push: Push, source: Path) -> None:
    count = len(picture(source))
    assert push.counts("-n")[:2] == (count - 1, 0)
    assert list(push.target.iterdir()) == []
    push()
    (push.target / "noise").write_bytes(b"other")
    (push.target / "fifo").unlink()
    (push.target / "true").chmod(0)
    before = picture(push.target)
    shown = push("-n", "--list", "--filter=AMC").stderr
    assert [line for line in shown.splitlines() if line[:2] in (b"A ", b"M ", b"C ") and line[2:] != b"."] == [
        b"A fifo",
        b"M noise",
        b"C true",
    ]
    assert picture(push.target) == before
    push.target = push.target.parent / "missing"
    assert push.counts("--dry-run")[0] == count
    assert not push.target.exists()


def test_parts_are_restored_by_paths_patterns_and_stripped(push: Push, source: Path) -> None:
    push("deep/er")
    assert {path.name for path in push.target.rglob("*")} == {"deep", "er", "closed", "file"}
    push.target = push.target.parent / "made by the push"
    push("--strip-components=2", "deep")
    assert {path.name for path in push.target.rglob("*")} == {"closed", "file"}
    push("--exclude=*e*", "--list")
    assert {path.name for path in push.target.iterdir()} == {"closed", "fifo", "link"} | {
        name for name in os.listdir(source) if "e" not in name
    }
    assert b"never matched" in push("nothing", exit_code=1).stderr


def test_attributes_can_be_left_out(push: Push) -> None:
    push("--noacls", "--noxattrs", "--noflags")
    assert [name for path in push.target.rglob("*") for name in os.listxattr(path, follow_symlinks=False)] == []


def test_zeros_become_holes_only_if_asked_for(push: Push, source: Path, bork: Bork) -> None:
    (source / "zeros").write_bytes(bytes(8 << 20))
    bork("create", f"{push.repository}::b", "zeros", cwd=source)
    for options, is_sparse in (([], False), (["--sparse"], True)):
        (push.target / "zeros").unlink(missing_ok=True)
        bork("push", *options, f"{push.repository}::b", f"root@client:{push.target}")
        assert (push.target / "zeros").read_bytes() == bytes(8 << 20)
        assert ((push.target / "zeros").stat().st_blocks < 16) == is_sparse


def test_many_small_files_and_links_come_back(push: Push, source: Path, bork: Bork) -> None:
    """Several batches, with names of one file far from each other, and files that wait for content in between."""
    many = source / "many"
    many.mkdir()
    for number in range(3000):
        (many / f"{number:04}").write_bytes(b"%d" % number * (number % 50))
        if number % 10 == 0:
            os.link(many / f"{number:04}", source / f"linked {number}")
    bork("create", f"{push.repository}::b", ".", cwd=source)
    bork("push", f"{push.repository}::b", f"root@client:{push.target}")
    assert picture(push.target) == picture(source)


def test_a_push_that_was_cut_is_repeated_cheaply(
    push: Push, source: Path, bork: Bork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line is cut while the last large file is on its way; those before it are not sent again."""
    (source / "zzzz").write_bytes(os.urandom(30 << 20))
    bork("create", f"{push.repository}::b", ".", cwd=source)
    cable = push.target.parent / "cable.py"
    cable.write_text(CABLE)
    monkeypatch.setenv("BORK_RSH", f"{sys.executable} '{cable}'")
    words = ("push", "-v", f"{push.repository}::b", f"root@client:{push.target}")
    bork(*words, exit_code=2)
    assert not (push.target / "zzzz").exists(), "half a file is left"
    monkeypatch.setenv("BORK_RSH", RSH)
    found = COUNTS.search(bork(*words).stderr)
    assert found is not None
    assert int(found[5]) == 30 << 20
    assert picture(push.target) == picture(source)


def test_lost_content_is_left_out_and_told_and_the_rest_arrives(push: Push, source: Path, bork: Bork) -> None:
    (source / "zzzz").write_bytes(os.urandom(5 << 20))
    bork("create", f"{push.repository}::b", "zzzz", "true", "empty", cwd=source)
    packs = sorted(
        (path for path in (push.repository / "packs").rglob("*") if path.is_file()), key=lambda p: p.stat().st_mtime_ns
    )
    largest = max(packs[-3:], key=lambda path: path.stat().st_size)
    with largest.open("r+b") as pack:
        pack.seek(largest.stat().st_size // 2)
        pack.write(b"\0\1\2\3" * 8)
    done = bork("push", f"{push.repository}::b", f"root@client:{push.target}", exit_code=2)
    assert b"zzzz" in done.stderr
    assert b"could not be read whole" in done.stderr
    assert {path.name for path in push.target.iterdir()} == {"true", "empty"}
    assert (push.target / "true").read_bytes() == (source / "true").read_bytes()


def test_files_of_somebody_else_in_the_way_are_not_given_away(push: Push, source: Path) -> None:
    """Equal size and time are not enough: a file that another user has put there is replaced, not chowned."""
    victim = push.target.parent / "victim"
    content = b"S" * (source / "text").stat().st_size
    victim.write_bytes(content)
    victim.chmod(0o600)
    os.utime(victim, ns=(1, (source / "text").stat().st_mtime_ns))
    before = victim.stat()
    os.link(victim, push.target / "text")
    push()
    assert victim.read_bytes() == content
    after = victim.stat()
    assert (after.st_uid, after.st_mode, after.st_nlink) == (before.st_uid, before.st_mode, 1)
    assert (push.target / "text").read_bytes() == (source / "text").read_bytes()


def test_an_immutable_file_stays_right(push: Push, source: Path, bork: Bork) -> None:
    def locked(path: Path) -> bool:
        return b"i" in subprocess.run(["lsattr", path], check=True, capture_output=True).stdout.split()[0]

    fixed = source / "fixed"
    fixed.write_bytes(b"fixed")
    if subprocess.run(["chattr", "+i", fixed], check=False, capture_output=True).returncode:
        pytest.skip("this file system has no flags")
    try:
        bork("create", f"{push.repository}::b", "fixed", cwd=source)
        for _ in range(2):
            bork("push", f"{push.repository}::b", f"root@client:{push.target}")
            assert locked(push.target / "fixed")
    finally:
        subprocess.run(["chattr", "-i", fixed, push.target / "fixed"], check=True)


def test_an_agent_that_may_not_write_says_so(push: Push, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BORK_RSH", f"sh -c '\"{AGENT}\" serve --read /' sh")
    done = push(exit_code=2)
    assert b"this client does not allow to write anything" in done.stderr
    monkeypatch.setenv("BORK_RSH", f'sh -c \'"{AGENT}" serve --write "{push.repository}"\' sh')
    assert b"does not allow to write to" in push(exit_code=2).stderr
    assert list(push.target.iterdir()) == []
