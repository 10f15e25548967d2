"""Have a repository for oneself while something else is done with it, such as a copy of its files."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from bork.operations.opening import open_repository

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bork.operations.access import Access


@contextmanager
def run(access: Access) -> Iterator[None]:
    """Inside of it nobody writes, deletes or compacts. Readers that begin meanwhile go on. No key is needed.

    Raises: LockTimeout, if others are at work for longer than ``access.lock_wait_s``; StorageError; and as
    ``open_repository`` without a key.
    """
    with open_repository(access, needs_key=False, role="exclusive"):
        yield
