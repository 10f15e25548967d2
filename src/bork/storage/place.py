"""Find, or make, the directory that a local store lives in, and say clearly why that is not possible."""

from __future__ import annotations

import contextlib
import os

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
from bork.storage.names import COLLECTIONS, CONFIG
from bork.storage.publishing import sync_directory


def open_place(location: str) -> int:
    """A descriptor of the directory. Raises: RepositoryDoesNotExist, InvalidRepository, PathPermissionDenied."""
    try:
        return os.open(location, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise RepositoryDoesNotExist(location) from None
    except NotADirectoryError:
        if os.path.lexists(location):
            raise InvalidRepository(location, "it is not a directory") from None
        raise RepositoryDoesNotExist(location) from None
    except PermissionError:
        raise PathPermissionDenied(location) from None
    except OSError as fault:
        raise storage_error(fault, location, "open", "its directory") from fault


def make_place(location: str, *, make_parent_dirs: bool) -> int:
    """Make the directory with all directories of a store, durably: a descriptor of it.

    Raises: RepositoryAlreadyExists, PathAlreadyExists, ParentPathDoesNotExist, PathPermissionDenied, StorageError.
    """
    location = os.path.abspath(location)
    try:
        _make_root(location, make_parent_dirs=make_parent_dirs)
        root_fd = open_place(location)
        try:
            _make_skeleton(root_fd)
        except BaseException:
            os.close(root_fd)
            raise
        return root_fd
    except PermissionError:
        raise PathPermissionDenied(location) from None
    except OSError as fault:
        raise storage_error(fault, location, "make", "its directories") from fault


def _make_root(location: str, *, make_parent_dirs: bool) -> None:
    parent = os.path.dirname(location)
    try:
        os.mkdir(location)
    except FileExistsError:
        _refuse_unless_vacant(location)
    except FileNotFoundError:
        if not make_parent_dirs:
            raise ParentPathDoesNotExist(location) from None
        _make_parents(parent)
        os.mkdir(location)
    except NotADirectoryError:
        raise ParentPathDoesNotExist(location) from None
    with contextlib.suppress(PermissionError):  # made by the administrator, in a directory that others may not list
        sync_directory(parent)


def _make_parents(path: str) -> None:
    if not os.path.isdir(path):
        _make_parents(os.path.dirname(path))
        os.mkdir(path)
        sync_directory(os.path.dirname(path))


def _refuse_unless_vacant(location: str) -> None:
    """Pass an empty directory, and what is left of an ``init`` that was interrupted: no config, no backups."""
    try:
        names = set(os.listdir(location))
    except NotADirectoryError:
        raise PathAlreadyExists(location) from None
    if CONFIG in names:
        raise RepositoryAlreadyExists(location)
    if not names <= {temporary.DIRECTORY, *COLLECTIONS} or not all(
        os.path.isdir(os.path.join(location, name)) for name in names
    ):
        raise PathAlreadyExists(location)
    for collection in names - {temporary.DIRECTORY, "keys"}:  # a key without a config opens nothing
        if any(files for _, _, files in os.walk(os.path.join(location, collection))):
            raise PathAlreadyExists(location)


def _make_skeleton(root_fd: int) -> None:
    """All directories at once: a put need not make one, nor wait until it is durable."""
    for name in (temporary.DIRECTORY, *COLLECTIONS):
        _make(name, root_fd)
    for name, sharded in COLLECTIONS.items():
        if sharded:
            for first in range(256):
                _make(f"{name}/{first:02x}", root_fd)
            sync_directory(name, root_fd)
    sync_directory(".", root_fd)


def _make(path: str, root_fd: int) -> None:
    try:
        os.mkdir(path, dir_fd=root_fd)
    except FileExistsError:
        return
