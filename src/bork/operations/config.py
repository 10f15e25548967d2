"""Show and change the settings of a repository. No key is needed: what ``config`` holds is no secret."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from bork.errors import CommandError
from bork.operations.opening import open_repository
from bork.repository.config import FORMAT, RepositoryConfig

if TYPE_CHECKING:
    from bork.operations.access import Access


class Setting(NamedTuple):
    """One line of the config. ``change``: None for what is fixed with the making of the repository."""

    name: str
    show: Callable[[RepositoryConfig], str]
    change: Callable[[RepositoryConfig, int], RepositoryConfig] | None = None
    default: int = 0


# In the order in which they are listed. The first and the last two are there in Borg, too.
SETTINGS: dict[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting("version", lambda _: str(FORMAT)),
        Setting("encryption", lambda config: config.encryption),
        Setting("suite", lambda config: str(config.suite)),
        Setting(
            "storage_quota",
            lambda config: str(config.storage_quota),
            lambda config, quota: config._replace(storage_quota=quota),
        ),
        Setting(
            "append_only",
            lambda config: str(int(config.append_only)),
            lambda config, flag: config._replace(append_only=bool(flag)),
        ),
        Setting("id", lambda config: config.id.hex()),
    )
}


def show(access: Access) -> dict[str, str]:
    """All settings with their values. Raises: as ``open_repository`` without a key."""
    with open_repository(access, needs_key=False) as opened:
        return {name: setting.show(opened.repository.config) for name, setting in SETTINGS.items()}


def change(access: Access, name: str, value: int | None) -> None:
    """Set one setting; None: back to its default. Takes effect for commands that start after it.

    Raises: CommandError, if it is fixed; StorageError; and as ``open_repository`` without a key.
    """
    setting = SETTINGS[name]
    to = setting.change
    if to is None:
        raise CommandError(f"{name} was fixed when the repository was made, and cannot be changed.")
    # Compactors take turns: of two changes at a time none undoes the other.
    with open_repository(access, needs_key=False, role="compactor") as opened:
        opened.repository.change_config(lambda config: to(config, setting.default if value is None else value))
