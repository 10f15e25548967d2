"""Take the key of a repository out, bring it back, change its passphrase."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

from bork.crypto import keyfile, qrpage, related
from bork.crypto import paper as paper_key
from bork.crypto.places import KeyPlace, key_place
from bork.crypto.slots import seal_slot, verify_slot
from bork.errors import KeyMismatch, OutputFault, RepoIdMismatch, UnencryptedRepo
from bork.operations.opening import OpenRepository, open_repository, unlock
from bork.storage.private import write_to

if TYPE_CHECKING:
    from collections.abc import Callable

    from bork.operations.access import Access
    from bork.repository.layout import RepositoryId

KeyStyle = Literal["file", "paper", "qr-html"]


_FORMS: dict[KeyStyle, Callable[[RepositoryId, bytes], str]] = {
    "file": keyfile.encode,
    "paper": paper_key.encode,
    "qr-html": qrpage.encode,
}


def export(access: Access, path: str | None, style: KeyStyle) -> str:
    """The key as text, still sealed by its passphrase; written to ``path`` too, for this user alone.

    Asks for the passphrase only if there are several keys, to find the one that it opens.
    Raises: UnencryptedRepo, OutputFault, and as ``open_repository`` and ``KeyPlace.slots``.
    """
    with open_repository(access, needs_key=False) as opened:
        place = _place(access, opened)
        slots = place.slots()
        data = slots[0].data if len(slots) == 1 else unlock(access, opened.repository, place)[1].data
        repository_id = opened.repository.id
    text = _FORMS[style](repository_id, data)
    if path is not None:
        try:
            write_to(path, text.encode("ascii"))
        except OSError as fault:
            raise OutputFault(path, os.strerror(fault.errno or 0)) from fault
    return text


def export_related(access: Access, path: str | None) -> str:
    """The secret that a related repository needs, as text, unsealed; written to ``path`` too, for this user alone.

    Raises: UnencryptedRepo, OutputFault, and as ``open_repository``.
    """
    with open_repository(access) as opened:
        _place(access, opened)
        text = related.encode(opened.keys.related_secret())
    if path is not None:
        try:
            write_to(path, text.encode("ascii"))
        except OSError as fault:
            raise OutputFault(path, os.strerror(fault.errno or 0)) from fault
    return text


def import_(access: Access, text: str, paper: bool, path: str = "The input") -> str:
    """Bring back a key that ``export`` wrote; keys that are there already stay. The result is where it is now.

    ``path``: where ``text`` comes from, for messages.
    Raises: UnencryptedRepo, NotABorkKeyFile, RepoIdMismatch, KeyInvalid, and as ``open_repository``.
    """
    with open_repository(access, needs_key=False) as opened:
        place = _place(access, opened)
        repository_id = opened.repository.id
        if paper:
            data = paper_key.decode(text, path, repository_id)
        else:
            owner, data = keyfile.decode(text, path)
            if owner != repository_id:
                raise RepoIdMismatch
        try:
            verify_slot(data, repository_id)
        except KeyMismatch:
            raise RepoIdMismatch from None
        return place.add(data)


def change_passphrase(access: Access) -> str:
    """Seal the key under a new passphrase. The old one opens it until the new one is stored. The result is where.

    Raises: UnencryptedRepo, and as ``open_repository``, ``unlock`` and ``PassphraseSource.new``.
    """
    with open_repository(access, needs_key=False) as opened:
        place = _place(access, opened)
        keys, slot = unlock(access, opened.repository, place)
        sealed = seal_slot(keys, access.passphrases.new(place.location), access.kdf_cost)
        place.replace(slot, sealed)
        return place.location


def paper_reader(access: Access) -> PaperReader:
    """For a command that reads a key from paper line by line. Raises: UnencryptedRepo, and as ``open_repository``."""
    with open_repository(access, needs_key=False) as opened:
        _place(access, opened)
        return PaperReader(opened.repository.id)


class PaperReader:
    """Checks each line of a key on paper as it is typed, so that a typing error is found at once."""

    def __init__(self, repository_id: bytes) -> None:
        self._repository_id = repository_id
        self._heading: paper_key.Heading | None = None
        self._typed: list[str] = []

    @property
    def prompt(self) -> str:
        """What to ask for next."""
        return "id: " if self._heading is None else f"{len(self._typed):2d}: "

    @property
    def complete(self) -> bool:
        """Whether ``text`` is the whole key."""
        return self._heading is not None and len(self._typed) == self._heading.lines + 1

    @property
    def text(self) -> str:
        """What was typed, for ``import_``."""
        return "\n".join(self._typed)

    def line(self, typed: str) -> None:
        """Take the next line. Raises: ValueError, with what is wrong: ask again; RepoIdMismatch."""
        typed = typed.strip()
        if self._heading is None:
            full = typed if typed.lower().startswith("id:") else f"id: {typed}"
            heading = paper_key.parse_heading(full)
            if not self._repository_id.startswith(heading.repository_id_start):
                raise RepoIdMismatch
            self._heading, self._typed = heading, [full]
        else:
            paper_key.parse_line(len(self._typed), typed)
            self._typed.append(typed)


def _place(access: Access, opened: OpenRepository) -> KeyPlace:
    place = key_place(opened.repository, access.keys_dir, access.key_file)
    if place is None:
        raise UnencryptedRepo
    return place
