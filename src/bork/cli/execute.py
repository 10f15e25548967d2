"""Run one command line, from its words to the exit code. Everything that can be raised ends here, in one line."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

import bork
from bork.cli import exit_codes, parser
from bork.cli.commands import COMMANDS, GROUPS
from bork.cli.environment import Environment
from bork.cli.invocation import Invocation
from bork.cli.options import Command
from bork.cli.output import console as consoles
from bork.cli.output.console import Console
from bork.cli.output.streams import ClosedOutput
from bork.cli.parser import BadArguments
from bork.cli.patterns import Rules
from bork.cli.signals import MESSAGES, Interrupted, Signals
from bork.errors import BorkError, CommandError, InternalError

if TYPE_CHECKING:
    from collections.abc import Sequence

SIGPIPE = 13  # what ends other programs when their reader has gone

# Options that imply that something of the INFO level appears.
_SHOWING = {
    "output_list": consoles.LIST,
    "stats": consoles.STATS,
    "quick_stats": consoles.STATS,
    "show_rc": consoles.SHOW_RC,
    "show_version": consoles.SHOW_VERSION,
}


def execute(argv0: str, words: Sequence[str], signals: Signals, environment: Environment | None = None) -> int:
    """The exit code of ``words``, after everything that there is to say was said."""
    return _Run(argv0, words, environment or Environment()).to_the_end(signals)


class _Run:
    """What is known of a command line when something goes wrong with it: more and more."""

    def __init__(self, argv0: str, words: Sequence[str], environment: Environment) -> None:
        self.program = parser.program_name(argv0)
        self.argv = (argv0, *words)
        self.words = words
        self.environment = environment
        # Until the options are parsed: enough to say what is wrong with them.
        self.console = Console(log_json="--log-json" in words, level="debug" if "--debug" in words else "warning")
        self.show_rc = False

    def to_the_end(self, signals: Signals) -> int:
        try:
            code = self._guarded(signals)
            if self.show_rc:
                kind = exit_codes.classify(code)
                level = {"success": "info", "warning": "warning"}.get(kind, "error")
                word = "error" if kind == "signal" else kind
                self.console.log(level, f"terminating with {word} status, rc {code}", name=consoles.SHOW_RC)
        except Interrupted as interrupt:
            # While the last lines were written.
            code = exit_codes.of_signal(interrupt.number)
        return code

    def _guarded(self, signals: Signals) -> int:
        """Run, and turn whatever is raised into one line and a number."""
        try:
            code = self._run(signals)
            self.console.out.flush()
            self.console.clear_live_line()
            return code
        except ClosedOutput:
            # The reader has seen what it wanted to see: as with Borg no failure, unless it was to get whole files.
            self.console.out.drop()
            return exit_codes.of_signal(SIGPIPE) if self.console.out.holds_content else exit_codes.SUCCESS
        except BadArguments as error:
            name = f"{self.program} {error.command}".strip()
            self._report(f'{name}: error: {str(error).removesuffix(".")}. See "{name} --help".', None)
            return exit_codes.ERROR
        except BorkError as error:
            if signals.received:
                # The operation has turned the signal into an orderly end of its own.
                return self._interrupted(signals.received)
            self._flush_quietly()
            self._report(with_advice(error), error.msgid)
            return exit_codes.of_error(error, modern=self.environment.modern_exit_codes())
        except Interrupted as interrupt:
            return self._interrupted(interrupt.number)
        except KeyboardInterrupt:
            return self._interrupted(2)
        except SystemExit as ending:
            # No code of Bork does this; a library that gives up must not decide our exit code.
            return self._internal(f"SystemExit {ending.code}")
        except MemoryError:
            self._report("Out of memory. Use fewer threads (--threads), or a machine with more memory.", None)
            return exit_codes.ERROR
        except Exception as error:  # noqa: BLE001 (the last line of defence: no traceback for the user)
            return self._internal(f"{type(error).__name__}: {error}")

    def _internal(self, detail: str) -> int:
        self._flush_quietly()
        self._report(with_advice(InternalError(detail)), "InternalError")
        return exit_codes.ERROR

    def _interrupted(self, number: int) -> int:
        self._flush_quietly()
        message, msgid = MESSAGES[next(known for known in MESSAGES if known == number)]
        self._report(message, msgid)
        return exit_codes.of_signal(number)

    def _report(self, message: str, msgid: str | None) -> None:
        """The one line of an error; the traceback only for who has asked for ``--debug``."""
        self.console.log("error", message, msgid=msgid)
        if self.console.shows("debug"):
            import traceback  # late: 4 ms for developers

            self.console.log("debug", traceback.format_exc().rstrip())

    def _flush_quietly(self) -> None:
        """Whatever was listed before the error is still a result."""
        try:
            self.console.out.flush()
        except (ClosedOutput, BorkError):
            self.console.out.drop()

    # ---- the command ---------------------------------------------------------------------------------------------

    def _run(self, signals: Signals) -> int:
        line = parser.split_command(self.words)
        if line.version:
            from bork.cli.main import print_version  # late: main.py imports this module

            return print_version(self.program)
        if line.command in GROUPS or not line.command:
            return self._overview(line)
        parser.require_known(line.command)
        module = load(line.command)
        rules = Rules()
        values = parser.parse(module.COMMAND, line.words, rules)
        if values.flag("help"):
            from bork.cli.help import command_help  # late: argparse formats it

            self.console.result(command_help(self.program, module.COMMAND))
            return exit_codes.SUCCESS
        self.console = _console(values)
        self.show_rc = values.flag("show_rc")
        for warning in values.deprecated:
            self.console.talk(warning)
        invocation = Invocation(self.argv, module.COMMAND, values, rules, self.console, self.environment, signals)
        return self._command(module, invocation)

    def _command(self, module: ModuleType, invocation: Invocation) -> int:
        values = invocation.values
        if values.flag("bypass_lock") and not invocation.command.may_bypass_lock:
            raise CommandError("Not allowed to bypass locking mechanism for chosen command")
        invocation.apply_process_settings()
        if values.flag("show_version"):
            version = f"bork version {bork.BORG_VERSION} (Bork {bork.__version__})"
            self.console.log("info", version, name=consoles.SHOW_VERSION)
        if profile := values.optional("debug_profile"):
            from bork.cli.profile import profiled  # late: only for --debug-profile

            profiled(profile, module.run, invocation)
        else:
            module.run(invocation)
        if invocation.exit_code is not None:
            return invocation.exit_code
        return invocation.warnings.exit_code(modern=self.environment.modern_exit_codes())

    def _overview(self, line: parser.CommandLine) -> int:
        """What there is, for who has named no command."""
        from bork.cli.help import group_help, main_help  # late: argparse formats it

        parser.parse(Command(line.command, ""), line.words)
        self.console.result(group_help(self.program, line.command) if line.command else main_help(self.program))
        return exit_codes.SUCCESS


def with_advice(error: BorkError) -> str:
    """What, where, and what to do: one line."""
    message = str(error)
    if not error.advice:
        return message
    return f"{message} {error.advice}" if message.endswith((".", "!", "?")) else f"{message}. {error.advice}"


def _console(values: parser.Values) -> Console:
    return Console(
        level=values.text("log_level"),
        log_json=values.flag("log_json"),
        iec=values.flag("iec"),
        shown=frozenset(logger for dest, logger in _SHOWING.items() if values.get(dest)),
    )


def load(command: str) -> ModuleType:  # noqa: C901 (a table, in a form that the layers' proof can read)
    """The module of a command of ``COMMANDS``. Written out, since the imports of a program should be seen in it."""
    module: ModuleType
    # Late: a command pays for nothing that belongs to another one.
    match command:
        case "break-lock":
            from bork.cli.commands import break_lock as module
        case "check":
            from bork.cli.commands import check as module
        case "compact":
            from bork.cli.commands import compact as module
        case "config":
            from bork.cli.commands import config as module
        case "create":
            from bork.cli.commands import create as module
        case "delete":
            from bork.cli.commands import delete as module
        case "diff":
            from bork.cli.commands import diff as module
        case "export-tar":
            from bork.cli.commands import export_tar as module
        case "extract":
            from bork.cli.commands import extract as module
        case "help":
            from bork.cli.commands import help as module
        case "import-tar":
            from bork.cli.commands import import_tar as module
        case "info":
            from bork.cli.commands import info as module
        case "init":
            from bork.cli.commands import init as module
        case "key change-passphrase":
            from bork.cli.commands import key_change_passphrase as module
        case "key export":
            from bork.cli.commands import key_export as module
        case "key export-related-secrets":
            from bork.cli.commands import key_export_related_secrets as module
        case "key import":
            from bork.cli.commands import key_import as module
        case "list":
            from bork.cli.commands import list as module
        case "prune":
            from bork.cli.commands import prune as module
        case "pull":
            from bork.cli.commands import pull as module
        case "push":
            from bork.cli.commands import push as module
        case "recreate":
            from bork.cli.commands import recreate as module
        case "rename":
            from bork.cli.commands import rename as module
        case "serve":
            from bork.cli.commands import serve as module
        case "source":
            from bork.cli.commands import source as module
        case "status":
            from bork.cli.commands import status as module
        case "version":
            from bork.cli.commands import version as module
        case "with-lock":
            from bork.cli.commands import with_lock as module
        case _:
            raise AssertionError(f"{command} is in {list(COMMANDS)}, but has no module")
    return module
