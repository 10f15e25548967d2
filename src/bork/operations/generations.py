"""Find the newest generation, and put the next one. See docs/format/sessions.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bork.archive.generation import Generation, decode
from bork.errors import ObjectMissing
from bork.repository import layout

if TYPE_CHECKING:
    from bork.core import Keys
    from bork.repository.repository import Repository
    from bork.repository.sight import Sight

KEPT = 2  # generations: the newest, and the one before it for who has just listed them


def newest_number(repository: Repository) -> int:
    """0 if there was no compaction yet. Raises: StorageError."""
    return _go_on(repository, max(repository.generations(), default=0))


def known(repository: Repository) -> int:
    """The newest that was listed when the repository was opened. There may be newer ones by now."""
    return 0 if repository.seen is None else max(repository.seen.generations(), default=0)


def what_shows_newest(number: int) -> tuple[str, str]:
    """What to look at to see at once that ``number`` is the newest, if it is. A listing may lag, a get does not."""
    return layout.GENERATIONS, layout.generation_name(number + 1)


def newest_seen(repository: Repository, sight: Sight) -> int:
    """The newest generation; ``sight`` includes some ``what_shows_newest``. Raises: StorageError."""
    number = max(sight.generations(), default=0)
    return number if _is_newest(sight, number) else _go_on(repository, number)


def _is_newest(sight: Sight, number: int) -> bool:
    after = layout.generation_name(number + 1)
    return after in sight and not sight.is_there(after)


def _go_on(repository: Repository, number: int) -> int:
    while _is_there(repository, number + 1):  # a listing may lag behind, a get does not
        number += 1
    return number


def _is_there(repository: Repository, number: int) -> bool:
    try:
        repository.get_generation(number)
    except ObjectMissing:
        return False
    return True


def newest(repository: Repository, keys: Keys, sight: Sight | None = None) -> Generation:
    """``sight`` includes some ``what_shows_newest``, and tells without another look.

    Raises: IntegrityError, UnsupportedFormat, StorageError.
    """
    if sight is not None:
        generations = sight.generations()
        number = max(generations, default=0)
        if _is_newest(sight, number):
            if number == 0:
                return Generation()
            if (shown := generations[number]) is not None:
                return decode(number, keys.open_generation(number, shown))
    while True:
        number = newest_number(repository)
        if number == 0:
            return Generation()
        try:
            data = repository.get_generation(number)
        except ObjectMissing:
            continue  # a newer one took its place meanwhile
        return decode(number, keys.open_generation(number, data))


def publish(repository: Repository, keys: Keys, generation: Generation) -> None:
    """Put a generation, then remove those that it makes useless. Raises: ObjectExists, StorageError."""
    repository.put_generation(generation.number, keys.seal_generation(generation.number, generation.encode()))
    for number in repository.generations():
        if number <= generation.number - KEPT:
            repository.delete_generation(number)
