"""``bork`` as the program whose path is the first argument: children are started by that path.

Where there is no ``bork pull`` there is one here with the options of many hosts.
"""

import sys
from types import ModuleType

from bork.cli import execute
from bork.cli.commands import COMMANDS
from bork.cli.fleet import command
from bork.cli.main import main
from bork.cli.options import Command, Positional


def _provide_pull() -> None:
    module = ModuleType("pull")
    arguments = (Positional("arguments", "ARGUMENT", "text", "", "*"),)
    module.__dict__.update(COMMAND=Command("pull", "", arguments, command.OPTIONS), run=command.run)
    load = execute.load
    COMMANDS["pull"] = "pull"
    execute.load = lambda command: module if command == "pull" else load(command)


if "pull" not in COMMANDS:
    _provide_pull()
sys.argv = sys.argv[1:]
sys.exit(main())
