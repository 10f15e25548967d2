"""Give an archive another name.

The name of an archive is sealed into its head, and decides what the head's object is called. So there is no way to
change it in place: the same content is committed under the new name, and then the old head is deleted. Whatever happens
in between, at least one of the two is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bork.errors import ArchiveAlreadyExists
from bork.operations.committing import put_head, seal
from bork.operations.deleting import delete_archive
from bork.operations.heads import ArchiveEntry, find_archive, head_id
from bork.operations.opening import open_repository

if TYPE_CHECKING:
    from bork.operations.access import Access
    from bork.operations.selection import ArchiveName


def run(access: Access, old: ArchiveName, new: ArchiveName) -> ArchiveEntry:
    """The archive under its new name. Everything that its maker said of it is the same but the name, and so the
    fingerprint; the session is that of the renaming, for it is what the new head stands and falls with.

    Raises: ArchiveDoesNotExist; ArchiveAlreadyExists, also if ``new`` is ``old``; AppendOnly; IntegrityError;
    SessionBroken, then nothing has changed; and as ``open_repository``.
    """
    with open_repository(access, role="writer") as opened:
        repository, keys = opened.repository, opened.keys
        repository.require_deletable()
        entry = find_archive(repository, keys, old)
        if head_id(keys, new) in repository.heads():  # before anything is sealed: the quota may be full
            raise ArchiveAlreadyExists(new)
        session = opened.at_work
        head = entry.head._replace(name=new, session=session.id.hex(), generation=session.record.generation)
        renamed, sealed = seal(keys, head)
        put_head(opened, renamed, sealed)
        delete_archive(repository, entry)
        return renamed
