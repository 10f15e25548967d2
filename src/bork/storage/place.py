"""Find, or make, the directory that a local store lives in, and say clearly why that is not possible."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from bork.errors import (
    InvalidRepository,
    ParentPathDoesNotExist,
    PathAlreadyExists,
    PathPermissionDenied,
    RepositoryAlreadyExists,
    RepositoryDoesNotExist,
)
from bork.storage import temporary
from bork.storage.faults import storage_error
from bork.storage.names import COLLECTIONS, CONFIG, SESSIONS
from bork.storage.publishing import sync_directory

if TYPE_CHECKING:
    from bork.storage.filesystem import Directory


def open_place(location: str, machine: Directory) -> Directory:
    """The directory. Raises: RepositoryDoesNotExist, InvalidRepository, PathPermissionDenied."""
    try:
        return machine.enter(location)
    except FileNotFoundError:
        raise RepositoryDoesNotExist(location) from None
    except NotADirectoryError:
        if _exists(machine, location):
            raise InvalidRepository(location, "it is not a directory") from None
        raise RepositoryDoesNotExist(location) from None
    except PermissionError:
        raise PathPermissionDenied(location) from None
    except OSError as fault:
        raise storage_error(fault, location, "open", "its directory") from fault


def make_place(location: str, machine: Directory, *, make_parent_dirs: bool) -> Directory:
    """Make the directory with all directories of a store, durably, and enter it.

    Raises: RepositoryAlreadyExists, PathAlreadyExists, ParentPathDoesNotExist, PathPermissionDenied, StorageError.
    """
    location = os.path.abspath(location)
    try:
        _make_root(location, machine, make_parent_dirs=make_parent_dirs)
        root = open_place(location, machine)
        try:
            _make_skeleton(root)
        except BaseException:
            root.leave()
            raise
        return root
    except PermissionError:
        raise PathPermissionDenied(location) from None
    except OSError as fault:
        raise storage_error(fault, location, "make", "its directories") from fault


def _make_root(location: str, machine: Directory, *, make_parent_dirs: bool) -> None:
    parent = os.path.dirname(location)
    try:
        machine.mkdir(location)
    except FileExistsError:
        _refuse_unless_vacant(location, machine)
    except FileNotFoundError:
        if not make_parent_dirs:
            raise ParentPathDoesNotExist(location) from None
        _make_parents(parent, machine)
        machine.mkdir(location)
    except NotADirectoryError:
        raise ParentPathDoesNotExist(location) from None
    with contextlib.suppress(PermissionError):  # made by the administrator, in a directory that others may not list
        sync_directory(machine, parent)


def _make_parents(path: str, machine: Directory) -> None:
    if not _exists(machine, path):
        parent = os.path.dirname(path)
        _make_parents(parent, machine)
        machine.mkdir(path)
        sync_directory(machine, parent)


def _exists(machine: Directory, path: str) -> bool:
    try:
        machine.stat(path)
    except OSError:
        return False
    return True


def _refuse_unless_vacant(location: str, machine: Directory) -> None:
    """Pass an empty directory, and what is left of an ``init`` that was interrupted: no config, no backups."""
    try:
        place = machine.enter(location)
    except NotADirectoryError:
        raise PathAlreadyExists(location) from None
    try:
        names = set(place.names())
        if CONFIG in names:
            raise RepositoryAlreadyExists(location)
        if not names <= {temporary.DIRECTORY, *COLLECTIONS}:
            raise PathAlreadyExists(location)
        for name in names:
            # A key without a config opens nothing, and a session without one keeps nothing.
            if not _is_vacant(place, name, files_allowed=name in (temporary.DIRECTORY, "keys", SESSIONS)):
                raise PathAlreadyExists(location)
    finally:
        place.leave()


def _is_vacant(parent: Directory, name: str, *, files_allowed: bool) -> bool:
    """Whether this is a directory, and no file, or only files that may be there, lies anywhere below it."""
    try:
        directory = parent.enter(name)
    except NotADirectoryError:
        return False
    try:
        return files_allowed or all(
            entry.is_dir(follow_symlinks=False) and _is_vacant(directory, entry.name, files_allowed=False)
            for entry in directory.scan()
        )
    finally:
        directory.leave()


def _make_skeleton(root: Directory) -> None:
    """All directories at once: a put need not make one, nor wait until it is durable."""
    for name in (temporary.DIRECTORY, *COLLECTIONS):
        _make(root, name)
    for name, sharded in COLLECTIONS.items():
        if sharded:
            for first in range(256):
                _make(root, f"{name}/{first:02x}")
            sync_directory(root, name)
    sync_directory(root, ".")


def _make(root: Directory, path: str) -> None:
    try:
        root.mkdir(path)
    except FileExistsError:
        return
