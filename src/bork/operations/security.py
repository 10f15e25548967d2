"""What this user remembers of each repository, so that a swapped one is noticed before anything is trusted to it.

``<security_dir>/<repository id>/location`` and ``key-type``, as Borg has them. Somebody who controls the storage can
put another repository there, or an unencrypted one; the id, the place and the mode that were seen before tell.

A server that pulls can say of any repository that it lies anywhere. There the place is worth nothing, and it is the id
that is remembered: a file ``pulled`` beside the others. Once there is one, no other repository is accepted.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bork.crypto.modes import MODES
from bork.errors import (
    CacheFault,
    CacheInitAborted,
    EncryptionMethodMismatch,
    RepositoryAccessAborted,
    RepositorySwapped,
)
from bork.storage.private import write_private

if TYPE_CHECKING:
    from bork.operations.access import Access
    from bork.repository.repository import Repository

UNKNOWN_UNENCRYPTED = "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK"
RELOCATED = "BORG_RELOCATED_REPO_ACCESS_IS_OK"
PULLED = "pulled"


def directory(access: Access, repository: Repository) -> str:
    """Where the memory of this repository is kept."""
    return os.path.join(access.security_dir, repository.id.hex())


def verify(access: Access, repository: Repository) -> None:
    """Compare a repository with what is remembered of it, and ask the user where that is not enough.

    Raises: CacheInitAborted, RepositoryAccessAborted, RepositorySwapped, EncryptionMethodMismatch, CacheFault.
    """
    seen_mode = _recall(access, repository, "key-type")
    seen_location = _recall(access, repository, "location")
    if seen_mode is None and not MODES[repository.config.encryption].encrypts:
        question = (
            "Warning: Attempting to access a previously unknown unencrypted repository!\nDo you want to continue? [yN] "
        )
        if not access.questions.ask(UNKNOWN_UNENCRYPTED, question):
            raise CacheInitAborted
    if access.pulled is not None:
        _verify_pin(access, access.pulled, repository)
    elif seen_location is not None and seen_location != _location(access):
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
    place = "location" if access.pulled is None else PULLED
    for name, value in ((place, _location(access)), ("key-type", repository.config.encryption)):
        if _recall(access, repository, name) != value:
            path = os.path.join(directory(access, repository), name)
            try:
                write_private(path, value.encode("utf-8", "surrogateescape"))
            except OSError as fault:
                raise CacheFault(path, os.strerror(fault.errno or 0)) from fault


def _verify_pin(access: Access, allowed: tuple[str, ...], repository: Repository) -> None:
    found = repository.id.hex()
    expected = allowed or pins(access)
    if expected and found not in expected:
        raise RepositorySwapped(found, " or ".join(expected))


def pins(access: Access) -> tuple[str, ...]:
    """The ids of all repositories that this user has been given in a pull."""
    try:
        names = sorted(os.listdir(access.security_dir))
    except FileNotFoundError:
        return ()
    except OSError as fault:
        raise CacheFault(access.security_dir, os.strerror(fault.errno or 0)) from fault
    return tuple(name for name in names if os.path.exists(os.path.join(access.security_dir, name, PULLED)))


def _location(access: Access) -> str:
    return os.path.abspath(access.path) if access.is_local else access.path


def _recall(access: Access, repository: Repository, name: str) -> str | None:
    path = os.path.join(directory(access, repository), name)
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            return file.read()  # as it was written: a location may end in white space
    except FileNotFoundError:
        return None
    except OSError as fault:
        raise CacheFault(path, os.strerror(fault.errno or 0)) from fault
