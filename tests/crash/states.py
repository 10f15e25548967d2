"""Every state of the disk that a crash may leave, derived from the log of one run.

A call that ``fsync`` has not covered may have reached the medium or not, each independently of the others: nothing else
is assumed of the file system, except that a rename does not lose the old name without giving the new one.

After each call of the log these subsets of the names that are not synced yet are taken as having reached the medium:
all, none; all but one and one alone, of the youngest ``SINGLED`` and the oldest ``OLDEST``; all but two and two alone,
of the youngest ``PAIRED``. Unsynced bytes of files are there wholly, not at all, up to a half, as zeros, with a torn
sector in the middle, or with garbage at the end.
"""

import itertools
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, field

from tests.crash.disk import Change, Made, Named, State, Synced, Wrote

SINGLED = 16  # more are waiting only while ``init`` makes its 256 directories, which are all alike
OLDEST = 4
PAIRED = 6
SECTOR = 512  # bytes
_GARBAGE = bytes(range(255, 0, -1)) * 3

Tear = Callable[[bytes, bytes], bytes]  # what was durable, what it should have become: what is found


def _whole(old: bytes, new: bytes) -> bytes:
    return new


def _nothing(old: bytes, new: bytes) -> bytes:
    return old


def _half(old: bytes, new: bytes) -> bytes:
    return new[: (len(old) + len(new)) // 2]


def _zeros(old: bytes, new: bytes) -> bytes:
    return old + bytes(len(new) - len(old))


def _torn(old: bytes, new: bytes) -> bytes:
    middle = (len(old) + len(new)) // 2 // SECTOR * SECTOR
    start = max(middle, len(old))
    return new[:start] + bytes(min(SECTOR, len(new) - start)) + new[start + SECTOR :]


def _garbage(old: bytes, new: bytes) -> bytes:
    start = max(len(old), len(new) - SECTOR)
    return new[:start] + _GARBAGE[: len(new) - start]


TEARS: tuple[Tear, ...] = (_whole, _nothing, _half, _zeros, _torn, _garbage)


@dataclass
class _Medium:
    """What is durable for certain, and what may be there as well."""

    names: dict[int, dict[str, int]]
    data: dict[int, bytes]
    pending: list[Named] = field(default_factory=list)  # oldest first
    unsynced: dict[int, bytes] = field(default_factory=dict)  # what a file holds in the page cache

    def apply(self, change: Change) -> None:
        for effect in change:
            match effect:
                case Made(node, is_directory):
                    if is_directory:
                        self.names[node] = {}
                    else:
                        self.data[node] = b""
                case Named():
                    self.pending.append(effect)
                case Wrote(node, offset, data):
                    now = self.unsynced.get(node, self.data[node])
                    self.unsynced[node] = now[:offset] + data + now[offset + len(data) :]
                case Synced(node):
                    self._sync(node)

    def _sync(self, node: int) -> None:
        if node in self.unsynced:
            self.data[node] = self.unsynced.pop(node)
        covered = {effect for effect in self.pending if effect.directory == node}
        covered |= {one.after for one in covered if one.after is not None}
        if covered:
            self.names = _renamed(self.names, [effect for effect in self.pending if effect in covered])
            self.pending = [effect for effect in self.pending if effect not in covered]

    def state(self, reached: Sequence[Named], tear: Tear) -> State:
        missing = set(self.pending).difference(reached)
        names = _renamed(self.names, [one for one in reached if one.after not in missing])
        data = dict(self.data)
        data |= {node: tear(self.data[node], content) for node, content in self.unsynced.items()}
        return State(names, data)


def _renamed(names: dict[int, dict[str, int]], effects: Sequence[Named]) -> dict[int, dict[str, int]]:
    result = dict(names)
    for number in {effect.directory for effect in effects}:
        result[number] = dict(names[number])
    for effect in effects:
        if effect.node is None:
            result[effect.directory].pop(effect.name, None)
        else:
            result[effect.directory][effect.name] = effect.node
    return result


def crash_states(
    base: State, log: Sequence[Change], instants: Container[int] | None = None
) -> Iterator[tuple[int, State]]:
    """Number of calls that were made, and what is found then, for every crash. Many are the same as others.

    ``instants``: only those numbers of calls; None: all.
    """
    medium = _Medium({number: dict(names) for number, names in base.names.items()}, dict(base.data))
    for calls, change in enumerate([(), *log]):
        medium.apply(change)
        if instants is not None and calls not in instants:
            continue
        for reached in _subsets(medium.pending):
            for tear in TEARS if medium.unsynced and len(reached) == len(medium.pending) else (_whole, _nothing):
                yield calls, medium.state(reached, tear)


def _subsets(pending: Sequence[Named]) -> Iterator[Sequence[Named]]:
    count = len(pending)
    yield pending
    if count == 0:
        return
    yield ()
    single = [(one,) for one in range(count) if one < OLDEST or one >= count - SINGLED]
    pairs = itertools.combinations(range(max(0, count - PAIRED), count), 2)
    for few in [*single, *pairs]:
        yield [pending[one] for one in few]
        yield [pending[one] for one in range(count) if one not in few]
