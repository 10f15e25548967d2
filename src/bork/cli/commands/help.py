"""``bork help``: the commands, and the topics that belong to no single one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bork.cli import help as texts
from bork.cli.commands import COMMANDS, GROUPS
from bork.cli.options import Command, Option, Positional
from bork.cli.topics import TOPICS

if TYPE_CHECKING:
    from bork.cli.invocation import Invocation

COMMAND = Command(
    "help",
    "Extra help",
    (Positional("topic", "TOPIC", "text", "command, or one of: compression, patterns, placeholders", "*"),),
    (
        Option(("--epilog-only",), "epilog_only", "only what stands below the options"),
        Option(("--usage-only",), "usage_only", "only usage and options"),
    ),
)


def run(invocation: Invocation) -> None:
    topic = " ".join(invocation.values.texts("topic"))
    invocation.console.result(_text(invocation, topic))


def _text(invocation: Invocation, topic: str) -> str:
    program = invocation.program
    if not topic:
        return texts.main_help(program)
    if topic in TOPICS:
        return TOPICS[topic]
    if topic in GROUPS:
        return texts.group_help(program, topic)
    if topic not in COMMANDS:
        commands, topics = ", ".join(sorted(COMMANDS)), ", ".join(sorted(TOPICS))
        invocation.fail(f"No help available on {topic}. Try a command ({commands}) or a topic ({topics})")
    from bork.cli.execute import load  # late: it is what has loaded this module

    command: Command = load(topic).COMMAND
    if invocation.values.flag("epilog_only"):
        return f"{command.epilog}\n"
    return texts.command_help(program, command, epilog=not invocation.values.flag("usage_only"))
