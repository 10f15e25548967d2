"""The commands, one module each: ``COMMAND`` describes it, ``run`` does it. These tables are enough to find one.

A new command is a line in ``COMMANDS`` and a module of the same name, with ``_`` for ``-`` and for the space in
``key export``.
"""

COMMANDS: dict[str, str] = {
    "break-lock": "break repository and cache locks",
    "check": "verify repository",
    "compact": "compact segment files / free space in repo",
    "config": "get and set configuration values",
    "create": "create backup",
    "delete": "delete archive",
    "diff": "find differences in archive contents",
    "export-tar": "create tarball from archive",
    "extract": "extract archive contents",
    "help": "extra help",
    "import-tar": "create archive from tarball",
    "info": "show repository or archive information",
    "init": "initialize empty repository",
    "key change-passphrase": "change repository passphrase",
    "key export": "export repository key for backup",
    "key export-related-secrets": "export the secrets that a related repository needs",
    "key import": "import repository key from backup",
    "list": "list archive or repository contents",
    "prune": "prune archives",
    "pull": "create archive from another host",
    "push": "restore archive to another host",
    "recreate": "re-create archives",
    "rename": "rename archive",
    "serve": "start repository server process",
    "source": "be what a server pulls from",
    "status": "show when each host was backed up last",
    "version": "display the version",
    "with-lock": "run user command with lock held",
}

# What stands before a second word: ``bork key export``.
GROUPS: dict[str, str] = {
    "key": "manage repository key",
}

# Commands of Borg 1.4 that this version lacks. They are named so that the answer is clear.
NOT_AVAILABLE: frozenset[str] = frozenset(
    (
        "benchmark",
        "debug",
        "key migrate-to-repokey",
        "mount",
        "umount",
        "upgrade",
    )
)
