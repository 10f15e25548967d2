"""What this user remembers of each repository, so that a swapped one is noticed before anything is trusted to it.

``<security_dir>/<repository id>/location`` and ``key-type``, as Borg has them. Somebody who controls the storage can
put another repository there, or an unencrypted one; the id, the place and the mode that were seen before tell.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bork.crypto.modes import MODES
from bork.errors import CacheFault, CacheInitAborted, EncryptionMethodMismatch, RepositoryAccessAborted
from bork.storage.private import write_private

if TYPE_CHECKING:
    from bork.operations.access import Access
    from bork.repository.repository import Repository

UNKNOWN_UNENCRYPTED = "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK"
RELOCATED = "BORG_RELOCATED_REPO_ACCESS_IS_OK"


def directory(access: Access, repository: Repository) -> str:
    """Where the memory of this repository is kept."""
    return os.path.join(access.security_dir, repository.id.hex())


def verify(access: Access, repository: Repository) -> None:
    """Compare a repository with what is remembered of it, and ask the user where that is not enough.

    Raises: CacheInitAborted, RepositoryAccessAborted, EncryptionMethodMismatch, CacheFault.
    """
    seen_mode = _recall(access, repository, "key-type")
    seen_location = _recall(access, repository, "location")
    if seen_mode is None and not MODES[repository.config.encryption].encrypts:
        question = (
            "Warning: Attempting to access a previously unknown unencrypted repository!\nDo you want to continue? [yN] "
        )
        if not access.questions.ask(UNKNOWN_UNENCRYPTED, question):
            raise CacheInitAborted
    if seen_location is not None and seen_location != _location(access):
        question = (
            f"Warning: The repository at location {_location(access)} was previously located at {seen_location}\n"
            "Do you want to continue? [yN] "
        )
        if not access.questions.ask(RELOCATED, question):
            raise RepositoryAccessAborted
    if seen_mode is not None and seen_mode != repository.config.encryption:
        raise EncryptionMethodMismatch


def remember(access: Access, repository: Repository) -> None:
    """Call when the repository was opened and its key fits. Writes only what is new. Raises: CacheFault."""
    for name, value in (("location", _location(access)), ("key-type", repository.config.encryption)):
        if _recall(access, repository, name) != value:
            path = os.path.join(directory(access, repository), name)
            try:
                write_private(path, value.encode("utf-8", "surrogateescape"))
            except OSError as fault:
                raise CacheFault(path, os.strerror(fault.errno or 0)) from fault


def _location(access: Access) -> str:
    return os.path.abspath(access.path) if access.is_local else access.path


def _recall(access: Access, repository: Repository, name: str) -> str | None:
    path = os.path.join(directory(access, repository), name)
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read().strip()
    except FileNotFoundError:
        return None
    except OSError as fault:
        raise CacheFault(path, os.strerror(fault.errno or 0)) from fault
