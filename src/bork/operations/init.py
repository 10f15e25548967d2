"""Make a repository."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from bork.crypto import related as related_secrets
from bork.crypto.modes import MODES, EncryptionMode
from bork.crypto.places import key_place
from bork.crypto.slots import new_keys, seal_slot
from bork.errors import SourceFault, UnencryptedRepo
from bork.operations import security
from bork.repository.config import RepositoryConfig
from bork.repository.layout import RepositoryId
from bork.repository.repository import Repository

if TYPE_CHECKING:
    from bork.operations.access import Access

ID_LENGTH = 32  # bytes of a repository id


class InitOptions(NamedTuple):
    encryption: EncryptionMode
    append_only: bool = False
    storage_quota: int | None = None  # bytes
    make_parent_dirs: bool = False
    related_secrets: str | None = None  # path of what "key export-related-secrets" wrote


class InitOutcome(NamedTuple):
    repository_id: RepositoryId
    encryption: EncryptionMode
    key_location: str | None  # path of the key file, or of the repository that holds the key; None without a key


def run(access: Access, options: InitOptions) -> InitOutcome:
    """Make an empty repository with new secrets. The ``config`` object is put last: before it there is no repository.

    An ``init`` that was interrupted can be repeated at the same path.
    Raises: RepositoryAlreadyExists, PathAlreadyExists, ParentPathDoesNotExist, StorageError, OutputFault; SourceFault,
    NotABorkKeyFile, UnencryptedRepo, if related secrets cannot be used.
    """
    mode = MODES[options.encryption]
    related = None if options.related_secrets is None else _related(options.related_secrets)
    if related is not None and mode.key is None:
        raise UnencryptedRepo
    store = access.stores.create(access.path, make_parent_dirs=options.make_parent_dirs)
    try:
        repository_id = RepositoryId(access.randomness.token(ID_LENGTH))
        keys = new_keys(repository_id, mode, related)
        config = RepositoryConfig(
            id=repository_id,
            encryption=mode.name,
            suite=keys.suite,
            append_only=options.append_only,
            storage_quota=options.storage_quota or 0,
        )
        repository = Repository(store, config)
        place = key_place(repository, access.keys_dir, access.key_file)
        key_location = None
        if place is not None:
            key_location = place.add(seal_slot(keys, access.passphrases.new(place.location), access.kdf_cost))
        repository.publish_config()
        repository.keep_reserve()
        security.remember(access, repository)
    finally:
        store.close()
    return InitOutcome(repository_id, mode.name, key_location)


def _related(path: str) -> bytes:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return related_secrets.decode(file.read(related_secrets.LENGTH_MAX), path)
    except OSError as fault:
        raise SourceFault(path, os.strerror(fault.errno or 0)) from fault
