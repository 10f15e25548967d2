"""Make an archive of what an agent on another host reads. The server holds the key; the client gets to see none."""

from __future__ import annotations

import os
import tempfile
import time
from typing import TYPE_CHECKING, NamedTuple, cast

from bork.core import PullEngine, digest
from bork.errors import AgentFault
from bork.operations import create
from bork.operations.create import Started
from bork.pull.session import AgentEngine, allows

if TYPE_CHECKING:
    from bork.core import ChunkIndex, Keys
    from bork.operations.access import Access
    from bork.operations.create import CreateOptions, CreateOutcome
    from bork.operations.events import EventSink
    from bork.pull.line import Hello
    from bork.pull.session import Connecting

# What a plan for this machine says, and one for an agent does not.
_LOCAL = ("paths", "stdin", "path_list", "skip", "sparse", "base", "names", "file_systems")
SKEW_NS = 2_000_000_000  # a clock that is off by more is worth a word


class PullOptions(NamedTuple):
    """What a pull has besides the options of a create."""

    share_dedup: bool = False  # the client may learn which chunks other clients have
    rate_bytes_s: int = 0  # that the client sends at most; 0: no limit


def run(
    access: Access, options: CreateOptions, pull: PullOptions, connecting: Connecting, events: EventSink
) -> CreateOutcome:
    """As ``create.run``. Raises also: RemoteFault and its kin."""
    options = options._replace(of_user=True)
    engines: list[PullEngine] = []

    def start(plan: dict[str, object], keys: Keys, index: ChunkIndex) -> Started:
        line = connecting.line()
        events.log("info", f"Connected: {allows(line.hello)}")
        behind_ns = _clock_behind_ns(line.hello, events)
        plan = {name: value for name, value in plan.items() if name not in _LOCAL}
        plan.update(share_dedup=pull.share_dedup, rate=pull.rate_bytes_s)
        plan["scratch_dir"] = plan["scratch_dir"] or tempfile.gettempdir()
        plan["start_ns"] = cast("int", plan["start_ns"]) - behind_ns
        plan["memory"] = None if options.dry_run else _memory(str(plan["scratch_dir"]), options)
        engines.append(PullEngine(plan, keys, index))
        return Started(AgentEngine(engines[0], line), behind_ns)

    try:
        outcome = create.run(access, options, events, start)
    except AgentFault as fault:
        connecting.explain(fault)
        raise
    else:
        for engine in engines:
            engine.forget()
        engines.clear()
        return outcome
    finally:
        for engine in engines:
            engine.remember()
        connecting.close()


def _memory(directory: str, options: CreateOptions) -> str:
    """Where an interrupted pull of this client leaves the names of the chunks that have arrived."""
    client = f"{options.username}@{options.hostname}".encode("utf-8", "surrogateescape")
    return os.path.join(directory, f"pulled-{digest(client).hex()[:16]}.ids")


def _clock_behind_ns(hello: Hello, events: EventSink) -> int:
    """How far the client's clock is behind. One that is ahead only means that some files are read again; one before
    1970 is no clock.
    """
    behind_ns = hello.heard_ns - hello.clock_ns
    if abs(behind_ns) > SKEW_NS:
        way = "behind" if behind_ns > 0 else "ahead of"
        events.log("warning", f"The client's clock is {abs(behind_ns) / 1e9:.0f} s {way} the clock of this machine.")
    return max(0, min(behind_ns, time.time_ns()))
