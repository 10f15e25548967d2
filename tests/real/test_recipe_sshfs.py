"""The sshfs recipes of the seed document on a real sshfs and a real sshd, and what makes them unnecessary: ``--root``.

The scripts below are those of the document, word for word; only names of hosts and places are put in. Bork itself is
not the stand-alone executable but this one: its parts are bound into the chroot, read-only.
"""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import bork as package
from tests.conftest import Bork
from tests.real import client as clients
from tests.real.client import ALICE, BORKC, OLD_S, STAFF, Client
from tests.real.disks import run
from tests.real.program import assert_clear

pytestmark = [
    pytest.mark.needs("root", "sshfs", "sshd", "ssh-keygen", "setfattr", "setfacl", "setcap", "unshare"),
    pytest.mark.timeout(300),
]

SOURCES = Path(package.__file__).parents[2]
NOT_SHOWN = "does not show extended attributes, capabilities, ACLs, file flags, hard links, device numbers"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with Client(tmp_path_factory.mktemp("client")) as running:
        yield running


@pytest.fixture
def client(machine: Client, monkeypatch: pytest.MonkeyPatch) -> Client:
    """With a small system on its disk."""
    machine.clear()
    clients.fill(machine.root)
    monkeypatch.setenv("BORK_RELOCATED_REPO_ACCESS_IS_OK", "yes")
    return machine


@pytest.fixture
def repository(bork: Bork, tmp_path: Path) -> Path:
    path = tmp_path / "repo"
    bork("init", "-e", "repokey", path)
    return path


def said(done: subprocess.CompletedProcess[bytes]) -> str:
    assert_clear(done.returncode, done.stderr)
    return os.fsdecode(done.stdout + done.stderr)


def owners(bork: Bork, archive: str) -> dict[str, list[str]]:
    """User, group, uid and gid by path."""
    lines = bork("list", "--format", "{user} {group} {uid} {gid} {bpath}{NUL}", archive).stdout.split(b"\0")
    return {fields[4]: fields[:4] for fields in (os.fsdecode(line).split(" ", 4) for line in lines if line)}


def assert_links_harmed_nothing(root: Path) -> None:
    """Alice's link to the secret did not give the secret to her."""
    secret = (root / "etc/shadow").stat()
    assert (secret.st_uid, secret.st_gid, secret.st_mtime, stat.S_IMODE(secret.st_mode)) == (0, 0, OLD_S, 0o600)
    assert os.readlink(root / "home/alice/notes") == "/etc/shadow"
    assert os.readlink(root / "home/alice/upward") == "../../etc/shadow"
    assert [path for path in root.rglob("*") if path.name.startswith(".bork")] == []


def assert_home(home: Path, alice: int, staff: int, borkc: int) -> None:
    """Content, modes, times and owners of what sshfs can carry."""
    letter = (home / "letter").stat()
    assert (home / "letter").read_bytes() == b"Dear Ann"
    assert (letter.st_uid, letter.st_gid, letter.st_mtime) == (alice, staff, OLD_S)
    assert stat.S_IMODE(letter.st_mode) == 0o640
    assert (home.stat().st_uid, home.stat().st_gid) == (alice, staff)
    for name in clients.ODD_NAMES:
        path = os.path.join(os.fsencode(home), name)
        assert Path(os.fsdecode(path)).read_bytes() == name
        assert (os.stat(path).st_uid, os.stat(path).st_gid) == (borkc, borkc)


# ---- without a chroot: --root ------------------------------------------------------------------------------------


def test_a_mounted_client_is_backed_up_with_its_own_names(
    client: Client, bork: Bork, repository: Path, tmp_path: Path
) -> None:
    with client.mounted(tmp_path / "mnt") as mounted:
        text = said(bork("create", "--list", "--root", mounted, f"{repository}::one", "/", exit_code=1))
        assert text.count(NOT_SHOWN) == 1
        assert f"{mounted} (fuse.sshfs) does not show" in text
        assert text.count("does not tell the number of the device") == 1
        assert "srv/null" in text
        assert text.count("counts as unchanged if ctime, mtime and size are equal") == 1
        found = owners(bork, f"{repository}::one")
        assert found["home/alice/letter"] == ["alice", "staff", str(ALICE), str(STAFF)]
        assert found[f"home/alice/{os.fsdecode(clients.ODD_NAMES[0])}"] == ["borkc", "borkc", str(BORKC), str(BORKC)]
        assert found["etc/shadow"] == ["root", "root", "0", "0"]
        said(bork("create", "--numeric-ids", "--root", mounted, f"{repository}::numbers", "etc/../home", exit_code=0))
        found = owners(bork, f"{repository}::numbers")
        assert found["home/alice/letter"][2:] == [str(ALICE), str(STAFF)]
        assert "etc" not in found


def test_a_second_backup_reads_only_what_changed_also_after_mounting_again(
    client: Client, bork: Bork, repository: Path, tmp_path: Path
) -> None:
    def create(name: str, *options: str) -> list[str]:
        with client.mounted(tmp_path / "mnt") as mounted:
            done = bork("create", "--list", *options, "--root", mounted, f"{repository}::{name}", "home", "etc")
            return [line for line in said(done).splitlines() if line[:2] in ("A ", "M ", "U ")]

    assert len([line for line in create("one") if line.startswith("A ")]) == 4 + len(clients.ODD_NAMES)
    clients.write(client.root / "home/alice/letter", b"Dear Bob", ALICE, STAFF, 0o640)  # of the same length
    os.utime(client.root / "home/alice/letter", (OLD_S + 1, OLD_S + 1))
    changed = create("two")
    assert [line for line in changed if not line.startswith("U ")] == ["M home/alice/letter"]
    assert bork("extract", "--stdout", f"{repository}::two", "home/alice/letter").stdout == b"Dear Bob"
    clients.write(client.root / "home/alice/letter", b"Dear Eve", ALICE, STAFF, 0o640)
    os.utime(client.root / "home/alice/letter", (OLD_S + 1, OLD_S + 1))
    assert "M home/alice/letter" in create("three", "--files-cache", "disabled")
    assert bork("extract", "--stdout", f"{repository}::three", "home/alice/letter").stdout == b"Dear Eve"


def test_two_clients_with_the_same_paths_are_never_compared_with_each_other(
    client: Client, bork: Bork, repository: Path, tmp_path: Path
) -> None:
    for name, content in (("one", b"alpha"), ("two", b"bravo")):
        clients.write(client.root / "etc/hostname", content)
        with client.mounted(tmp_path / name) as mounted:
            bork("create", "--root", mounted, f"{repository}::{name}", "etc")
    assert bork("extract", "--stdout", f"{repository}::two", "etc/hostname").stdout == b"bravo"


def test_links_that_sshfs_hides_are_named_with_the_option_that_shows_them(
    client: Client, bork: Bork, repository: Path, tmp_path: Path
) -> None:
    with client.mounted(tmp_path / "mnt", "sshfs-today") as mounted:
        if os.path.islink(mounted / "home/alice/notes") and _is_readable(mounted / "home/alice/notes"):
            pytest.skip("this sshfs is older than contain_symlinks")
        text = said(bork("create", "--root", mounted, f"{repository}::one", "home", exit_code=1))
    hidden = [line for line in text.splitlines() if "no_contain_symlinks" in line]
    assert [line.split(":")[0] for line in hidden] == ["home/alice/notes", "home/alice/upward"]
    paths = owners(bork, f"{repository}::one")
    assert "home/alice/near" in paths
    assert "home/alice/notes" not in paths


def _is_readable(link: Path) -> bool:
    try:
        os.readlink(link)
    except PermissionError:
        return False
    return True


def test_the_clients_own_proc_sys_and_dev_are_kept_empty(
    client: Client, bork: Bork, repository: Path, tmp_path: Path
) -> None:
    """sftp shows them as if they were files on its disk: there is no other file system to be seen."""
    for name in ("proc", "sys", "dev"):
        run("mount", "--bind", f"/{name}", client.root / name)
    try:
        with client.mounted(tmp_path / "mnt") as mounted:
            assert len(os.listdir(mounted / "proc")) > 20
            said(bork("create", "--root", mounted, f"{repository}::one", ".", exit_code=1))
    finally:
        for name in ("proc", "sys", "dev"):
            run("umount", "-l", client.root / name)
    paths = owners(bork, f"{repository}::one")
    assert {"proc", "sys", "dev"} <= paths.keys()
    assert [path for path in paths if path.startswith(("proc/", "sys/", "dev/"))] == []


def test_a_partial_restore_uses_the_numbers_that_names_have_on_the_client_now(
    client: Client, bork: Bork, repository: Path, tmp_path: Path
) -> None:
    with client.mounted(tmp_path / "mnt") as mounted:
        bork("create", "--root", mounted, f"{repository}::one", "/", exit_code=1)
    renumber(client)
    with client.mounted(tmp_path / "mnt") as mounted:
        done = bork("extract", "--root", mounted, f"{repository}::one", "home/alice", exit_code=1)
        text = said(done)
    assert_links_harmed_nothing(client.root)
    assert text.count("owners and times of symbolic links are left out") == 1
    assert text.count("does not keep") == 1
    assert_home(client.root / "home/alice", 3001, 3004, 3002)


def renumber(client: Client) -> None:
    """The client was installed anew: the same users have other numbers. And the home is lost."""
    clients.write(client.root / "etc/passwd", b"root:x:0:0::/:\nborkc:x:3002:3002::/:\nalice:x:3001:3004::/:\n")
    clients.write(client.root / "etc/group", b"root:x:0:\nstaff:x:3004:\nborkc:x:3002:\n")
    shutil.rmtree(client.root / "home/alice")


def test_a_full_restore_onto_an_empty_disk(client: Client, bork: Bork, repository: Path, tmp_path: Path) -> None:
    with client.mounted(tmp_path / "mnt") as mounted:
        bork("create", "--root", mounted, f"{repository}::one", "/", exit_code=1)
    client.clear()
    with client.mounted(tmp_path / "mnt") as mounted:
        text = said(bork("extract", "--root", mounted, f"{repository}::one", exit_code=1))
    assert "has no etc/passwd and no etc/group: owners are numbers only" in text
    assert_whole(client.root)


def assert_whole(root: Path) -> None:
    """All that sshfs can carry is back."""
    assert (root / "etc/passwd").read_text() == clients.PASSWD
    assert_home(root / "home/alice", ALICE, STAFF, BORKC)
    assert_links_harmed_nothing(root)
    program = (root / "srv/set uid").stat()
    assert (program.st_uid, stat.S_IMODE(program.st_mode)) == (ALICE, 0o4755)
    for name in ("linked", "linked too"):
        assert (root / "srv" / name).read_bytes() == b"one file, two names"
    for lost in ("attributes", "acl", "capable"):
        assert os.listxattr(root / "srv" / lost) == [], "sshfs can carry it now: the tables of Bork are to be changed"


# ---- with a chroot: the recipe of the document -------------------------------------------------------------------

ENTER = """
# Mount client root file system.
mkdir /tmp/sshfs
sshfs root@host:/ /tmp/sshfs
# Mount BorkBackup repository inside it.
mkdir /tmp/sshfs/borkrepo
mount --bind /path/to/repo /tmp/sshfs/borkrepo
# Make bork executable available.
cp /usr/local/bin/bork /tmp/sshfs/usr/local/bin/bork
# Mount important system directories and enter chroot.
cd /tmp/sshfs
for i in dev proc sys; do mount --bind /$i $i; done
"""
CREATE = "bork create --exclude borkrepo --files-cache ctime,size /borkrepo::archive /"
EXTRACT = "bork extract /borkrepo::archive PATH"
LEAVE = """
rm /tmp/sshfs/usr/local/bin/bork
cd /tmp/sshfs
for i in dev proc sys borkrepo; do umount ./$i; done
rmdir borkrepo
cd ~
umount /tmp/sshfs
rmdir /tmp/sshfs
"""
FULL_RESTORE = """
sshfs root@host:/ /mnt/sshfs
cd /mnt/sshfs
bork extract --numeric-ids /path/to/repo::archive
cd ~
umount /mnt/sshfs
"""


def parts() -> list[Path]:
    """What this Bork needs in the chroot, in place of the stand-alone executable: none of them inside another."""
    wanted = {SOURCES, Path(sys.prefix), *(Path("/usr") / name for name in ("bin", "lib", "lib64"))}
    base = Path(sys.base_prefix)
    if base == Path("/usr/local"):  # the recipe has its own use for bin/
        wanted.add(base / "lib")
    elif base != Path("/usr"):
        wanted.add(base)
    return sorted(path for path in wanted if path.exists() and not set(path.parents) & wanted)


class Server:
    """Runs the recipe in a mount namespace of its own: whatever fails, nothing stays mounted."""

    def __init__(self, client: Client, repository: Path, directory: Path) -> None:
        self._client, self._repository, self._point = client, repository, directory / "sshfs"

    def run(self, script: str) -> subprocess.CompletedProcess[bytes]:
        script = script.replace("cp /usr/local/bin/bork", f"cp {self._client.bork}")
        script = script.replace("/path/to/repo", str(self._repository))
        script = script.replace("/tmp/sshfs", str(self._point)).replace("/mnt/sshfs", str(self._point))
        words = ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-euc", script]
        env = {**os.environ, "PATH": f"{self._client.programs}:{os.environ['PATH']}"}
        return subprocess.run(words, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False)

    def in_chroot(self, command: str) -> subprocess.CompletedProcess[bytes]:
        """Enter, run, leave. The exit code is that of the command."""
        bind = "".join(f"mkdir -p .{part}; mount --bind -o ro {part} .{part}\n" for part in parts())
        free = "".join(f"umount .{part}; rmdir -p --ignore-fail-on-non-empty {str(part)[1:]}\n" for part in parts())
        inside = f"export HOME=/root PATH=/usr/local/bin:/usr/bin:/bin; cd /; {command}"
        chroot = f"rc=0; chroot /tmp/sshfs /bin/sh -c '{inside}' || rc=$?\n"
        return self.run(f"{ENTER}{bind}{chroot}cd /tmp/sshfs\n{free}{LEAVE}exit $rc\n")


@pytest.fixture
def server(client: Client, repository: Path, tmp_path: Path) -> Server:
    return Server(client, repository, tmp_path)


def excluding(paths: Sequence[Path]) -> str:
    """The command of the document; what only this test has mounted is left out, too."""
    more = "".join(f" --exclude {str(path).lstrip('/')}" for path in paths)
    return CREATE.replace("--exclude borkrepo", f"--exclude borkrepo{more}")


def test_the_recipe_with_a_chroot(client: Client, server: Server, bork: Bork, repository: Path, tmp_path: Path) -> None:
    # A backup. It ends, although /dev, /proc and /sys of the server lie inside.
    done = server.in_chroot(excluding(parts()))
    text = said(done)
    assert done.returncode == 1, text
    assert text.count(NOT_SHOWN) == 1
    assert "counts as unchanged" not in text, "the mode was given"
    problems = [line for line in text.splitlines() if "does not show" not in line]
    assert len(problems) == 1
    assert "/srv/null: this file system does not tell the number of the device" in problems[0]
    archive = f"{repository}::archive"
    found = owners(bork, archive)
    assert found["home/alice/letter"] == ["alice", "staff", str(ALICE), str(STAFF)]
    assert {"proc", "sys", "dev", "home/alice/notes"} <= found.keys()
    assert [path for path in found if path.startswith(("proc/", "sys/", "dev/", "borkrepo"))] == []
    assert not (client.root / "borkrepo").exists()
    assert os.listdir(client.root / "usr/local/bin") == []
    assert not (tmp_path / "sshfs").exists()

    # A partial restore, onto a system where the same users have other numbers.
    renumber(client)
    done = server.in_chroot(EXTRACT.replace("PATH", "home/alice"))
    assert done.returncode == 1, said(done)
    assert said(done).count("owners and times of symbolic links are left out") == 1
    assert_home(client.root / "home/alice", 3001, 3004, 3002)
    assert_links_harmed_nothing(client.root)

    # A full restore, onto an empty disk.
    client.clear()
    (tmp_path / "sshfs").mkdir()
    done = server.run(FULL_RESTORE.replace("archive\n", "archive || [ $? = 1 ]\n"))
    assert done.returncode == 0, said(done)
    assert said(done).count("owners and times of symbolic links are left out") == 1
    assert_whole(client.root)
