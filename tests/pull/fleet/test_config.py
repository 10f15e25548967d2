"""The configuration is strict: what it does not understand it refuses, with the file, the table and the key."""

import os
from pathlib import Path

import pytest

from bork.cli.fleet.values import CHECKS
from bork.errors import PullConfigInvalid
from bork.pull.fleet import config
from bork.pull.fleet.hosts import Fleet
from bork.pull.fleet.schedule import Schedule

MINIMAL = """\
[hosts.web]
destination = "root@web.example.org"
paths = ["/etc"]
repository = "/srv/repos/{name}"
"""
DEFAULTS = """\
[defaults]
paths = ["/etc"]
repository = "/srv/repos/{name}"
"""


def load(tmp_path: Path, text: str) -> Fleet:
    path = tmp_path / "pull.toml"
    path.write_text(text)
    return config.load(str(path), "/home/user", CHECKS)


def refusal(tmp_path: Path, text: str) -> str:
    with pytest.raises(PullConfigInvalid) as caught:
        load(tmp_path, text)
    assert str(tmp_path / "pull.toml") in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value).partition("pull.toml: ")[2]


def test_a_host_needs_no_more_than_paths_and_a_repository(tmp_path: Path) -> None:
    fleet = load(tmp_path, MINIMAL)
    (web,) = fleet.hosts
    assert web.sources() == ("root@web.example.org:/etc",)
    assert (web.repository, web.archive) == ("/srv/repos/web", "web-{now}")
    assert (web.schedule, web.max_age_s, web.keep, web.compact) == (None, None, (), False)
    assert fleet.jobs == 4


def test_a_host_is_reached_by_its_name_if_nothing_else_is_said(tmp_path: Path) -> None:
    (db,) = load(tmp_path, f"{DEFAULTS}[hosts.db]").hosts
    assert db.destination == "db"


def test_what_a_host_says_itself_wins(tmp_path: Path) -> None:
    text = f'{DEFAULTS}compression = "zstd"\n[hosts.a]\npaths = ["/srv"]\n[hosts.b]\ncompression = "lz4"'
    a, b = load(tmp_path, text).hosts
    assert (a.paths, a.options) == (("/srv",), ("--compression=zstd",))
    assert (b.paths, b.options) == (("/etc",), ("--compression=lz4",))


def test_schedule_and_retention_of_a_host_are_not_mixed_with_the_defaults(tmp_path: Path) -> None:
    text = f'{DEFAULTS}every = "6h"\nkeep-daily = 7\nkeep-weekly = 4\npasscommand = "x"\n[hosts.a]\n'
    text += 'at = "02:30"\nkeep-daily = 3\npassphrase-file = "~/secret"\n[hosts.b]\n'
    a, b = load(tmp_path, text).hosts
    assert a.schedule == Schedule(at=(150,))
    assert a.keep == (("--keep-daily", "3"),)
    assert (a.passcommand, a.passphrase_file) == (None, "/home/user/secret")
    assert b.schedule == Schedule(every_s=6 * 3600)
    assert b.keep == (("--keep-daily", "7"), ("--keep-weekly", "4"))


def test_freshness_and_compaction_follow_from_schedule_and_retention(tmp_path: Path) -> None:
    text = f'{DEFAULTS}[hosts.a]\nevery = "6h"\nkeep-daily = 1\n[hosts.b]\nat = ["02:00", "14:00"]\n'
    a, b = load(tmp_path, text + 'max-age = "3d"\n').hosts
    assert (a.max_age_s, a.compact) == (12 * 3600, True)
    assert (b.max_age_s, b.compact) == (3 * 86400, False)


def test_a_server_without_the_key_neither_prunes_nor_compacts(tmp_path: Path) -> None:
    text = f"{DEFAULTS}keep-daily = 7\ncompact = true\n[hosts.a]\nclient-encrypts = true\n"
    (blind,) = load(tmp_path, text).hosts
    assert (blind.keep, blind.compact, blind.options) == ((), False, ("--client-encrypts",))
    (told,) = load(tmp_path, f"{text}passphrase-from-server = true").hosts
    assert (told.keep, told.compact) == ((("--keep-daily", "7"),), True)
    assert "[hosts.a] keep-last: not with client-encrypts" in refusal(tmp_path, f"{text}keep-last = 1")
    assert "[hosts.a] compact: not with client-encrypts" in refusal(tmp_path, f"{text}compact = true")


@pytest.mark.parametrize(
    ("line", "place", "reason"),
    [
        ("pahts = ['/etc']", "[hosts.web] pahts", "no such key here; did you mean paths"),
        ("zzz = 1", "[hosts.web] zzz", "no such key here."),
        ("every = 6", "[hosts.web] every", "a duration"),
        ("every = '6m'", "[hosts.web] every", "'6m' is no duration"),
        ("every = '0h'", "[hosts.web] every", "no duration"),
        ("at = '24:00'", "[hosts.web] at", "no time of day"),
        ("at = []", "[hosts.web] at", "empty"),
        ("every = '1d'\nat = '02:00'", "[hosts.web] at", "not together with every"),
        ("keep-daily = '7'", "[hosts.web] keep-daily", "a whole number"),
        ("keep-daily = true", "[hosts.web] keep-daily", "a whole number"),
        ("keep-daily = -1", "[hosts.web] keep-daily", "not negative"),
        ("keep-daily = 0", "[hosts.web] keep-daily", "keeps nothing"),
        ("keep-within = '3x'", "[hosts.web] keep-within", "time unit"),
        ("keep-13weekly = 1\nkeep-3monthly = 1", "[hosts.web] keep-3monthly", "not together"),
        ("compact = 1", "[hosts.web] compact", "true or false"),
        ("compression = 'zip'", "[hosts.web] compression", "unsupported"),
        ("exclude = ['re:(']", "[hosts.web] exclude", "re:("),
        ("exclude = '*.o'", "[hosts.web] exclude", "a list of texts"),
        ("patterns = ['R /etc']", "[hosts.web] patterns", "belongs into paths"),
        ("archive = '{name}'", "[hosts.web] archive", "without {now}"),
        ("archive = '{now}/x'", "[hosts.web] archive", "the name of an archive has no"),
        ("archive = '{nwo}'", "[hosts.web] archive", "no placeholder {nwo}"),
        ("archive = '{now'", "[hosts.web] archive", "the braces do not match"),
        ("archive = '{now!r}'", "[hosts.web] archive", "the braces do not match"),
        ("ssh-options = ['-oProxyCommand=x']", "[hosts.web] ssh-options", "Name=value"),
        ('ssh-options = ["Port=1\\nProxyCommand=x"]', "[hosts.web] ssh-options", "control character"),
        ("ssh-options = ['StrictHostKeyChecking=no']", "[hosts.web] ssh-options", "stays on"),
        ("ssh-options = ['StrictHostKeyChecking=false']", "[hosts.web] ssh-options", "stays on"),
        ("ssh-options = ['stricthostkeychecking=\"no\"']", "[hosts.web] ssh-options", "stays on"),
        ("ssh-options = ['userknownhostsfile=/dev/null']", "[hosts.web] ssh-options", "has to be known"),
        ("ssh-options = ['UserKnownHostsFile=\"/dev/null\" /etc/x']", "[hosts.web] ssh-options", "has to be known"),
        ("agent = 'bork-agent; rm'", "[hosts.web] agent", "no name of a program"),
        ("agent = '-x'", "[hosts.web] agent", "no name of a program"),
        ("passcommand = 'a'\npassphrase-file = '/b'", "[hosts.web] passphrase-file", "not together"),
        ("passphrase-file = 'secret'", "[hosts.web] passphrase-file", "not absolute"),
    ],
)
def test_a_mistake_is_named_with_its_table_and_key(tmp_path: Path, line: str, place: str, reason: str) -> None:
    said = refusal(tmp_path, MINIMAL + line)
    assert said.startswith(f"{place}: ")
    assert reason in said


@pytest.mark.parametrize(
    "destination", ["-oProxyCommand=x", "root@-x", "a b", "a\\nb", "a:b", "a;b", "$(x)", "", "@", "é"]
)
def test_a_destination_cannot_be_taken_for_anything_else(tmp_path: Path, destination: str) -> None:
    said = refusal(tmp_path, f'{DEFAULTS}[hosts.web]\ndestination = "{destination}"')
    assert said.startswith("[hosts.web] destination: ")


@pytest.mark.parametrize("path", ["etc", "", "/a\\u001b[2J", "/a/../b", "/..", "-x", "/a\\nb"])
def test_a_path_is_absolute_and_printable(tmp_path: Path, path: str) -> None:
    assert "[hosts.web] paths: " in refusal(tmp_path, f'{DEFAULTS}[hosts.web]\npaths = ["{path}"]')


@pytest.mark.parametrize("path", ["repos/x", "-x", "/a::b", "", "/{hostname}", "/a\\nb", "x:"])
def test_a_repository_stands_by_itself(tmp_path: Path, path: str) -> None:
    assert "[hosts.web] repository: " in refusal(tmp_path, f'[hosts.web]\npaths=["/etc"]\nrepository = "{path}"')


@pytest.mark.parametrize("path", ["~/r", "ssh://u@h:22/r/{name}", "host:r", "file:///r"])
def test_a_repository_may_be_anywhere(tmp_path: Path, path: str) -> None:
    (web,) = load(tmp_path, f'[hosts.web]\npaths=["/etc"]\nrepository = "{path}"').hosts
    assert web.repository == path.replace("~", "/home/user").replace("{name}", "web")


@pytest.mark.parametrize("name", ["-x", ".x", "a/b", "a b", "../x", "é", "x" * 64])
def test_the_name_of_a_host_is_fit_for_a_file(tmp_path: Path, name: str) -> None:
    assert "no name of a host" in refusal(tmp_path, f'{DEFAULTS}[hosts."{name}"]')


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "there is no host"),
        ("hosts = 3", "there is no host"),
        ("[hosts]\nweb = 3", "has to be a table"),
        ("defaults = 3\n[hosts.a]", "has to be a table"),
        ("job = 3\n[hosts.a]", "job: there is no such key"),
        (f"jobs = 0\n{MINIMAL}", "jobs: it has to be 1 to"),
        (f"jobs = 1.5\n{MINIMAL}", "jobs: it has to be a whole number"),
        ("[defaults]\ndestination = 'x'\n[hosts.a]", "[defaults] destination: there is no such key"),
        ("[hosts.a]\n[hosts.a]", "it is no TOML"),
        ("[hosts.a]\npaths = ['/etc']", "[hosts.a] repository: it is missing"),
        ("[hosts.a]\npaths = []\nrepository = '/r'", "[hosts.a] paths: it is missing"),
        (f"prometheus-file = 'x'\n{MINIMAL}", "prometheus-file: 'x' is not absolute"),
    ],
)
def test_a_file_that_is_wrong_as_a_whole_says_so(tmp_path: Path, text: str, reason: str) -> None:
    assert reason in refusal(tmp_path, text)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pull.toml"
    path.write_bytes(b"\xff\n")
    with pytest.raises(PullConfigInvalid, match="not UTF-8"):
        config.load(str(path), "/root")
    with pytest.raises(PullConfigInvalid, match="No such file"):
        config.load(str(tmp_path / "none.toml"), "/root")


def test_a_file_that_anybody_may_write_is_not_obeyed(tmp_path: Path) -> None:
    path = tmp_path / "pull.toml"
    path.write_text(MINIMAL)
    path.chmod(0o666)
    with pytest.raises(PullConfigInvalid, match="may write to it"):
        config.load(str(path), "/root")


@pytest.mark.needs("root")
@pytest.mark.parametrize(("group", "is_obeyed"), [(0, True), (12345, False)])
def test_a_file_that_another_group_may_write_is_not_obeyed(tmp_path: Path, group: int, is_obeyed: bool) -> None:
    path = tmp_path / "pull.toml"
    path.write_text(MINIMAL)
    os.chown(path, 0, group)
    path.chmod(0o664)
    if is_obeyed:
        config.load(str(path), "/root")
    else:
        with pytest.raises(PullConfigInvalid, match="may write to it"):
            config.load(str(path), "/root")


@pytest.mark.needs("root")
def test_a_file_of_another_user_is_not_obeyed(tmp_path: Path) -> None:
    path = tmp_path / "pull.toml"
    path.write_text(MINIMAL)
    os.chown(path, 12345, 12345)
    with pytest.raises(PullConfigInvalid, match="may write to it"):
        config.load(str(path), "/root")
