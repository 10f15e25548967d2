"""Give an archive another name.

The name of an archive is sealed into its head, and decides what the head's object is called. So there is no way to
change it in place: the same content is committed under the new name, and then the old head is deleted. Whatever happens
in between, at least one of the two is there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bork.errors import ArchiveAlreadyExists, ObjectExists
from bork.operations.deleting import delete_archive
from bork.operations.heads import ArchiveEntry, find_archive, head_id, name_bytes, open_head
from bork.operations.opening import open_repository

if TYPE_CHECKING:
    from bork.operations.access import Access
    from bork.operations.selection import ArchiveName


def run(access: Access, old: ArchiveName, new: ArchiveName) -> ArchiveEntry:
    """The archive under its new name: everything but the name, and the fingerprint that follows from it, is the same.

    Raises: ArchiveDoesNotExist; ArchiveAlreadyExists, also if ``new`` is ``old``; AppendOnly; IntegrityError;
    SessionBroken, then the archive may have both names; and as ``open_repository``.
    """
    with open_repository(access, role="writer") as opened:
        repository, keys = opened.repository, opened.keys
        repository.require_deletable()
        entry = find_archive(repository, keys, old)
        head = head_id(keys, new)
        if head in repository.heads():  # before anything is sealed: the quota may be full
            raise ArchiveAlreadyExists(new)
        sealed = keys.seal_head(name_bytes(new), replace(entry.head, name=new).encode())
        renamed = open_head(keys, head, sealed)  # nothing counts as stored that has not been opened again
        opened.at_work.verify()
        try:
            repository.put_head(head, sealed)
        except ObjectExists:
            raise ArchiveAlreadyExists(new) from None
        opened.at_work.verify()  # whoever broke it may not have seen the new head: the old one stays
        delete_archive(repository, entry)
        return renamed
