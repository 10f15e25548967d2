"""``bork pull --client-encrypts``: its options, and what is shown of what the client and ``bork serve`` tell."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from bork.cli.environment import without
from bork.cli.options import Option
from bork.cli.output import console as consoles
from bork.cli.output.text import encode, one_line
from bork.errors import CommandError
from bork.operations.events import ArchiveProgress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bork.cli.invocation import Invocation
    from bork.cli.location import Location
    from bork.cli.output.console import Console
    from bork.operations.create import CreateOptions
    from bork.pull.blind.order import Order, Talk
    from bork.storage.remote.command import Server

ENCRYPTIONS = ("repokey", "keyfile", "authenticated", "none")
OPTIONS = (
    Option(
        ("--client-encrypts",),
        "client_encrypts",
        "the client encrypts with its own key, and this server cannot read what it stores; needs Bork on the client",
    ),
    Option(
        ("--passphrase-from-server",),
        "passphrase_from_server",
        "with --client-encrypts: hand the passphrase of this server over to the client",
    ),
    Option(
        ("--init",),
        "client_init",
        "with --client-encrypts: if there is no repository, let the client make it first, in this encryption mode",
        "MODE",
        choices=ENCRYPTIONS,
    ),
)

_SECRETS = ("PASSPHRASE", "PASSCOMMAND", "PASSPHRASE_FD", "NEW_PASSPHRASE", "DISPLAY_PASSPHRASE")
_LOGGERS = (consoles.LIST, consoles.STATS)
_WORDS_MAX = 3  # lines of what was no record, in an error
_WORD_MAX = 150  # characters of each of them
_NUMBER_MAX = 1 << 63

HANDED_OVER = (
    "Warning: --passphrase-from-server: this server knows the passphrase and tells it to {host}. Whoever controls this"
    " server can read all archives of the repository, and it is no longer the client alone that protects them."
)


def is_wanted(invocation: Invocation) -> bool:
    """``--client-encrypts``. Options of the one way do nothing in the other, and nobody may believe that they do."""
    given = invocation.values
    wanted = given.flag("client_encrypts")
    foreign = ("share_dedup", "no_ship") if wanted else ("passphrase_from_server", "client_init")
    for dest in foreign:
        if given.get(dest):
            option = "init" if dest == "client_init" else dest.replace("_", "-")
            invocation.fail(f"--{option} is only for pulls {'without' if wanted else 'with'} --client-encrypts")
    return wanted


def pull(invocation: Invocation, client: Server, location: Location, options: CreateOptions) -> None:
    """Fetch one archive. ``options`` has the roots on the client, and the name that ``location`` has.

    ``invocation.exit_code`` is set. Raises: CommandError, and as ``pull_blind``.
    """
    # Late: the other way to pull does without.
    from bork.pull.blind.order import Order, options_of
    from bork.pull.blind.pull import FINE

    given = invocation.values
    if not location.is_local:
        raise CommandError("with --client-encrypts the repository has to be on this machine")
    if options.stdin is not None or options.path_list is not None or options.root is not None:
        raise CommandError("with --client-encrypts only paths of the client can be backed up")
    passphrase = None
    if given.flag("passphrase_from_server"):
        invocation.console.log("warning", HANDED_OVER.format(host=client.host))
        passphrase = _passphrase(invocation, location)
    repository = location.absolute_path()
    order = Order(
        place=f"{os.uname().nodename}:{repository}",
        path=os.fsencode(repository),
        archive=options.archive,
        options=options_of(options),
        roots=options.roots,
        command_line=options.command_line,
        talk=_talk(invocation),
        rate_bytes_s=1024 * given.number("download_ratelimit"),
        lock_wait_s=max(0, given.number("lock_wait")),
        passphrase=passphrase,
    )
    encryption = given.optional("client_init")
    runs = [order]
    if encryption is not None and not os.path.exists(os.path.join(repository, "config")):
        runs.insert(0, order._replace(encryption=encryption))
    for run in runs:
        invocation.exit_code = _run(invocation, client, repository, run)
        if invocation.exit_code not in FINE:
            return


def _run(invocation: Invocation, client: Server, repository: str, order: Order) -> int:
    from bork.pull.blind.pull import BlindPull, pull_blind  # late: as above

    given, environment = invocation.values, invocation.environment
    relay = Relay(invocation.console, environment.json_indent())
    pull = BlindPull(
        client=client,
        rsh=invocation.rsh(),
        program=given.optional("remote_path") or environment.get("REMOTE_PATH") or "bork",
        bork=own_words(invocation.argv[0]),
        environment=_without_secrets(environment.variables),
        repository=repository,
        order=order,
    )
    return pull_blind(pull, relay)


def own_words(argv0: str) -> tuple[str, ...]:
    """The words that start this very Bork. ``-P``: not what happens to lie in the working directory."""
    if os.path.basename(sys.executable).startswith("python"):
        return (sys.executable, "-P", "-m", "bork")
    return (sys.executable or argv0,)


def _without_secrets(variables: Mapping[str, str]) -> dict[str, str]:
    """ssh may be configured to send variables, and ``bork serve`` needs no passphrase."""
    return without(variables, _SECRETS)


def _passphrase(invocation: Invocation, location: Location) -> bytes | None:
    from bork.cli.passphrase import Passphrases  # late: few hand it over

    source = Passphrases(invocation.console, invocation.environment, invocation.questions())
    given = source.get(location.canonical(), 0)
    return source.get(location.canonical(), 1) if given is None else given


def _talk(invocation: Invocation) -> Talk:
    from bork.pull.blind.order import LEVELS, Talk  # late: as above

    given, console = invocation.values, invocation.console
    quick = "quick" if given.flag("quick_stats") else ""
    kind = "json" if given.flag("json") else "full" if given.flag("stats") else ""
    statistics = f"{quick} {kind}".strip() if kind == "json" else quick or kind
    letters = given.optional("output_filter")
    return Talk(
        level=next(level for level in LEVELS if console.shows(level)),
        progress=given.flag("progress"),
        list_filter=None if letters is None else letters.encode("ascii", "replace"),
        lists=given.flag("output_list"),
        statistics=statistics,
        iec=console.iec,
        modern_exit_codes=invocation.environment.modern_exit_codes(),
    )


class Relay:
    """Shows what the client tells as if it had happened here. What the client sends is hostile: nothing of it reaches
    the terminal but printable text, and numbers.
    """

    def __init__(self, console: Console, json_indent: int | str | None) -> None:
        self._console, self._json_indent = console, json_indent
        self._words: list[str] = []
        self._failed = False

    def has_failed(self) -> bool:
        return self._failed

    def last_words(self) -> str:
        return " / ".join(self._words)

    def said_by_server(self, line: bytes) -> None:
        self._console.log("warning", f"bork serve: {one_line(line)}")

    def said_by_client(self, line: bytes) -> None:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if not (isinstance(record, dict) and self._show(record)):
            text = one_line(line.strip())
            if text:
                self._words = [*self._words, text[:_WORD_MAX]][-_WORDS_MAX:]
                self._console.log("warning", f"Remote: {text}")

    def _show(self, record: Mapping[str, Any]) -> bool:
        """False: it is no record of ours."""
        match record:
            case {"type": "log_message", "message": str(message), "levelname": str(level)}:
                self._log(level.lower(), message, record)
            case {"type": "file_status", "status": str(status), "path": str(path)}:
                self._list(status[:1], path)
            case {"type": "archive_progress", "finished": bool(finished)}:
                self._progress(record, finished=finished)
            case {"type": str(kind), "message": str(message)} if kind.startswith("question_"):
                self._console.log("warning", _printable(message))
            case {"type": "pull_result", "document": dict(document)}:
                self._console.result_json(document, self._json_indent)
            case _:
                return False
        return True

    def _log(self, level: str, message: str, record: Mapping[str, Any]) -> None:
        level = level if level in consoles.LEVELS else "warning"
        self._failed = self._failed or level in ("error", "critical")
        name, msgid = record.get("name"), record.get("msgid")
        self._console.log(
            level,
            _printable(message),
            name=name if name in _LOGGERS else consoles.GENERAL,
            msgid=_printable(msgid) if isinstance(msgid, str) else None,
        )

    def _list(self, status: str, path: str) -> None:
        if self._console.log_json:
            from bork.cli.output.json import line  # late: with the renderer

            data = line({"type": "file_status", "status": status, "path": path})
        else:
            data = encode(f"{_printable(status)} {_printable(path)}\n")
        self._console.list_lines(data)

    def _progress(self, record: Mapping[str, Any], *, finished: bool) -> None:
        names = ("original_size", "compressed_size", "deduplicated_size", "nfiles")
        numbers = [value if isinstance(value := record.get(name, 0), int) else 0 for name in names]
        original, compressed, deduplicated, files = (min(max(number, 0), _NUMBER_MAX) for number in numbers)
        path = record.get("path", "")
        shown = path.encode("utf-8", "replace") if isinstance(path, str) else b""
        self._console.progress(ArchiveProgress(original, compressed, deduplicated, files, shown, finished))


def _printable(text: str) -> str:
    return one_line(text.encode("utf-8", "replace"))
