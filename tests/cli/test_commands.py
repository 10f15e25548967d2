"""What commands say when all goes well: word for word as Borg 1.4.5, when operations give them the same numbers."""

from __future__ import annotations

import io
import json
import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from bork.archive.head import ArchiveHead, ArchiveStats
from bork.errors import TarInvalid
from bork.operations.events import ArchiveProgress, EventSink, PercentProgress

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.cli.conftest import Run

ID = bytes.fromhex("3e2b009c943e9d7db0bd8f5d0de6f80cab9465d95f82c37f3cbd1f450e69125b")
REPOSITORY_ID = bytes.fromhex("99220eee6f1091ec0ce4b8cf5758f178e56678ed4797f3db7b7e8a88408d4686")
START_NS = 1795421534 * 1_000_000_000
HEAD = ArchiveHead(
    name="a",
    root=bytes(32),
    chunker=("gear", 19, 23, 21),
    hostname="vm",
    username="root",
    cwd="/tmp/x",
    comment="",
    command_line=("borg", "create", "--stats", "--list", "r::a", "d"),
    time_ns=START_NS,
    start_ns=START_NS,
    end_ns=START_NS + 7_189_000,
    roots=(b"d",),
    stats=ArchiveStats(items=7, files=2, chunks=2, original_size=6, compressed_size=92, deduplicated_size=92),
    sequence=1,
    ledger=bytes(32),
)
TOTALS = SimpleNamespace(
    total_size=6, total_csize=92, unique_size=1000, unique_csize=968, total_unique_chunks=4, total_chunks=4
)
DASHES = "-" * 78


class Recorder:
    """Stands for the ``run`` of an operation: keeps what it was given, says what it is told to say."""

    def __init__(self, outcome: object = None, events: list[tuple[Any, ...]] | None = None) -> None:
        self.outcome = outcome
        self.events = events or []
        self.calls: list[Sequence[Any]] = []

    def __call__(self, *arguments: object) -> object:
        self.calls.append(arguments)
        sink = arguments[-1]
        for name, *values in self.events:
            assert hasattr(EventSink, name)
            getattr(sink, name)(*values)
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome

    def options(self) -> SimpleNamespace:
        """What the operation was told: the last argument but the events."""
        options: SimpleNamespace = self.calls[0][-2]
        return options


@pytest.fixture
def create(native: None, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    from bork.operations import create as operation

    made = {"head": HEAD, "archive_id": ID, "totals": TOTALS, "end_ns": HEAD.end_ns, "stats": HEAD.stats}
    where = {"repository_id": REPOSITORY_ID, "encryption": "repokey", "key_location": "/r"}
    recorder = Recorder(SimpleNamespace(**made, **where))
    monkeypatch.setattr(operation, "run", recorder)
    return recorder


# ---- create ------------------------------------------------------------------------------------------------------

STATS = f"""\
{DASHES}
Repository: /r
Archive name: a
Archive fingerprint: {ID.hex()}
Time (start): Mon, 2026-11-23 08:12:14
Time (end):   Mon, 2026-11-23 08:12:14
Duration: 0.01 seconds
Number of files: 2
Utilization of max. archive size: 0%
{DASHES}
                       Original size      Compressed size    Deduplicated size
This archive:                    6 B                 92 B                 92 B
"""
STATS_OF_ALL = f"""\
All archives:                    6 B                 92 B                968 B

                       Unique chunks         Total chunks
Chunk index:                       4                    4
{DASHES}
"""


def test_create_says_nothing(run: Run, create: Recorder) -> None:
    said = run("create", "/r::a", "d")
    assert (said.code, said.out, said.err) == (0, "", "")


def test_create_stats_are_laid_out_as_by_borg(run: Run, create: Recorder) -> None:
    said = run("create", "--stats", "/r::a", "d")
    assert (said.code, said.out) == (0, "")
    assert said.err == STATS + STATS_OF_ALL


def test_create_quick_stats_leave_out_the_repository(run: Run, create: Recorder) -> None:
    assert run("create", "--quick-stats", "/r::a", "d").err == f"{STATS}{DASHES}\n"


def test_create_stats_as_json_log_are_one_message_a_line(run: Run, create: Recorder) -> None:
    lines = [json.loads(line) for line in run("create", "--log-json", "--stats", "/r::a", "d").err.splitlines()]
    assert {(line["type"], line["levelname"], line["name"]) for line in lines} == {
        ("log_message", "INFO", "borg.output.stats")
    }
    assert "".join(f"{line['message']}\n" for line in lines) == STATS + STATS_OF_ALL
    assert all(isinstance(line["time"], float) for line in lines)


def test_create_json_is_one_document_of_the_shape_of_borg(run: Run, create: Recorder) -> None:
    said = run("create", "--json", "/r::a", "d")
    assert said.err == ""
    assert json.loads(said.out) == {
        "archive": {
            "command_line": ["borg", "create", "--stats", "--list", "r::a", "d"],
            "duration": 0.007189,
            "end": "2026-11-23T08:12:14.000000",
            "id": ID.hex(),
            "limits": {"max_archive_size": 0.0},
            "name": "a",
            "start": "2026-11-23T08:12:14.000000",
            "stats": {"compressed_size": 92, "deduplicated_size": 92, "nfiles": 2, "original_size": 6},
        },
        "cache": {
            "path": os.path.join(os.environ["HOME"], ".cache/bork", REPOSITORY_ID.hex()),
            "stats": vars(TOTALS),
        },
        "encryption": {"mode": "repokey"},
        "repository": {
            "id": REPOSITORY_ID.hex(),
            "last_modified": "2026-11-23T08:12:14.000000",
            "location": "/r",
        },
    }
    assert said.out.startswith('{\n    "archive": {\n        "command_line": [\n')


def test_create_json_with_quick_stats_has_no_cache(run: Run, create: Recorder) -> None:
    assert "cache" not in json.loads(run("create", "--json", "--quick-stats", "/r::a", "d").out)


@pytest.mark.parametrize(
    ("indent", "start"), [("none", '{"archive"'), ("1", '{\n "archive"'), ("--", '{\n--"archive"')]
)
def test_the_indent_of_json_is_the_choice_of_the_user(run: Run, create: Recorder, indent: str, start: str) -> None:
    assert run("create", "--json", "/r::a", "d", BORG_JSON_INDENT=indent).out.startswith(start)


def test_a_dry_run_ignores_stats_and_says_so(run: Run, create: Recorder) -> None:
    create.outcome = SimpleNamespace(head=None)
    said = run("create", "--dry-run", "--stats", "/r::a", "d")
    assert said.err == "Ignoring --stats. It is not supported when using --dry-run.\n"
    assert create.options().dry_run


def test_the_options_of_create_reach_the_operation(run: Run, create: Recorder, tmp_path: Path) -> None:
    said = run(
        *("create", "/r::{hostname}-{utcnow:%Y}", "--timestamp", "2020-02-03", "--comment", "of {user}"),
        *("/a/./b", "-x", "--numeric-ids", "-C", "auto,zstd,7", "--chunker-params", "10,23,16,4095", "c"),
        *("--files-cache", "mtime,size", "--exclude-if-present", ".nobackup", "--pattern=+sh:**/x", "-e", "*.o"),
        *("--list", "--filter", "AME", "--files-changed", "mtime", "--read-special", "--lock-wait", "7"),
        BORG_HOSTNAME="alpha",
        BORG_USERNAME="ann",
        BORK_THREADS="3",
        BORG_KEYS_DIR="/keys",
    )
    assert (said.code, said.err) == (0, "")
    access, options, _ = create.calls[0]
    assert (access.path, access.keys_dir, access.lock_wait_s, access.threads) == ("/r", "/keys", 7.0, 3)
    assert options.archive == "alpha-2020"
    assert options.timestamp_ns == 1580688000 * 1_000_000_000
    assert (options.hostname, options.username, options.comment) == ("alpha", "ann", "of ann")
    assert options.command_line[:3] == ("bork", "create", "/r::{hostname}-{utcnow:%Y}")
    assert [tuple(root) for root in options.roots] == [(b"/a/b", b"b"), (b"c", b"c")]
    assert (options.one_file_system, options.numeric_ids, options.read_special, options.atime) == (True,) * 3 + (False,)
    assert tuple(options.compression) == ("zstd", 7, True, 0)
    assert options.chunker == ("gear", 10, 23, 16)
    assert (options.files_cache, options.files_changed) == ("mtime,size", "mtime")
    assert options.exclude_if_present == (b".nobackup",)
    assert [tuple(pattern) for pattern in options.patterns] == [("+", "sh", b"**/x"), ("!", "fm", b"*.o")]
    assert (options.lines.format, options.lines.filter) == ("text", b"AME")
    assert options.stdin is options.path_list is options.before_commit is None


def test_stdin_is_a_source(run: Run, create: Recorder) -> None:
    run("create", "/r::a", "-", "--stdin-name", "db.sql", "--stdin-mode", "0600", "--stdin-user", "u")
    assert tuple(create.options().stdin) == (0, b"db.sql", b"u", b"root", 0o600)
    assert create.options().roots == ()


def test_paths_come_from_stdin(run: Run, create: Recorder) -> None:
    run("create", "/r::a", "--paths-from-stdin", "--paths-delimiter", "\\0")
    assert tuple(create.options().path_list) == (0, b"\0")


def test_a_delimiter_without_a_list_of_paths_does_nothing(run: Run, create: Recorder) -> None:
    assert run("create", "--paths-delimiter", ",", "/r::a", "p,q").code == 0
    assert [root.source for root in create.options().roots] == [b"p,q"]


def test_the_last_of_several_chunker_params_wins(run: Run, create: Recorder) -> None:
    run("create", "--chunker-params", "fixed,4096", "--chunker-params", "10,23,16,4095", "/r::a", "p")
    assert create.options().chunker == ("gear", 10, 23, 16)


def test_content_comes_from_a_command_that_must_succeed(
    run: Run, create: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_all(access: object, options: SimpleNamespace, events: object) -> object:
        with os.fdopen(os.dup(options.stdin.fd), "rb") as file:
            assert file.read() == b"hello\n"
        options.before_commit()
        return create.outcome

    monkeypatch.setattr("bork.operations.create.run", read_all)
    words = ("create", "--content-from-command", "/r::a", "--", "sh", "-c")
    good = run(*words, "echo hello")
    assert (good.code, good.err) == (0, "")
    bad = run(*words, "echo hello; exit 3", BORG_EXIT_CODES="modern")
    assert (bad.code, bad.err) == (4, "Command Error: Command 'sh' exited with status 3\n")


def test_a_command_that_does_not_exist_is_an_error(run: Run, create: Recorder) -> None:
    said = run("create", "--paths-from-command", "/r::a", "no-such-program")
    assert said.code == 2
    assert said.err == "Command Error: Failed to execute command 'no-such-program': No such file or directory\n"
    assert not create.calls


def test_listed_items_go_to_stderr(run: Run, create: Recorder) -> None:
    create.events = [("lines", b"A d/f\nd d\n")]
    assert run("create", "--list", "/r::a", "d").err == "A d/f\nd d\n"


@pytest.mark.parametrize(
    ("kind", "message", "text", "code"),
    [
        (
            "not_found",
            "stat: [Errno 2] No such file or directory: 'd'",
            "d: stat: [Errno 2] No such file or directory: 'd'",
            107,
        ),
        ("changed", "", "d: file changed while we backed it up", 100),
    ],
)
def test_a_problem_with_one_item_is_a_warning(
    run: Run, create: Recorder, kind: str, message: str, text: str, code: int
) -> None:
    create.events = [("problem", kind, b"d", message)]
    said = run("create", "--show-rc", "/r::a", "d")
    assert (said.code, said.err) == (1, f"{text}\nterminating with warning status, rc 1\n")
    said = run("create", "--show-rc", "/r::a", "d", BORG_EXIT_CODES="modern")
    assert (said.code, said.err) == (code, f"{text}\nterminating with warning status, rc {code}\n")


def test_a_path_cannot_forge_a_line_of_the_log(run: Run, create: Recorder) -> None:
    create.events = [("problem", "io", b"x\nall is well\x1b[2J", "no")]
    assert run("create", "/r::a", "d").err == "x\\nall is well\\x1b[2J: no\n"


def test_progress_is_shown_only_if_it_is_asked_for(run: Run, create: Recorder) -> None:
    create.events = [
        ("progress", ArchiveProgress(1_000_000, 500_000, 1000, 3, b"d/f")),
        ("progress", ArchiveProgress(1, 1, 1, 1, b"", finished=True)),
    ]
    assert run("create", "/r::a", "d").err == ""
    assert run("create", "--log-json", "/r::a", "d").err == ""
    assert run("create", "-p", "/r::a", "d").err == "1.00 MB O 500.00 kB C 1.00 kB D 3 N d/f\n"
    first, last = (json.loads(line) for line in run("-p", "create", "--log-json", "/r::a", "d").err.splitlines())
    assert isinstance(first.pop("time"), float)
    assert first == {
        "original_size": 1_000_000,
        "compressed_size": 500_000,
        "deduplicated_size": 1000,
        "nfiles": 3,
        "path": "d/f",
        "type": "archive_progress",
        "finished": False,
    }
    assert sorted(last) == ["finished", "time", "type"]


# ---- list --------------------------------------------------------------------------------------------------------


class Listing(Recorder):
    """Stands for ``list.archives``."""

    def __init__(self, listing: SimpleNamespace) -> None:
        super().__init__(listing)
        self.listing = listing


@pytest.fixture
def archives(native: None, monkeypatch: pytest.MonkeyPatch) -> Listing:
    from bork.operations import list as operation

    entries = [
        SimpleNamespace(id=ID, head=HEAD),
        SimpleNamespace(id=ID, head=HEAD._replace(name="b \udcff", comment="c")),
    ]
    listing = SimpleNamespace(
        repository_id=REPOSITORY_ID,
        location="/r",
        encryption="repokey",
        key_location="/r",
        last_modified_ns=HEAD.end_ns,
        archives=entries,
        damaged=(),
    )
    recorder = Listing(listing)
    monkeypatch.setattr(operation, "archives", recorder)
    return recorder


def test_archives_are_listed_as_by_borg(run: Run, archives: Listing) -> None:
    archives.listing.archives.pop()
    said = run("list", "/r")
    assert said.err == ""
    assert said.out == f"a                                    Mon, 2026-11-23 08:12:14 [{ID.hex()}]\n"


def test_archives_are_listed_in_a_format(run: Run, archives: Listing) -> None:
    archives.listing.archives.pop()
    text = "{archive:5}|{archive:>5}|{time:%Y}|{hostname}|{comment}|{command_line}|{end}|{tam}{NL}"
    said = run("list", "--format", text, "/r")
    line = "a    |    a|2026|vm||borg create --stats --list r::a d|Mon, 2026-11-23 08:12:14|verified\n"
    assert said.out == line


def test_the_name_of_an_archive_is_text_but_where_it_is_asked_for_verbatim(run: Run, archives: Listing) -> None:
    assert run("list", "--short", "/r").out == "a\nb ?\n"
    not_utf8 = "\ufffd"  # what the capture makes of it
    assert run("list", "--format", "{name:<4}{barchive}{NL}", "/r").out == f"a   a\nb ? b {not_utf8}\n"


def test_archives_as_json_have_the_shape_of_borg(run: Run, archives: Listing) -> None:
    said = run("list", "--json", "--format", "{comment}{command_line}{unknown}{end}", "/r")
    document = json.loads(said.out)
    assert sorted(document) == ["archives", "encryption", "repository"]
    assert document["archives"][0] == {
        "archive": "a",
        "barchive": "a",
        "command_line": list(HEAD.command_line),
        "comment": "",
        "end": "2026-11-23T08:12:14.000000",
        "id": ID.hex(),
        "name": "a",
        "start": "2026-11-23T08:12:14.000000",
        "time": "2026-11-23T08:12:14.000000",
    }
    assert document["archives"][1]["name"] == "b ?"


def test_archive_filters_reach_the_operation(run: Run, archives: Listing) -> None:
    run("list", "/r", "-a", "{hostname}-*", "--last", "2", "--sort-by", "name,id", BORG_HOSTNAME="alpha")
    wanted = archives.calls[0][-1]
    assert (wanted.glob, wanted.prefix, wanted.first, wanted.last) == ("alpha-*", None, 0, 2)
    assert wanted.sort_by == ("name", "id")


@pytest.fixture
def items(native: None, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    from bork.operations import list as operation

    recorder = Recorder(None, [("lines", b"-rw-r--r-- d/f\xff\n")])
    monkeypatch.setattr(operation, "items", recorder)
    return recorder


def test_items_go_to_stdout(run: Run, items: Recorder) -> None:
    said = run("list", "/r::a", "d", "sh:**/x", "-e", "*.o")
    assert said.out.startswith("-rw-r--r-- d/f")
    options = items.options()
    assert items.calls[0][1] == "a"
    assert [tuple(path) for path in options.paths] == [("pp", b"d"), ("sh", b"**/x")]
    assert not options.json_lines


@pytest.mark.parametrize(
    ("command", "operation", "words"),
    [
        ("list", "list.items", ("/r::a",)),
        ("extract", "extract.run", ("/r::a",)),
        ("export-tar", "export_tar.run", ("/r::a", "-")),
        ("diff", "diff.run", ("/r::a", "b")),
        ("recreate", "recreate.run", ("/r",)),
    ],
)
def test_roots_of_patterns_are_paths_in_every_archive(
    run: Run, native: None, monkeypatch: pytest.MonkeyPatch, command: str, operation: str, words: tuple[str, ...]
) -> None:
    recorder = Recorder(SimpleNamespace(archives=(), totals=TOTALS), [("data", b"")] if command == "export-tar" else [])
    monkeypatch.setattr(f"bork.operations.{operation}", recorder)
    assert run(command, "--pattern", "R etc", *words, "home").code == 0
    assert [tuple(path) for path in recorder.options().paths] == [("pp", b"etc"), ("pp", b"home")]


def test_a_path_that_matches_nothing_is_an_empty_list(run: Run, items: Recorder) -> None:
    """Programs search many archives so; only extract reports it."""
    items.events = [("problem", "never_matched", b"nomatch", "")]
    said = run("list", "/r::a", "nomatch")
    assert (said.code, said.out, said.err) == (0, "", "")


def test_keys_that_nobody_knows_are_left_out_of_json_lines(run: Run, items: Recorder) -> None:
    run("list", "--json-lines", "--format", "{xxh64}{path}{linktarget}{target}", "/r::a")
    assert items.options().format == "{linktarget}{path}{xxh64}"
    assert items.options().json_lines


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--json", "/r::a"), "The --json option is only valid for listing archives, not archive contents."),
        (("--json-lines", "/r"), "The --json-lines option is only valid for listing archive contents, not archives."),
    ],
)
def test_the_wrong_json_option_is_refused(run: Run, native: None, words: tuple[str, ...], message: str) -> None:
    said = run("list", *words)
    assert (said.code, said.out, said.err) == (2, "", f"Command Error: {message}\n")
    assert run("list", *words, BORG_EXIT_CODES="modern").code == 4


# ---- info --------------------------------------------------------------------------------------------------------


@pytest.fixture
def about() -> SimpleNamespace:
    return SimpleNamespace(
        repository_id=REPOSITORY_ID,
        location="/r",
        encryption="repokey",
        key_location="/r",
        cache_dir="/c/1",
        security_dir="/s/1",
        last_modified_ns=HEAD.end_ns,
        totals=TOTALS,
        damaged=(),
    )


@pytest.fixture
def info(native: None, monkeypatch: pytest.MonkeyPatch, about: SimpleNamespace) -> None:
    from bork.operations import info as operation

    one = SimpleNamespace(archive=SimpleNamespace(id=ID, head=HEAD), repository=about)
    monkeypatch.setattr(operation, "repository", lambda _: about)
    monkeypatch.setattr(
        operation, "archives", lambda _, wanted: [] if getattr(wanted, "glob", None) == "zz*" else [one, one]
    )


def test_info_of_a_repository_looks_as_in_borg(run: Run, info: None) -> None:
    assert run("info", "/r").out == (
        f"Repository ID: {REPOSITORY_ID.hex()}\n"
        "Location: /r\n"
        "Encrypted: Yes (repokey)\n"
        "Cache: /c/1\n"
        "Security dir: /s/1\n"
        f"{DASHES}\n"
        "                       Original size      Compressed size    Deduplicated size\n"
        "All archives:                    6 B                 92 B                968 B\n"
        "\n"
        "                       Unique chunks         Total chunks\n"
        "Chunk index:                       4                    4\n"
    )


@pytest.mark.parametrize(
    ("mode", "text"),
    [
        ("none", "Encrypted: No\n"),
        ("authenticated", "Encrypted: No\n"),
        ("keyfile", "Encrypted: Yes (key file)\nKey file: /k/r\n"),
    ],
)
def test_info_names_the_encryption(run: Run, info: None, about: SimpleNamespace, mode: str, text: str) -> None:
    about.encryption, about.key_location = mode, "/k/r"
    assert text in run("info", "/r").out
    encryption = json.loads(run("info", "--json", "/r").out)["encryption"]
    assert encryption == ({"mode": mode, "keyfile": "/k/r"} if mode == "keyfile" else {"mode": mode})


def test_info_of_a_repository_as_json(run: Run, info: None) -> None:
    assert sorted(json.loads(run("info", "--json", "/r").out)) == ["cache", "encryption", "repository", "security_dir"]


def test_info_of_archives_looks_as_in_borg(run: Run, info: None) -> None:
    block = (
        "Archive name: a\n"
        f"Archive fingerprint: {ID.hex()}\n"
        "Comment: \n"
        "Hostname: vm\n"
        "Username: root\n"
        "Time (start): Mon, 2026-11-23 08:12:14\n"
        "Time (end): Mon, 2026-11-23 08:12:14\n"
        "Duration: 0.01 seconds\n"
        "Number of files: 2\n"
        "Working Directory: /tmp/x\n"
        "Command line: borg create --stats --list r::a d\n"
        "Utilization of maximum supported archive size: 0%\n"
        f"{DASHES}\n"
        "                       Original size      Compressed size    Deduplicated size\n"
        "This archive:                    6 B                 92 B                 92 B\n"
        "All archives:                    6 B                 92 B                968 B\n"
        "\n"
        "                       Unique chunks         Total chunks\n"
        "Chunk index:                       4                    4\n"
    )
    assert run("info", "--first", "2", "/r").out == f"{block}\n{block}"


def test_info_of_archives_as_json(run: Run, info: None) -> None:
    document = json.loads(run("info", "--json", "/r::a").out)
    assert sorted(document) == ["archives", "cache", "encryption", "repository"]
    archive = document["archives"][0]
    assert archive["chunker_params"] == ["gear", 19, 23, 21]
    assert sorted(archive) == sorted(
        (
            *("chunker_params", "command_line", "comment", "cwd", "duration", "end", "hostname", "id", "limits"),
            *("name", "start", "stats", "username"),
        )
    )


def test_info_of_no_archive_is_an_empty_list(run: Run, info: None) -> None:
    assert json.loads(run("info", "--json", "-a", "zz*", "/r").out)["archives"] == []


# ---- extract, check, key -----------------------------------------------------------------------------------------


def test_extract_into_a_foreign_root(run: Run, native: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from bork.operations import extract as operation

    recorder = Recorder(None)
    monkeypatch.setattr(operation, "run", recorder)
    assert run("extract", "--root", "/mnt/client", "/r::a").code == 0
    assert (recorder.options().target, recorder.options().foreign) == ("/mnt/client", True)
    assert "--root and --stdout exclude each other" in run("extract", "--root", "/mnt", "--stdout", "/r::a").err


def test_extract_lists_paths_and_shows_percents(run: Run, native: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from bork.operations import extract as operation

    events = [
        ("lines", b"d/sub\nd/sub/g\n"),
        ("progress", PercentProgress("extract", 1, 4, b"d/sub/g")),
        ("progress", PercentProgress("extract", 4, 4, b"", finished=True)),
    ]
    recorder = Recorder(None, events)
    monkeypatch.setattr(operation, "run", recorder)
    said = run("extract", "-p", "--list", "/r::a", "d/sub", "--strip-components", "1", "--sparse")
    assert said.err == "d/sub\nd/sub/g\n 25.0% Extracting: d/sub/g\n"
    assert (recorder.options().strip_components, recorder.options().sparse, recorder.options().to) == (1, True, "files")
    assert (recorder.options().target, recorder.options().foreign) == (".", False)
    lines = [json.loads(line) for line in run("extract", "-p", "--list", "--log-json", "/r::a").err.splitlines()]
    assert [line.pop("time") > 0 for line in lines] == [True] * 4
    assert lines == [
        {"type": "log_message", "message": "d/sub", "levelname": "INFO", "name": "borg.output.list"},
        {"type": "log_message", "message": "d/sub/g", "levelname": "INFO", "name": "borg.output.list"},
        {
            "message": " 25.0% Extracting: d/sub/g",
            "current": 1,
            "total": 4,
            "info": ["d/sub/g"],
            "operation": 1,
            "msgid": "extract",
            "type": "progress_percent",
            "finished": False,
        },
        {"operation": 1, "msgid": "extract", "type": "progress_percent", "finished": True},
    ]


def test_a_pattern_that_matched_nothing_is_a_warning(run: Run, native: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from bork.operations import extract as operation

    monkeypatch.setattr(operation, "run", Recorder(None, [("problem", "never_matched", b"nomatch", "")]))
    said = run("extract", "--dry-run", "/r::a", "nomatch", BORG_EXIT_CODES="modern")
    assert (said.code, said.err) == (101, "Include pattern 'nomatch' never matched.\n")


def test_extracted_content_goes_to_stdout_as_it_is(run: Run, native: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from bork.operations import extract as operation

    monkeypatch.setattr(operation, "run", Recorder(None, [("data", b"a\r\nb"), ("data", b"\0c")]))
    assert run("extract", "--stdout", "/r::a", "f").out == "a\r\nb\0c"


def test_a_dry_run_of_content_for_stdout_writes_nothing(
    run: Run, native: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bork.operations import extract as operation

    recorder = Recorder()
    monkeypatch.setattr(operation, "run", recorder)
    assert run("extract", "--stdout", "--dry-run", "/r::a").code == 0
    assert recorder.options().to == "nowhere"


def test_a_threshold_that_no_file_reaches_is_taken(run: Run, native: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from bork.operations import compact as operation

    recorder = Recorder(SimpleNamespace(missing_chunks=(), freed_bytes=0, waiting_bytes=0))
    monkeypatch.setattr(operation, "run", recorder)
    assert run("compact", "--threshold", "200", "/r").code == 0
    assert recorder.options().threshold == 200


def test_an_import_names_the_filter_that_has_failed(
    run: Run, native: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def read_all(access: object, options: SimpleNamespace, events: object) -> None:
        with os.fdopen(os.dup(options.fd), "rb") as file:
            file.read()
        raise TarInvalid("x", "it ends too early")

    monkeypatch.setattr("bork.operations.import_tar.run", read_all)
    (tmp_path / "x").write_bytes(b"")
    said = run("import-tar", "--tar-filter", "false", "/r::a", str(tmp_path / "x"), BORG_EXIT_CODES="modern")
    assert (said.code, said.err) == (4, "Command Error: filter false failed, rc=1\n")
    assert run("import-tar", "/r::a", str(tmp_path / "x")).err.startswith("x cannot be imported: it ends too early")


@pytest.mark.parametrize("modern", ["legacy", "modern"])
def test_damage_that_check_finds_is_exit_code_1(
    run: Run, native: None, monkeypatch: pytest.MonkeyPatch, modern: str
) -> None:
    from bork.operations import check as operation

    recorder = Recorder(
        SimpleNamespace(problems=1, complete=True, repaired=None),
        [("problem", "damaged", b"packs/00/11", "hash is wrong")],
    )
    monkeypatch.setattr(operation, "run", recorder)
    said = run("check", "/r", BORG_EXIT_CODES=modern)
    assert said.code == 1
    assert said.err.splitlines()[0] == "packs/00/11: hash is wrong"


@pytest.mark.parametrize(
    ("words", "repository", "archives"),
    [((), True, True), (("--repository-only",), True, False), (("--archives-only",), False, True)],
)
def test_check_does_what_it_is_asked_to(
    run: Run,
    native: None,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    repository: bool,
    archives: bool,
) -> None:
    from bork.operations import check as operation

    recorder = Recorder(SimpleNamespace(problems=0, complete=True, repaired=None))
    monkeypatch.setattr(operation, "run", recorder)
    assert run("check", *words, "/r").code == 0
    assert (recorder.options().repository, recorder.options().archives) == (repository, archives)


@pytest.mark.parametrize(
    ("complete", "text"), [(True, ""), (False, "The next check with --max-duration goes on from here.\n")]
)
def test_a_check_that_was_not_complete_says_what_comes_next(
    run: Run, native: None, monkeypatch: pytest.MonkeyPatch, complete: bool, text: str
) -> None:
    from bork.operations import check as operation

    monkeypatch.setattr(operation, "run", Recorder(SimpleNamespace(problems=0, complete=complete, repaired=None)))
    assert run("check", "-v", "--repository-only", "--max-duration", "5", "/r").err == text


@pytest.mark.parametrize(("words", "style"), [((), "file"), (("--paper",), "paper"), (("--qr-html",), "qr-html")])
def test_a_key_is_exported_to_stdout(
    run: Run, native: None, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], style: str
) -> None:
    from bork.operations import key as operation

    monkeypatch.setattr(operation, "export", lambda _, path, style: f"{path} {style}\n")
    assert run("key", "export", *words, "/r").out == f"None {style}\n"


def test_a_key_is_exported_to_a_file_in_silence(
    run: Run, native: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from bork.operations import key as operation

    monkeypatch.setattr(operation, "export", lambda *_: "BORK_KEY")
    assert run("key", "--info", "export", "/r", str(tmp_path / "out")).out == ""
    said = run("key", "export", "/r", str(tmp_path))
    assert (said.code, said.err) == (2, f"Command Error: '{tmp_path}' must be a file, not a directory\n")


def test_a_key_is_imported_from_a_file(run: Run, native: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from bork.operations import key as operation

    recorder = Recorder("/r")
    monkeypatch.setattr(operation, "import_", lambda *arguments, **_: recorder(*arguments, None))
    (tmp_path / "key").write_text("BORK_KEY 00\n")
    assert run("key", "import", "/r", str(tmp_path / "key")).code == 0
    assert recorder.calls[0][1] == "BORK_KEY 00\n"
    assert run("key", "import", "/r").err == "Command Error: expected input file to import key from\n"
    assert run("key", "import", "/r", "nofile").err == "Command Error: input file does not exist: nofile\n"
    assert run("key", "import", "--paper", "/r", "x").err == (
        "Command Error: with --paper import from file is not supported\n"
    )


class Paper:
    """Stands for ``key.PaperReader``: two lines, of which the word ``wrong`` is none."""

    def __init__(self) -> None:
        self.typed: list[str] = []

    @property
    def prompt(self) -> str:
        return f"{len(self.typed):2d}: " if self.typed else "id: "

    @property
    def complete(self) -> bool:
        return len(self.typed) == 2

    @property
    def text(self) -> str:
        return "|".join(self.typed)

    def line(self, typed: str) -> None:
        if typed.strip() == "wrong":
            raise ValueError("checksum does not match")
        self.typed.append(typed.strip())


@pytest.mark.parametrize(
    ("typed", "code", "talk"),
    [
        ("head\nwrong\nline\n", 0, "id:  1: checksum does not match, try again\n 1: "),
        ("head\n\nn\nline\n", 0, "id:  1: Abort import? [yN]:  1: "),
        ("head\n\ny\n", 3, "id:  1: Abort import? [yN]: Cancelled by user.\n"),
        ("head\n", 3, "id:  1: Cancelled by user.\n"),
    ],
)
def test_a_key_is_typed_in_from_paper(
    run: Run, native: None, monkeypatch: pytest.MonkeyPatch, typed: str, code: int, talk: str
) -> None:
    from bork.operations import key as operation

    recorder = Recorder("/r")
    monkeypatch.setattr(operation, "paper_reader", lambda _: Paper())
    monkeypatch.setattr(operation, "import_", lambda *arguments, **_: recorder(*arguments, None))
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    said = run("key", "import", "--paper", "/r", BORG_EXIT_CODES="modern")
    assert (said.code, said.err) == (code, talk)
    assert [call[1:3] for call in recorder.calls] == ([("head|line", True)] if code == 0 else [])


def test_changing_the_passphrase_names_the_key(run: Run, native: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from bork.operations import key as operation

    monkeypatch.setattr(operation, "change_passphrase", lambda _: "/r")
    assert run("key", "--info", "change-passphrase", "/r").err == "Key updated\nKey location: /r\n"
    assert run("key", "change-passphrase", "/r").err == ""


def test_init_reminds_of_the_key(run: Run, native: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from bork.operations import init as operation

    recorder = Recorder()

    def make(access: object, options: operation.InitOptions) -> SimpleNamespace:
        recorder(access, options, None)
        return SimpleNamespace(encryption=options.encryption, key_location={"none": None}.get(options.encryption, "/r"))

    monkeypatch.setattr(operation, "run", make)
    said = run("init", "-e", "repokey-blake2", "--storage-quota", "5G", "--make-parent-dirs", "/r")
    assert said.code == 0
    assert said.err.startswith("\nIMPORTANT: you will need both KEY AND PASSPHRASE to access this repo!\n\n")
    options = recorder.options()
    assert (options.encryption, options.storage_quota, options.make_parent_dirs) == ("repokey", 5_000_000_000, True)
    assert run("init", "-e", "none", "/r").err == ""


def test_version_names_both_sides(run: Run) -> None:
    assert run("version", "/r").out == "1.4.99 / 1.4.99\n"
    assert run("version").out == "1.4.99 / 1.4.99\n"


@pytest.mark.parametrize("topic", ["patterns", "placeholders", "compression", "create", "key", "key export", ""])
def test_help_goes_to_stdout(run: Run, topic: str) -> None:
    said = run("help", *topic.split())
    assert (said.code, said.err) == (0, "")
    assert len(said.out) > 200
