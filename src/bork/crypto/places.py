"""Where the key slots of a repository are: in the repository itself, or in files of the user."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Protocol

from bork.crypto import keyfile
from bork.crypto.modes import MODES
from bork.crypto.slots import Slot
from bork.errors import (
    IntegrityError,
    KeyfileMismatch,
    KeyfileNotFound,
    NotABorkKeyFile,
    OutputFault,
    RepoKeyNotFound,
    SourceFault,
)
from bork.repository.layout import KeyId
from bork.storage.private import write_private

if TYPE_CHECKING:
    from bork.repository.repository import Repository


class KeyPlace(Protocol):
    """Holds the key slots of one repository."""

    @property
    def location(self) -> str:
        """For messages and prompts."""
        ...

    def slots(self) -> list[Slot]:
        """At least one. Raises: RepoKeyNotFound, KeyfileNotFound, KeyfileMismatch, NotABorkKeyFile, StorageError."""
        ...

    def add(self, data: bytes) -> str:
        """Store a new slot durably; the result is where. Raises: StorageError, OutputFault."""
        ...

    def replace(self, slot: Slot, data: bytes) -> None:
        """Store ``data`` in place of ``slot``. At every moment at least one of them is there, durably."""
        ...


def key_place(repository: Repository, keys_dir: str, key_file: str | None) -> KeyPlace | None:
    """Where the keys of this repository belong; None if its mode has none."""
    match MODES[repository.config.encryption].key:
        case "repository":
            return RepositorySlots(repository)
        case "file":
            return FileSlots(repository, keys_dir, key_file)
        case None:
            return None


class RepositorySlots:
    """Objects ``keys/...`` of the repository."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    @property
    def location(self) -> str:
        """As ``KeyPlace``."""
        return self._repository.location

    def slots(self) -> list[Slot]:
        """As ``KeyPlace``."""
        slots: list[Slot] = []
        damaged: IntegrityError | None = None
        for key, data in self._repository.keys_seen().items():
            try:
                slots.append(Slot(key.hex(), self._repository.get_key(key) if data is None else data))
            except IntegrityError as fault:  # another slot may be sound
                damaged = fault
        if slots:
            return slots
        raise RepoKeyNotFound(self.location) if damaged is None else damaged

    def add(self, data: bytes) -> str:
        """As ``KeyPlace``."""
        self._repository.put_key(data)
        return self.location

    def replace(self, slot: Slot, data: bytes) -> None:
        """As ``KeyPlace``."""
        new = self._repository.put_key(data)
        old = KeyId(bytes.fromhex(slot.where))
        if new != old:
            self._repository.delete_key(old)


class FileSlots:
    """Key files: the one that was named, or all in a directory that say they are of this repository."""

    def __init__(self, repository: Repository, keys_dir: str, key_file: str | None) -> None:
        self._repository = repository
        self._keys_dir = keys_dir
        self._key_file = key_file

    @property
    def location(self) -> str:
        """As ``KeyPlace``."""
        return self._key_file or (self._found() or [self._new_path()])[0]

    def slots(self) -> list[Slot]:
        """As ``KeyPlace``."""
        paths = [self._key_file] if self._key_file is not None else self._found()
        if not paths or not os.path.lexists(paths[0]):
            raise KeyfileNotFound(self._repository.location, self._key_file or self._keys_dir)
        slots: list[Slot] = []
        damaged: NotABorkKeyFile | SourceFault | None = None
        for path in paths:
            try:
                slots.append(Slot(path, self._read(path)))
            except (NotABorkKeyFile, SourceFault) as fault:  # another file may be sound
                damaged = damaged or fault
        if not slots and damaged is not None:
            raise damaged
        return slots

    def add(self, data: bytes) -> str:
        """As ``KeyPlace``. A file that is there already is never overwritten."""
        path = self._key_file or self._new_path()
        try:
            write_private(path, self._text(data), exclusive=True)
        except OSError as fault:
            raise OutputFault(path, os.strerror(fault.errno or 0)) from fault
        return path

    def replace(self, slot: Slot, data: bytes) -> None:
        """As ``KeyPlace``."""
        try:
            write_private(os.path.realpath(slot.where), self._text(data))  # a link to a stick stays one
        except OSError as fault:
            raise OutputFault(slot.where, os.strerror(fault.errno or 0)) from fault

    def _text(self, data: bytes) -> bytes:
        return keyfile.encode(self._repository.id, data).encode("ascii")

    def _read(self, path: str) -> bytes:
        repository_id, data = keyfile.decode(read_text(path), path)
        if repository_id != self._repository.id:
            raise KeyfileMismatch(self._repository.location, path)
        return data

    def _found(self) -> list[str]:
        try:
            names = sorted(os.listdir(self._keys_dir))
        except OSError:
            return []
        return [path for name in names if self._is_ours(path := os.path.join(self._keys_dir, name))]

    def _is_ours(self, path: str) -> bool:
        """Whether it is a key file of this repository; other files in the directory are no error."""
        try:
            return not path.endswith(".tmp") and keyfile.owner(read_text(path)) == self._repository.id
        except (NotABorkKeyFile, SourceFault):
            return False

    def _new_path(self) -> str:
        """A free name that tells a person which repository it is for."""
        location = self._repository.location.removeprefix("ssh://")
        stem = re.sub(r"[^\w.-]+", "_", location).strip("_")[-200:] or "repository"
        path, number = os.path.join(self._keys_dir, stem), 2
        while os.path.lexists(path):
            path, number = os.path.join(self._keys_dir, f"{stem}.{number}"), number + 1
        return path


def read_text(path: str) -> str:
    """A small text file. Raises: SourceFault, NotABorkKeyFile."""
    try:
        with open(path, "rb") as file:
            data = file.read(keyfile.LENGTH_MAX + 1)
    except OSError as fault:
        raise SourceFault(path, os.strerror(fault.errno or 0)) from fault
    if len(data) > keyfile.LENGTH_MAX or not data.isascii():
        raise NotABorkKeyFile(path, "it is not a short text")
    return data.decode("ascii")
