"""``bork source``: the client's end of a pull in which the client encrypts. ssh starts it, for a server that pulls."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bork.cli import created, values
from bork.cli.connection import take_streams
from bork.cli.options import Command, Option
from bork.cli.output.console import STATS
from bork.errors import CacheInitAborted, CommandError, UnexpectedRPCDataFormatFromServer

if TYPE_CHECKING:
    from bork.cli.invocation import Invocation
    from bork.cli.passphrase import Passphrases
    from bork.operations.access import Access
    from bork.operations.create import CreateOutcome
    from bork.pull.blind.order import Order

COMMAND = Command(
    "source",
    "Be what a server pulls from, and encrypt. It is started by ssh, for bork pull --client-encrypts.",
    options=(
        Option(
            ("--read",),
            "read",
            "let the server read DIR and what is below it, and nothing else (can be specified multiple times)",
            "DIR",
            values.path,
            repeats=True,
        ),
        Option(
            ("--repository-id",),
            "repository_ids",
            "store in the repository with this ID (64 hexadecimal digits; can be specified multiple times); "
            "default: the first one that a server gave",
            "ID",
            values.repository_id,
            repeats=True,
        ),
    ),
    epilog="""\
The server can ask for less than these options allow, and never for more. In ~/.ssh/authorized_keys of the client:

  command="bork source --read /etc --read /home",restrict ssh-ed25519 AAAA... server""",
)


def run(invocation: Invocation) -> None:
    if os.isatty(0):
        invocation.fail(
            'it speaks with a server, not with people: "bork pull --client-encrypts" on the server starts it'
        )
    read_fd, write_fd = take_streams()
    # Late: a bad command line is answered without all of this.
    from bork.cli.watch import watch
    from bork.protocol.codec import Malformed
    from bork.protocol.preamble import read_preamble
    from bork.protocol.wire import Stalled
    from bork.pull.blind import order as orders

    try:
        preamble = read_preamble(read_fd)
        # Whoever has sent one takes records. People who try it see text.
        invocation.console.set_up(level="warning", log_json=True, iec=False, shown=frozenset())
        order = orders.decode(preamble)
    except (Malformed, Stalled) as problem:
        raise UnexpectedRPCDataFormatFromServer(str(problem)) from None
    _listen_to(order, invocation)
    with watch(read_fd, write_fd, invocation.signals):
        _perform(invocation, order, _access(invocation, order, read_fd, write_fd))


def _listen_to(order: Order, invocation: Invocation) -> None:
    """From here on everything that is said is a record, and what decides about it is what the server was asked."""
    shown = frozenset((STATS,)) if order.talk.statistics else frozenset()
    invocation.console.set_up(level=order.talk.level, log_json=True, iec=order.talk.iec, shown=shown)
    invocation.values["progress"] = order.talk.progress
    if order.talk.modern_exit_codes:
        environment = invocation.environment
        environment.variables = {**environment.variables, "BORK_EXIT_CODES": "modern"}


def _access(invocation: Invocation, order: Order, read_fd: int, write_fd: int) -> Access:
    # Late: with the engine, see run.
    from bork.cli.passphrase import Passphrases
    from bork.operations.access import Access, RemoteStores
    from bork.pull.blind.order import program
    from bork.storage.remote.connection import Settings

    environment, questions = invocation.environment, invocation.questions()
    own = Passphrases(invocation.console, environment, questions)
    settings = Settings((), program(), lambda _: None, rate_bytes_s=order.rate_bytes_s, descriptors=(read_fd, write_fd))
    return Access(
        path=order.place,
        is_local=False,
        stores=RemoteStores(os.fsdecode(order.path), settings),
        passphrases=own if order.passphrase is None else _HandedOver(own, order.passphrase),
        cache_dir=environment.cache_dir(),
        keys_dir=environment.keys_dir(),
        security_dir=environment.security_dir(),
        key_file=environment.get("KEY_FILE"),
        questions=questions,
        lock_wait_s=float(order.lock_wait_s),
        threads=invocation.threads(),
        pulled=tuple(invocation.values.texts("repository_ids")),
    )


class _HandedOver:
    """The passphrase that the server knows, where the client has none of its own."""

    def __init__(self, own: Passphrases, handed_over: bytes) -> None:
        self._own, self._handed_over = own, handed_over

    def get(self, prompt_for: str, attempt: int) -> bytes | None:
        given = self._own.get(prompt_for, attempt)
        return self._handed_over if given is None else given

    def new(self, prompt_for: str) -> bytes:
        given = self._own.given()
        return self._handed_over if given is None else given


def _perform(invocation: Invocation, order: Order, access: Access) -> None:
    from bork.operations import create  # late: with the engine, see run
    from bork.pull.blind.fence import fenced

    if order.encryption is not None:
        _make_repository(access, order.encryption)
        return
    environment = invocation.environment
    options = order.create_options(
        roots=fenced(order, invocation.values.texts("read")),
        hostname=environment.hostname(),
        username=environment.username(),
        cwd=created.working_directory(),
    )
    outcome = create.run(access, options, invocation.sink())
    if outcome.head is not None:
        _tell(invocation, order, access, outcome)


def _make_repository(access: Access, encryption: str) -> None:
    """A server may ask for it once, and not for one that it could read."""
    from bork.crypto.modes import MODES  # late: with the engine, see run
    from bork.operations import init, security

    if access.pulled or security.pins(access):
        raise CommandError("this client has its repository already, and makes no other one for a server")
    question = "Warning: The server asks for a repository without encryption!\nDo you want to continue? [yN] "
    mode = MODES[encryption]
    if not mode.encrypts and not access.questions.ask(security.UNKNOWN_UNENCRYPTED, question):
        raise CacheInitAborted
    init.run(access, init.InitOptions(mode.name))


def _tell(invocation: Invocation, order: Order, access: Access, outcome: CreateOutcome) -> None:
    """The statistics that the server was asked for."""
    from bork.cli.output.json import line  # late: few ask for it

    kind = order.talk.statistics
    quick = kind.startswith("quick")
    if kind.endswith("json"):
        document = created.document(invocation, access, outcome, quick=quick)
        invocation.console.list_lines(line({"type": "pull_result", "document": document}))
    elif kind:
        text = created.statistics(invocation, access, outcome, quick=quick)
        invocation.console.log_lines(text, name=STATS)
