"""The line to an agent, as ``pull`` and ``push`` ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from bork.cli.invocation import Invocation
    from bork.pull.client import Client
    from bork.pull.line import Line


def agent_line(invocation: Invocation, client: Client, *, is_wanted: Callable[[], bool], write: bool = False) -> Line:
    """As ``line.connect``, with the options of the command line."""
    from bork.pull.line import connect  # late: with the engine

    return connect(
        client.server,
        invocation.rsh(),
        lambda said: invocation.console.log("warning", f"Remote: {said}"),
        ship=not invocation.values.flag("no_ship"),
        write=write,
        is_wanted=is_wanted,
    )
