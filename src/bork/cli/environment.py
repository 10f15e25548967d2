"""Environment variables and the directories of this user. ``BORK_X`` wins over ``BORG_X``; both mean the same.

The only module that reads ``os.environ``. Everything below ``cli`` gets values.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

PREFIXES = ("BORK_", "BORG_")


def for_others() -> dict[str, str]:
    """The environment for programs that are no Bork: without passphrases, which they, and what they start as some other
    user, have no use for.
    """
    return without(os.environ, ("PASSPHRASE", "NEW_PASSPHRASE"))


def without(variables: Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    """The variables but for these, under both prefixes."""
    left_out = {prefix + name for prefix in PREFIXES for name in names}
    return {name: value for name, value in variables.items() if name not in left_out}


class Environment:
    """A view of the environment. ``variables`` is given by tests; otherwise it is that of the process."""

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self.variables: Mapping[str, str] = os.environ if variables is None else variables

    def get(self, name: str) -> str | None:
        """The value of ``BORK_<name>``, else of ``BORG_<name>``, else None. An empty value is a value."""
        return next((self.variables[prefix + name] for prefix in PREFIXES if prefix + name in self.variables), None)

    def name_of(self, name: str) -> str:
        """Which of the two variables decides, for messages. ``BORG_<name>`` if neither is set: users know that one."""
        return next((prefix + name for prefix in PREFIXES if prefix + name in self.variables), f"BORG_{name}")

    # ---- who and where we are ------------------------------------------------------------------------------------

    def hostname(self) -> str:
        """The short host name, or what ``BORK_HOSTNAME`` says."""
        return self.get("HOSTNAME") or os.uname().nodename.split(".")[0]

    def fqdn(self) -> str:
        """The full name of the machine. Asks the resolver, so it may take seconds where that is broken."""
        import socket  # late: 5 ms, and only a placeholder needs it

        name = socket.gethostname()
        try:
            addresses = socket.getaddrinfo(name, None, 0, socket.SOCK_DGRAM, 0, socket.AI_CANONNAME)
        except OSError:
            return name
        return next((address[3] for address in addresses if address[3]), name)

    def username(self) -> str:
        """The name of the user, its number if it has no name, or what ``BORK_USERNAME`` says."""
        import pwd  # late: most commands do not ask

        if given := self.get("USERNAME"):
            return given
        try:
            return pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            return str(os.getuid())

    # ---- directories ---------------------------------------------------------------------------------------------

    def base_dir(self) -> str:
        """The home directory that everything else is below."""
        if base := self.get("BASE_DIR"):
            return base
        home = self.variables.get("HOME")
        if home and not self._is_foreign_home(home):
            return home
        if user := self.variables.get("USER"):
            return os.path.expanduser(f"~{user}")
        return os.path.expanduser("~")

    def _is_foreign_home(self, home: str) -> bool:
        """Mount helpers and sudo leave root's HOME to other users, who cannot write there."""
        if os.geteuid() == 0:
            return False
        import pwd  # late: most commands do not ask

        try:
            return os.path.abspath(home) == os.path.abspath(pwd.getpwuid(0).pw_dir)
        except KeyError:
            return False

    def cache_dir(self) -> str:
        return self.get("CACHE_DIR") or os.path.join(self._home(".cache", "XDG_CACHE_HOME"), "bork")

    def config_dir(self) -> str:
        return self.get("CONFIG_DIR") or os.path.join(self._home(".config", "XDG_CONFIG_HOME"), "bork")

    def keys_dir(self) -> str:
        return self.get("KEYS_DIR") or os.path.join(self.config_dir(), "keys")

    def security_dir(self) -> str:
        return self.get("SECURITY_DIR") or os.path.join(self.config_dir(), "security")

    def state_dir(self) -> str:
        return self.get("STATE_DIR") or os.path.join(self._home(".local/state", "XDG_STATE_HOME"), "bork")

    def _home(self, below_base: str, xdg: str) -> str:
        if not self.get("BASE_DIR") and self.variables.get(xdg):
            return self.variables[xdg]
        return os.path.join(self.base_dir(), below_base)

    # ---- switches ------------------------------------------------------------------------------------------------

    def modern_exit_codes(self) -> bool:
        return self.get("EXIT_CODES") == "modern"

    def json_indent(self) -> int | str | None:
        """``BORK_JSON_INDENT``: a number, a text, or ``none`` for one line. Default 4."""
        value = self.get("JSON_INDENT")
        if value is None:
            return 4
        if value.lower() == "none":
            return None
        return int(value) if value.lstrip("-").isdecimal() else value
