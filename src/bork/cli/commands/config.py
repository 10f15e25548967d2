"""``bork config``: show and change the settings of a repository."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bork.cli import values
from bork.cli.options import Command, Option, Positional
from bork.errors import CommandError, NotAvailable

if TYPE_CHECKING:
    from bork.cli.invocation import Invocation

COMMAND = Command(
    "config",
    "Get, set, and delete values in a repository config",
    (
        Positional("location", "REPOSITORY", "repository", "repository to configure", "?"),
        Positional("name", "NAME", "text", "name of config key", "?"),
        Positional("value", "VALUE", "text", "new value for key", "?"),
    ),
    (
        Option(("-c", "--cache"), "cache", "get and set values from the repo cache"),
        Option(("-d", "--delete"), "delete", "delete the key from the config file: back to its default"),
        Option(("-l", "--list"), "list", "list the configuration of the repo", excludes="delete"),
    ),
    epilog="""\
storage_quota takes sizes as 5G or 1.5T, 0 for no quota; append_only takes 0 or 1. All other values are fixed when a
repository is made. A new value holds for commands that start after it was set.""",
)


def run(invocation: Invocation) -> None:
    given = invocation.values
    location = invocation.location()
    name, value = given.optional("name"), given.optional("value")
    if given.flag("cache"):
        raise NotAvailable("config --cache: the cache of Bork has no settings, and so this")
    if given.flag("list") and name is not None:
        invocation.fail("--list shows everything: it takes no NAME")
    if given.flag("delete") and value is not None:
        invocation.fail("--delete takes a NAME, and no VALUE")
    if not given.flag("list") and name is None:
        raise CommandError("No config key name was provided.")
    access = invocation.access(location)
    from bork.operations import config  # late: a bad command line is answered without the engine

    if name is None:
        lines = [f"{key} = {shown}" for key, shown in config.show(access).items()]
        invocation.console.result("\n".join(("[repository]", *lines, "")))
        return
    key = name.removeprefix("repository.")
    if key not in config.SETTINGS:
        raise CommandError(f"No option {name!r} in section: 'repository'; there are {', '.join(config.SETTINGS)}.")
    if given.flag("delete"):
        config.change(access, key, None)
    elif value is not None:
        config.change(access, key, _number(key, value))
    else:
        invocation.console.result(f"{config.show(access)[key]}\n")


def _number(key: str, value: str) -> int:
    """The value that a setting is to have; 0 for one that cannot be set, which the operation refuses."""
    if key == "append_only":
        if value not in ("0", "1"):
            raise CommandError(f"Invalid value {value!r} for append_only: it is 0 or 1.")
        return int(value)
    if key == "storage_quota":
        try:
            return values.storage_quota(value)
        except ValueError as error:
            raise CommandError(f"Invalid value {value!r} for storage_quota: {error}.") from None
    return 0
