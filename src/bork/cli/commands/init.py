"""``bork init``: make a repository."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from bork.cli import values
from bork.cli.options import Command, Option, Positional

if TYPE_CHECKING:
    from bork.cli.invocation import Invocation
    from bork.crypto.modes import EncryptionMode

MODES = (
    "none",
    "keyfile",
    "repokey",
    "authenticated",
    "keyfile-blake2",
    "repokey-blake2",
    "authenticated-blake2",
)

COMMAND = Command(
    "init",
    "Initialize an empty repository",
    (Positional("location", "REPOSITORY", "repository", "repository to create", "?"),),
    (
        Option(
            ("-e", "--encryption"),
            "encryption",
            f"select encryption key mode (required): {', '.join(MODES)}",
            "MODE",
            choices=MODES,
        ),
        Option(("--append-only",), "append_only", "create an append-only mode repository"),
        Option(
            ("--storage-quota",),
            "storage_quota",
            "set storage quota of the new repository (e.g. 5G, 1.5T); default: no quota",
            "QUOTA",
            values.storage_quota,
        ),
        Option(
            ("--make-parent-dirs",),
            "make_parent_dirs",
            "create the parent directories of the repository directory, if they are missing",
        ),
        Option(
            ("--import-related-secrets",),
            "import_related_secrets",
            "import related secrets from PATH",
            "PATH",
            values.path,
        ),
    ),
    epilog="""\
Encryption modes:

  repokey        data is encrypted and authenticated; the key is kept in the repository, under a passphrase
  keyfile        the same, but the key is kept in a file of this user: it takes passphrase and file to get in
  authenticated  data is not encrypted, but nobody without the key can change it unnoticed
  none           neither; damage by accident is found

The names that end in -blake2 are those of Borg and mean the same here: all modes use BLAKE3.
The mode cannot be changed later. Keep a copy of the key elsewhere ("bork key export"), and the passphrase, too.""",
    required=("encryption",),
)

IMPORTANT = """
IMPORTANT: you will need both KEY AND PASSPHRASE to access this repo!

Key storage location depends on the mode:
- repokey modes: key is stored in the repository directory.
- keyfile modes: key is stored in the home directory of this user.

For any mode, you should:
1. Export the key and store the result at a safe place:
   {program} key export           REPOSITORY encrypted-key-backup
   {program} key export --paper   REPOSITORY encrypted-key-backup.txt
   {program} key export --qr-html REPOSITORY encrypted-key-backup.html
2. Write down the key passphrase and store it at safe place.
"""


def run(invocation: Invocation) -> None:
    location = invocation.location()
    access = invocation.access(location)
    given = invocation.values
    from bork.operations import init  # late: a bad command line is answered without the engine

    quota = given.get("storage_quota")
    options = init.InitOptions(
        encryption=cast("EncryptionMode", given.text("encryption").removesuffix("-blake2")),
        append_only=given.flag("append_only"),
        storage_quota=cast("int | None", quota),
        make_parent_dirs=given.flag("make_parent_dirs"),
        related_secrets=given.optional("import_related_secrets"),
    )
    console = invocation.console
    console.log("info", f'Initializing repository at "{location.canonical()}"')
    outcome = init.run(access, options)
    if outcome.key_location is not None:
        if outcome.encryption.startswith("keyfile"):
            console.log("info", f'Key in "{outcome.key_location}" created.')
            console.log("info", "Keep this key safe. Your data will be inaccessible without it.")
        console.log("warning", IMPORTANT.format(program=invocation.program))
