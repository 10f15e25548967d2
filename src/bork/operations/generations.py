"""Find the newest generation, and put the next one. See docs/format/sessions.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bork.archive.generation import Generation, decode
from bork.errors import GenerationDamaged, IntegrityError, ObjectMissing
from bork.repository import layout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bork.core import Keys
    from bork.operations.events import EventSink
    from bork.repository.repository import Repository
    from bork.repository.sight import Sight
    from bork.storage.names import ObjectName

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


def newest(
    repository: Repository, keys: Keys, sight: Sight | None = None, events: EventSink | None = None
) -> Generation:
    """``sight`` includes some ``what_shows_newest``, and tells without another look.

    Who only reads goes on without one that is damaged, for that condemns nothing; ``events`` gets a warning.
    Raises: GenerationDamaged, UnsupportedFormat, StorageError.
    """
    if sight is not None:
        generations = sight.generations()
        number = max(generations, default=0)
        if _is_newest(sight, number):
            if number == 0:
                return Generation()
            if (shown := generations[number]) is not None:
                return _opened(repository, keys, number, shown, events)
    while True:
        number = newest_number(repository)
        if number == 0:
            return Generation()
        try:
            data = repository.get_generation(number)
        except ObjectMissing:
            continue  # a newer one took its place meanwhile
        return _opened(repository, keys, number, data, events)


def _opened(repository: Repository, keys: Keys, number: int, data: bytes, events: EventSink | None) -> Generation:
    try:
        return decode(number, keys.open_generation(number, data))
    except IntegrityError as fault:
        damaged = GenerationDamaged(f"the generation {layout.generation_name(number)} is damaged")
        if not repository.is_only_read:
            raise damaged from fault
        if events is not None:
            events.log("warning", f"{damaged}. {damaged.advice}")
        return Generation(number)


def damaged(repository: Repository, keys: Keys | None) -> Iterator[tuple[ObjectName, IntegrityError]]:
    """Those that are not what they were, of all that are kept; without keys, by their checksums.

    Raises: UnsupportedFormat, StorageError.
    """
    for number in repository.generations():
        name = layout.generation_name(number)
        try:
            if keys is None:
                repository.verify(name)
            else:
                decode(number, keys.open_generation(number, repository.get_generation(number)))
        except ObjectMissing:
            continue  # a newer one took its place meanwhile
        except IntegrityError as fault:
            yield name, fault


def publish(repository: Repository, keys: Keys, generation: Generation) -> None:
    """Put a generation, then remove those that it makes useless. Raises: ObjectExists, StorageError."""
    repository.put_generation(generation.number, keys.seal_generation(generation.number, generation.encode()))
    for number in repository.generations():
        if number <= generation.number - KEPT:
            repository.delete_generation(number)
