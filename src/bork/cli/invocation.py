"""One call of one command: its values, and what a command needs to turn them into an operation."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NoReturn

import bork
from bork.cli import location as locations
from bork.cli.exit_codes import Warnings
from bork.cli.parser import BadArguments, Values, program_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from bork.cli.environment import Environment
    from bork.cli.options import Command, Positional
    from bork.cli.output.console import Console
    from bork.cli.output.sink import Sink
    from bork.cli.patterns import Rules
    from bork.cli.questions import Questions
    from bork.cli.signals import Signals
    from bork.errors import BorkError
    from bork.operations.access import Access, Stores
    from bork.operations.events import LogLevel
    from bork.operations.selection import ArchiveFilter, ItemLines
    from bork.operations.totals import DeletedTotals


class Invocation:
    """Handed to ``run`` of a command's module."""

    def __init__(
        self,
        argv: tuple[str, ...],  # the whole command line, with the program, for the archive's metadata
        command: Command,
        values: Values,
        rules: Rules,
        console: Console,
        environment: Environment,
        signals: Signals,
    ) -> None:
        self.program = program_name(argv[0])
        self.argv = argv
        self.command = command
        self.values = values
        self.rules = rules
        self.console = console
        self.environment = environment
        self.signals = signals
        self.warnings = Warnings()
        self.exit_code: int | None = None  # of a program that the command has run; None: by the warnings

    def fail(self, message: str) -> NoReturn:
        """Refuse the command line: one line, exit code 2."""
        raise BadArguments(message, self.command.name)

    # ---- values --------------------------------------------------------------------------------------------------

    def expand(self, text: str, now: datetime | None = None) -> str:
        """``text`` with its placeholders replaced."""
        if "{" not in text and "}" not in text:
            return text
        from bork.cli.placeholders import Placeholders, replace  # late: most texts have none

        return replace(text, Placeholders(self.environment, now))

    def expanded(self, dest: str) -> str | None:
        text = self.values.optional(dest)
        return None if text is None else self.expand(text)

    def location(self, dest: str = "location", now: datetime | None = None) -> locations.Location:
        """The repository, and the archive where the command takes one. ``now``: ``--timestamp``, for placeholders."""
        positional = next(one for one in self.command.positionals if one.dest == dest)
        text = self.values.optional(dest) or ""
        parsed = locations.parse(
            text,
            default_repository=lambda: self.environment.get("REPO"),
            replace=lambda raw: self.expand(raw, now),
        )
        if parsed is None:
            self._bad_location(positional, text)
        if positional.kind == "archive" and not parsed.archive:
            self.fail(f'argument {positional.metavar}: "{text}": No archive specified')
        if positional.kind == "repository" and parsed.archive:
            self.fail(f'argument {positional.metavar}: "{text}": No archive can be specified')
        return parsed

    def _bad_location(self, positional: Positional, text: str) -> NoReturn:
        if text in ("", "::") or text.startswith("::"):
            self.fail(f"argument {positional.metavar}: no repository given, and BORK_REPO (or BORG_REPO) names none")
        self.fail(f'argument {positional.metavar}: Invalid location format: "{text}"')

    def paths(self, dest: str = "paths") -> list[str]:
        paths = self.values.texts(dest)
        if "" in paths:
            self.fail("argument PATH: Empty strings are not accepted as paths.")
        return paths

    # ---- what operations take ------------------------------------------------------------------------------------

    def questions(self) -> Questions:
        from bork.cli.questions import Questions  # late: not every command may ask

        return Questions(self.console, self.environment)

    def access(self, location: locations.Location) -> Access:
        """How to reach the repository of ``location``."""
        from bork.cli.passphrase import Passphrases  # late: not every command opens a repository
        from bork.operations.access import Access, LocalStores  # late: --dry-run needs no repository

        questions = self.questions()
        return Access(
            path=location.canonical(),
            is_local=location.is_local,
            stores=LocalStores() if location.is_local else self._remote_stores(location),
            passphrases=Passphrases(self.console, self.environment, questions),
            cache_dir=self.environment.cache_dir(),
            keys_dir=self.environment.keys_dir(),
            security_dir=self.environment.security_dir(),
            key_file=self.environment.get("KEY_FILE"),
            questions=questions,
            lock_wait_s=float(self.values.number("lock_wait")),
            bypass_lock=self.values.flag("bypass_lock"),
            threads=self.threads(),
        )

    def _remote_stores(self, location: locations.Location) -> Stores:
        """How to reach a repository behind ssh. Nothing is started yet."""
        from bork.operations.access import RemoteStores  # late: 15 ms for remote repositories only
        from bork.storage.remote.command import Server, connect_command
        from bork.storage.remote.connection import Settings

        server = Server(location.host or "", location.user, location.port)
        remote_path = self.expanded("remote_path") or self.expand(self.environment.get("REMOTE_PATH") or "bork")
        options = [f"--{level}" for level in ("info", "debug") if self.console.shows(level)][-1:]
        settings = Settings(
            command=connect_command(server, self.rsh(), remote_path, *options),
            program=f"bork {bork.__version__}",
            say=lambda line: self.console.log("warning", f"Remote: {line}"),
            rate_bytes_s=1024 * max(0, self.values.number("upload_ratelimit")),
            buffer_bytes=(1 << 20) * max(0, self.values.number("upload_buffer")),
        )
        return RemoteStores(location.remote_path(), settings)

    def rsh(self) -> str:
        """The command that connects to other hosts: ``--rsh``, else ``BORK_RSH``, else ssh."""
        return self.values.optional("rsh") or self.environment.get("RSH") or "ssh"

    def threads(self) -> int:
        """``--threads``, else ``BORK_THREADS``, else 0: as many as fit the machine."""
        if (given := self.values.get("threads")) is not None:
            assert isinstance(given, int)
            return given
        text = self.environment.get("THREADS") or "0"
        if not text.isdecimal():
            self.fail(f"{self.environment.name_of('THREADS')} is {text!r}, not a number")
        return int(text)

    def sink(
        self,
        lines_to: Callable[[bytes], None] | None = None,
        *,
        data_to: Callable[[bytes], None] | None = None,
        problem_level: LogLevel = "warning",
        ignored_problems: frozenset[str] = frozenset(),
    ) -> Sink:
        """The receiver of the events of an operation."""
        from bork.cli.output.sink import Sink  # late: not every command runs an operation

        return Sink(
            self.console,
            self.warnings,
            show_progress=self.values.flag("progress"),
            lines_to=lines_to,
            data_to=data_to,
            problem_level=problem_level,
            ignored_problems=ignored_problems,
            is_cancelled=self.signals.is_cancelled,
        )

    def item_lines(self) -> ItemLines | None:
        """``--list`` and ``--filter``."""
        from bork.operations.selection import ItemLines  # late: with the operations

        if not self.values.flag("output_list"):
            return None
        letters = self.values.optional("output_filter")
        return ItemLines(
            format="json" if self.console.log_json else "text",
            filter=None if letters is None else letters.encode("ascii", "replace"),
        )

    def report_damage(self, damaged: Sequence[BorkError]) -> None:
        """Raise for what could not be opened, when everything else has been shown."""
        if damaged:
            for fault in damaged[1:]:
                self.console.log("error", str(fault), msgid=fault.msgid)
            raise damaged[0]

    def wants_stats(self) -> bool:
        """``--stats`` or ``--quick-stats`` of a command that deletes; with ``--dry-run`` there are none."""
        option = "--quick-stats" if self.values.flag("quick_stats") else "--stats"
        if not (self.values.flag("stats") or self.values.flag("quick_stats")):
            return False
        if self.values.flag("dry_run"):
            self.console.talk(f"Ignoring {option}. It is not supported when using --dry-run.")
            return False
        return True

    def show_deleted(self, totals: DeletedTotals) -> None:
        """The block of ``--stats``."""
        from bork.cli import report  # late: only for who wants to see it
        from bork.cli.output.console import STATS

        self.console.log_lines(report.deleted(totals, iec=self.console.iec), name=STATS)

    def archive_filter(self) -> ArchiveFilter:
        """``--prefix``, ``--glob-archives``, ``--sort-by``, ``--first``, ``--last``, ``--consider-checkpoints``."""
        from bork.operations.selection import ArchiveFilter  # late: with the operations

        keys = self.values["sort_by"]
        assert isinstance(keys, tuple)
        return ArchiveFilter(
            glob=self.expanded("glob_archives"),
            prefix=self.expanded("prefix"),
            first=self.values.number("first"),
            last=self.values.number("last"),
            sort_by=keys,
            consider_checkpoints=self.values.flag("consider_checkpoints"),
        )

    def filters_archives(self) -> bool:
        """Whether an option chooses among archives, so that a repository stands for some of its archives."""
        return any(self.values.get(dest) for dest in ("glob_archives", "first", "last")) or (
            self.values.get("prefix") is not None
        )

    def apply_process_settings(self) -> None:
        """``--umask``: before anything is written."""
        os.umask(self.values.number("umask"))
