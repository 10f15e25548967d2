"""Who is at work in a repository: put a session, wait for one's turn, see the others.

A session lives as long as its process, so there are no stale locks. Readers, writers and deleters work beside each
other and beside one compaction; ``with-lock`` and ``check --repair`` want the repository for themselves. The order of
the steps in ``begin`` is what compaction relies on: docs/format/sessions.md.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from bork.errors import LockTimeout, NoSpace, ObjectMissing, PermissionDenied, ReadOnlyStorage, SessionBroken
from bork.operations import generations
from bork.operations.reserving import with_reserve
from bork.repository import layout
from bork.repository import session as records
from bork.repository.layout import SessionId
from bork.repository.session import SessionRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bork.operations.access import Access
    from bork.repository.layout import HeadId
    from bork.repository.repository import Repository
    from bork.repository.session import Role
    from bork.repository.sight import Sight
    from bork.storage.base import Hold

T = TypeVar("T")

WAIT_S = 0.1  # between two looks at who is in the way

# Who has to wait for whom. Compactors and exclusive sessions take turns: the lowest name first.
_IN_THE_WAY: dict[Role, frozenset[Role]] = {
    "reader": frozenset(),
    "writer": frozenset({"exclusive"}),
    "deleter": frozenset({"exclusive"}),
    "compactor": frozenset({"compactor", "exclusive"}),
    "exclusive": frozenset({"reader", "writer", "deleter", "compactor", "exclusive"}),
}
_TAKES_TURNS: frozenset[Role] = frozenset({"compactor", "exclusive"})
_FREES: frozenset[Role] = frozenset({"deleter", "compactor", "exclusive"})  # more than the reserve, or they may


class Seen(NamedTuple):
    """A session as another one sees it."""

    id: SessionId
    record: SessionRecord
    is_certain: bool  # False: this storage cannot tell whether it lives


class Session:
    """This process at work in one repository. Use ``begin``."""

    def __init__(
        self, repository: Repository, session: SessionId, record: SessionRecord, hold: Hold, sight: Sight
    ) -> None:
        self.id = session
        self.record = record
        self.sight = sight  # what was looked at along with putting it
        self._repository = repository
        self._hold = hold

    def update(self, **changes: object) -> None:
        """Change what the session says of itself. Raises: SessionBroken, StorageError."""
        record = self.record._replace(**changes)  # type: ignore[arg-type]  # fields of SessionRecord
        try:
            _put_as(record.role, self._repository, partial(self._hold.replace, record.encode()))
        except ObjectMissing:
            raise SessionBroken(self._repository.location) from None
        self.record = record

    def others(self) -> list[Seen]:
        """All other sessions that live, or may live; dead ones are removed. Raises: StorageError."""
        return living(self._repository, but=self.id)

    def seen_with_it(self) -> list[Seen]:
        """As ``others``, when the session was put. Raises: StorageError."""
        return _living(self._repository, self.sight, self.id)

    def verify(self) -> None:
        """Call before a commit and after it. Raises: SessionBroken: then nothing may be committed."""
        if not self._hold.is_intact():
            raise SessionBroken(self._repository.location)

    def put_head(self, head: HeadId, data: bytes) -> bool:
        """Commit an archive, with a look at the session before and after. False: it was broken in between, and the
        caller takes the head back. Raises: SessionBroken: nothing was put; ObjectExists, StorageError.
        """
        try:
            return self._repository.put_head_while_held(self._hold, head, data)
        except ObjectMissing:
            raise SessionBroken(self._repository.location) from None

    def end(self) -> None:
        """Raises: StorageError."""
        self._hold.release()


def living(repository: Repository, *, but: SessionId | None = None) -> list[Seen]:
    """The sessions that live, or may live, without one's own; dead ones are removed. Raises: StorageError."""
    return _living(repository, repository.look(layout.SESSIONS), but)


def _living(repository: Repository, sight: Sight, but: SessionId | None) -> list[Seen]:
    found = []
    for session, data, alive in sight.sessions():
        if session == but:
            continue
        if alive is False:
            _bury(repository, session)
            continue
        try:
            record = records.decode(repository.get_session(session) if data is None else data)
        except ObjectMissing:
            continue
        found.append(Seen(session, record, is_certain=alive is True))
    return found


def _bury(repository: Repository, session: SessionId) -> None:
    try:
        repository.delete_session(session)
    except (PermissionDenied, ReadOnlyStorage):
        return  # it is in nobody's way


def begin(access: Access, repository: Repository, role: Role, sees: Sequence[str] = ()) -> Session | None:
    """Put a session, and wait until nobody is in its way, at most ``access.lock_wait_s`` seconds.

    ``sees``: collections that will be needed. They are looked at along with putting the session, where that shows what
    a look at them later would have to show: not where listings lag, and not by those who take turns.

    None: a reader that may not write here goes on without one; it can meet packs that a compaction deletes.
    Raises: LockTimeout, StorageError.
    """
    left_s = access.lock_wait_s
    while True:
        try:
            session = _put(access, repository, role, sees)
        except (PermissionDenied, ReadOnlyStorage, NoSpace):
            if role == "reader":
                return None
            raise
        try:
            if role in _TAKES_TURNS:
                # Of two that put their sessions at the same time one sees the other, also where listings lag: who
                # comes a lag later than this one looks when this one is listed.
                access.clock.wait(2 * repository.listing_lag_s)
            in_the_way = _take_turn(session)
            while in_the_way and role in _TAKES_TURNS and left_s > 0:
                access.clock.wait(WAIT_S)
                left_s -= WAIT_S
                in_the_way = _take_turn(session)
            if not in_the_way:
                return session
        except BaseException:
            session.end()
            raise
        session.end()
        if left_s <= 0:
            raise LockTimeout(f"{repository.location} ({in_the_way[0].record})")
        access.clock.wait(WAIT_S)
        left_s -= WAIT_S


def _put(access: Access, repository: Repository, role: Role, sees: Sequence[str]) -> Session:
    """A session that says which generation it has seen, or an older one. The order matters: it is put before the last
    look, so a compaction that does not find it has published its generation before, and it is seen here.
    """
    known = generations.known(repository)
    record = SessionRecord(
        role=role,
        generation=known,
        waiting=role in _TAKES_TURNS,
        host=os.uname().nodename,
        process=os.getpid(),
        start_ns=access.clock.now_ns(),
    )
    session_id = SessionId(access.randomness.token(32))
    whats = partial(_whats, repository, role, sees)
    put = partial(repository.hold_and_look, session_id, record.encode(), *whats(known))
    hold, sight = _put_as(role, repository, put)
    session = Session(repository, session_id, record, hold, sight)
    try:
        while (newest := generations.newest_seen(repository, session.sight)) != session.record.generation:
            session.update(generation=newest)
            session.sight = repository.look(*whats(newest))
    except BaseException:
        session.end()
        raise
    return session


def _put_as(role: Role, repository: Repository, put: Callable[[], T]) -> T:
    """What those put who give space back may use the reserve."""
    return with_reserve(repository, put) if role in _FREES else put()


def _whats(repository: Repository, role: Role, sees: Sequence[str], generation: int) -> tuple[str, ...]:
    """What to look at, in this order: who is in the way, before what they could have changed; heads before the
    generation that may call some of them void, and that before indexes and packs.
    """
    newest = generations.what_shows_newest(generation)
    if role in _TAKES_TURNS:
        return newest
    first = (layout.SESSIONS,) if _IN_THE_WAY[role] else ()
    if repository.listing_lag_s:
        return (*first, *newest)
    heads = tuple(what for what in sees if what.startswith(layout.ARCHIVES))
    return (*first, *heads, *newest, *(what for what in sees if what not in heads))


def _take_turn(session: Session) -> Sequence[Seen]:
    """Who is in the way. Nobody: the session is at work from now on."""
    role = session.record.role
    if not _IN_THE_WAY[role]:
        return ()
    if role not in _TAKES_TURNS:
        return [seen for seen in session.seen_with_it() if seen.record.role in _IN_THE_WAY[role]]
    if session.record.waiting:
        ahead = [seen for seen in _rivals(session) if not seen.record.waiting or seen.id < session.id]
        if ahead:
            return ahead
        session.update(waiting=False)
        # Somebody who has put a session since our look may not have seen that we are at work: the lower name goes.
        others = _conflicting(session)
        ahead = [seen for seen in others if seen.record.role in _TAKES_TURNS and seen.id < session.id]
        if ahead:
            session.update(waiting=True)
            return ahead
        return [seen for seen in others if seen.record.role not in _TAKES_TURNS]
    return [seen for seen in _conflicting(session) if seen.record.role not in _TAKES_TURNS]


def _conflicting(session: Session) -> list[Seen]:
    return [seen for seen in session.others() if seen.record.role in _IN_THE_WAY[session.record.role]]


def _rivals(session: Session) -> list[Seen]:
    return [seen for seen in _conflicting(session) if seen.record.role in _TAKES_TURNS]


def break_all(repository: Repository) -> list[Seen]:
    """Remove all sessions, living ones too: what they were about to commit, they cannot. The result is who lived."""
    found = living(repository)
    for seen in found:
        repository.delete_session(seen.id)
    return found
