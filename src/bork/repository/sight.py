"""What a look at a repository has shown: several collections at once, in an order that the one who looked has chosen.

It is a moment of the past. Whoever uses it says why it is new enough: docs/format/sessions.md, "What a writer does".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bork.core import digest
from bork.repository import layout
from bork.repository.layout import HeadId, IndexId, KeyId, PackId, SessionId
from bork.storage.base import Look

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bork.storage.base import Found

# How each collection is looked at: contents of what is small, names of the rest.
_LOOKS = {
    layout.SESSIONS: Look(layout.SESSIONS, contents=True, holders=True),
    layout.GENERATIONS: Look(layout.GENERATIONS, contents=True),
    layout.KEYS: Look(layout.KEYS, contents=True),
    layout.ARCHIVES: Look(layout.ARCHIVES, contents=True),
}


def looks_at(whats: Iterable[str]) -> list[Look]:
    """``whats``: collections and names of objects."""
    return [_LOOKS.get(what, Look(what, contents="/" in what or what == "config")) for what in whats]


class Sight:
    """What was seen of each collection, and of single objects."""

    def __init__(self, found: Mapping[str, Sequence[Found]]) -> None:
        self._found = found

    def __contains__(self, what: str) -> bool:
        return what in self._found

    def object(self, name: str) -> bytes | None:
        """None: it is not there, or too long to be shown. Raises: KeyError, if nobody has looked."""
        found = self._found[name]
        return found[0].data if found else None

    def is_there(self, name: str) -> bool:
        """Whether a single object is there. Raises: KeyError, if nobody has looked."""
        return bool(self._found[name])

    def heads(self) -> dict[HeadId, bytes | None]:
        """Sorted, with what each holds; None: too long to be shown."""
        found = sorted(self._found[layout.ARCHIVES])
        return {HeadId(layout.id_in(each.name)): each.data for each in found}

    def verified_keys(self) -> dict[KeyId, bytes | None]:
        """Sorted; None: it was not shown, or is not what its name says."""
        found = {KeyId(layout.id_in(each.name)): each.data for each in sorted(self._found[layout.KEYS])}
        return {key: data if data is not None and digest(data) == key else None for key, data in found.items()}

    def generations(self) -> dict[int, bytes | None]:
        """As ``heads``."""
        return {layout.number_in(each.name): each.data for each in sorted(self._found[layout.GENERATIONS])}

    def sessions(self) -> list[tuple[SessionId, bytes | None, bool | None]]:
        """Each with what it says, and whether it lives; in no order."""
        return [(SessionId(layout.id_in(each.name)), each.data, each.held) for each in self._found[layout.SESSIONS]]

    def indexes(self) -> list[IndexId]:
        """Sorted."""
        return sorted(IndexId(layout.id_in(each.name)) for each in self._found[layout.INDEXES])

    def packs(self) -> dict[PackId, int]:
        """With their lengths in bytes."""
        return {PackId(layout.id_in(each.name)): each.length for each in self._found[layout.PACKS]}
