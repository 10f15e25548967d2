"""What ``bork recreate`` makes of its command line, and what it says: the texts are those of Borg 1.4.5."""

from types import SimpleNamespace

import pytest

from tests.cli.conftest import Run
from tests.cli.test_commands import HEAD, ID, STATS, TOTALS, Recorder


def archive(action: str, name: str = "a") -> SimpleNamespace:
    entry = SimpleNamespace(head=HEAD, id=ID) if action == "recreated" else None
    return SimpleNamespace(name=name, action=action, entry=entry)


@pytest.fixture
def recreate(native: None, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    from bork.operations import recreate as operation

    recorder = Recorder(SimpleNamespace(archives=(archive("recreated"),), totals=TOTALS))
    monkeypatch.setattr(operation, "run", recorder)
    return recorder


def test_the_options_reach_the_operation(run: Run, recreate: Recorder) -> None:
    from bork.operations.create import Compression

    said = run(
        *("recreate", "-e", "*.o", "--exclude-caches", "--exclude-if-present", ".no", "--keep-exclude-tags"),
        *("--target", "b", "--comment", "", "--timestamp", "2024-12-24T18:00:00", "-C", "zstd,7"),
        *("--recompress", "always", "--chunker-params", "fixed,4096", "--list", "/r::a", "home", "etc"),
    )
    assert (said.code, said.out, said.err) == (0, "", "")
    options = recreate.options()
    assert [pattern.text for pattern in options.patterns] == [b"*.o"]
    assert [path.text for path in options.paths] == [b"home", b"etc"]
    assert (options.exclude_caches, options.exclude_if_present, options.keep_exclude_tags) == (True, (b".no",), True)
    assert (options.target, options.comment) == ("b", "")
    assert options.timestamp_ns == 1735063200 * 10**9
    assert options.compression == Compression("zstd", 7)
    assert (options.recompress, options.chunker) == ("always", ("fixed", 4096, 0))
    assert recreate.calls[0][1] == "a"


def test_what_is_not_given_stays_as_it_is(run: Run, recreate: Recorder) -> None:
    run("recreate", "/r::a", "home")
    options = recreate.options()
    assert (options.target, options.comment, options.timestamp_ns, options.chunker) == (None, None, None, None)
    assert options.recompress == "never"


@pytest.mark.parametrize(
    ("words", "mode"),
    [
        ("--recompress /r::a", "if-different"),
        ("--recompress -C zstd /r::a", "if-different"),
        ("--recompress always /r::a", "always"),
        ("--recompress=never /r::a", "never"),
        ("--recompress ::a", "if-different"),
        ("/r::a --recompress", "if-different"),
    ],
)
def test_recompress_needs_no_mode(run: Run, recreate: Recorder, words: str, mode: str) -> None:
    assert run("recreate", *words.split(), BORG_REPO="/r").code == 0
    assert recreate.options().recompress == mode


def test_a_mode_that_recompress_does_not_have_is_not_taken_for_a_repository(run: Run, recreate: Recorder) -> None:
    said = run("recreate", "--recompress", "foo", "/r::a")
    assert said.code == 2
    assert "argument --recompress: invalid choice: 'foo' (choose from 'never', 'if-different', 'always')" in said.err


def test_default_chunker_params_are_those_of_create(run: Run, recreate: Recorder) -> None:
    run("recreate", "--chunker-params", "default", "/r::a")
    assert recreate.options().chunker == ("gear", 18, 22, 20)


def test_statistics_are_those_of_the_new_archive(run: Run, recreate: Recorder) -> None:
    assert run("recreate", "-s", "/r::a", "home").err.startswith(STATS)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--target b /r", "--target: Need to specify single archive"),
        ("--comment x /r::a.recreate", "Refusing to work on temporary archive of prior recreate: a.recreate"),
    ],
)
def test_what_makes_no_sense_is_refused(run: Run, recreate: Recorder, words: str, text: str) -> None:
    said = run("recreate", *words.split())
    assert (said.code, said.err) == (2, f"Command Error: {text}\n")
    assert recreate.calls == []


@pytest.mark.parametrize("name", ["", "b/c", "b::c"])
def test_a_target_that_is_no_name_of_an_archive_replaces_nothing(run: Run, recreate: Recorder, name: str) -> None:
    said = run("recreate", "--target", name, "/r::a", "home")
    assert said.code == 2
    assert said.err.startswith(f'bork recreate: error: argument --target: Invalid archive name: "{name}". ')
    assert recreate.calls == []


def test_nothing_to_do_is_an_error_for_one_archive_and_none_for_a_repository(run: Run, recreate: Recorder) -> None:
    recreate.outcome = SimpleNamespace(archives=(archive("skipped"),), totals=TOTALS)
    nothing = "Nothing to do. Archive was not processed."
    said = run("recreate", "/r::a")
    assert said.code == 2
    assert said.err == (
        f"Command Error: {nothing} "
        "Specify at least one pattern, PATH, --comment, re-compression or re-chunking option.\n"
    )
    said = run("recreate", "--info", "/r")
    assert (said.code, said.err) == (0, f"Skipped archive a: {nothing}\n")


def test_an_archive_that_is_not_emptied_is_a_warning(run: Run, recreate: Recorder) -> None:
    recreate.outcome = SimpleNamespace(archives=(archive("emptied"),), totals=TOTALS)
    said = run("recreate", "/r::a", "typo")
    assert said.code == 1
    assert said.err == 'No item of archive a would be left. It stays as it is; "bork delete" deletes archives.\n'


def test_each_archive_of_a_repository_is_announced(run: Run, native: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from bork.operations import recreate as operation
    from bork.operations.selection import ArchiveName

    def announce(_access: object, _name: object, options: operation.RecreateOptions, _events: object) -> object:
        assert options.announce is not None
        for name in ("a", "b"):
            options.announce(ArchiveName(name))
        return SimpleNamespace(archives=(), totals=TOTALS)

    monkeypatch.setattr(operation, "run", announce)
    assert run("recreate", "/r").out == "Processing a\nProcessing b\n"


def test_a_dry_run_has_no_statistics(run: Run, recreate: Recorder) -> None:
    recreate.outcome = SimpleNamespace(archives=(archive("dry_run"),), totals=None)
    said = run("recreate", "-n", "-s", "/r::a", "home")
    assert (said.code, said.err) == (0, "Ignoring --stats. It is not supported when using --dry-run.\n")
