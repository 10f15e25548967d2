"""``bork push``: restore items of an archive to another host."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bork.cli.agent_line import agent_line
from bork.cli.options import STRIP_COMPONENTS, Command, Option, Positional, exclusion_group

if TYPE_CHECKING:
    from bork.cli.invocation import Invocation
    from bork.pull.push import PushOutcome

COMMAND = Command(
    "push",
    "Restore archive contents to another host",
    (
        Positional("location", "ARCHIVE", "archive", "archive to restore"),
        Positional("client", "CLIENT:DIR", "path", "[USER@]HOST:DIR or ssh://[USER@]HOST[:PORT]/DIR"),
        Positional("paths", "PATH", "path", "paths to restore; patterns are supported", "*"),
    ),
    (
        Option(("--list",), "output_list", "output verbose list of items (files, dirs, ...)"),
        Option(("--filter",), "output_filter", "only display items with the given status characters", "STATUSCHARS"),
        Option(("-n", "--dry-run"), "dry_run", "do not change anything on the client"),
        Option(("--numeric-ids",), "numeric_ids", "only obey numeric user and group identifiers"),
        Option(("--noflags",), "noflags", "do not restore flags (e.g. NODUMP, IMMUTABLE)"),
        Option(("--noacls",), "noacls", "do not restore ACLs"),
        Option(("--noxattrs",), "noxattrs", "do not restore xattrs"),
        Option(("--sparse",), "sparse", "create holes in output sparse file from all-zero chunks"),
        Option(("--no-ship",), "no_ship", "never send the agent: the client has it installed"),
    ),
    (exclusion_group(STRIP_COMPONENTS),),
    epilog="""\
Everything is written below DIR; no archive can write outside of it. What is right there already is left alone, so a
push that was interrupted is repeated at little cost. --rsh says how to reach the client.""",
)


def run(invocation: Invocation) -> None:
    from bork.pull import client as clients  # late: with the engine

    given = invocation.values
    client = clients.parse([given.text("client")])
    location = invocation.location()
    assert location.archive is not None
    patterns, paths = tuple(invocation.rules.patterns), invocation.rules.path_arguments(invocation.paths())
    access = invocation.access(location)
    from bork.operations import extract  # late: a bad command line is answered without the engine
    from bork.operations.selection import ArchiveName
    from bork.pull import push
    from bork.pull.session import Connecting

    options = extract.ExtractOptions(
        patterns=patterns,
        paths=paths,
        to="nowhere" if given.flag("dry_run") else "files",
        strip_components=given.number("strip_components"),
        sparse=given.flag("sparse"),
        numeric_ids=given.flag("numeric_ids"),
        noflags=given.flag("noflags"),
        noacls=given.flag("noacls"),
        noxattrs=given.flag("noxattrs"),
        lines=invocation.item_lines(),
        progress=given.flag("progress"),
    )
    connecting = Connecting(
        lambda is_wanted: agent_line(invocation, client, write=True, is_wanted=is_wanted), eager=False
    )
    target = os.fsencode(client.paths[0])
    outcome = push.run(access, ArchiveName(location.archive), target, options, connecting, invocation.sink())
    if given.flag("dry_run"):
        invocation.console.talk(_summary(outcome, "would be "))
    else:
        invocation.console.log("info", _summary(outcome, ""))


def _summary(outcome: PushOutcome, mood: str) -> str:
    return (
        f"{outcome.made} items {mood}made, {outcome.replaced} replaced, {outcome.corrected} corrected, "
        f"{outcome.same} were right; {outcome.content_bytes} bytes of content"
    )
