"""What gives space back may use the space that is kept for the day when the medium is full."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from bork.errors import NoSpace

if TYPE_CHECKING:
    from collections.abc import Callable

    from bork.repository.repository import Repository

T = TypeVar("T")


def with_reserve(repository: Repository, put: Callable[[], T]) -> T:
    """``put``, and once more without the reserve if there is no space. Raises: as ``put``."""
    try:
        return put()
    except NoSpace:
        repository.use_reserve()
        return put()
