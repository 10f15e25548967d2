"""``--help``: rendered from the same tables that the parser uses. Imported only when somebody asks."""

from __future__ import annotations

import argparse

from bork.cli.commands import COMMANDS, GROUPS
from bork.cli.options import COMMON, Command, Option
from bork.cli.topics import TOPICS


def main_help(program: str) -> str:
    """What ``bork`` and ``bork --help`` print."""
    parser = _parser(program, "Bork - deduplicating, compressing, encrypting backups")
    parser.usage = f"{program} [-V] [common options] <command> ..."
    parser.add_argument("-V", "--version", action="store_true", help="show version number and exit")
    _add(parser.add_argument_group("Common options"), COMMON)
    commands = parser.add_argument_group("commands")
    for name, summary in _top_level():
        commands.add_argument(name, help=summary)
    topics = ", ".join(sorted(TOPICS))
    parser.epilog = f'"{program} help COMMAND" shows the options of a command. Other topics: {topics}.'
    return parser.format_help()


def group_help(program: str, group: str) -> str:
    """What ``bork key`` prints."""
    parser = _parser(f"{program} {group}", GROUPS[group].capitalize())
    parser.usage = f"{program} {group} [common options] <command> ..."
    _add(parser.add_argument_group("Common options"), COMMON)
    commands = parser.add_argument_group("commands")
    for name, summary in COMMANDS.items():
        if name.startswith(f"{group} "):
            commands.add_argument(name.partition(" ")[2], help=summary)
    return parser.format_help()


def command_help(program: str, command: Command, *, epilog: bool = True) -> str:
    """What ``bork create --help`` prints; without ``epilog`` only the options."""
    parser = _parser(f"{program} {command.name}", command.description)
    parser.epilog = command.epilog if epilog else None
    for positional in command.positionals:
        nargs = None if positional.arity == "1" else positional.arity
        parser.add_argument(positional.dest, metavar=positional.metavar, help=_plain(positional.help), nargs=nargs)
    _add(parser.add_argument_group("options"), command.options, command.required)
    for group in command.groups:
        _add(parser.add_argument_group(group.title), group.options)
    _add(parser.add_argument_group("Common options"), COMMON)
    return parser.format_help()


def _parser(program: str, description: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        prog=program, description=description, formatter_class=argparse.RawDescriptionHelpFormatter, add_help=False
    )


def _add(group: argparse._ArgumentGroup, options: tuple[Option, ...], required: tuple[str, ...] = ()) -> None:
    for option in options:
        is_required = option.dest in required
        if option.takes_value:
            # A deprecated alias shares its dest with the option that replaced it, so the dest cannot be given here.
            nargs = "?" if option.implied else None
            help_text = _plain(option.help)
            group.add_argument(*option.flags, metavar=option.metavar, help=help_text, required=is_required, nargs=nargs)
        else:
            group.add_argument(*option.flags, action="store_true", help=_plain(option.help))


def _plain(text: str) -> str:
    return text.replace("%", "%%")


def _top_level() -> list[tuple[str, str]]:
    names = dict.fromkeys(name.partition(" ")[0] for name in COMMANDS)
    return [(name, GROUPS.get(name) or COMMANDS[name]) for name in names]
