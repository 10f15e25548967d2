"""Find the newest generation, and put the next one. See docs/format/sessions.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bork.archive.generation import Generation, decode
from bork.errors import ObjectMissing

if TYPE_CHECKING:
    from bork.core import Keys
    from bork.repository.repository import Repository

KEPT = 2  # generations: the newest, and the one before it for who has just listed them


def newest_number(repository: Repository) -> int:
    """0 if there was no compaction yet. Raises: StorageError."""
    number = max(repository.generations(), default=0)
    while _is_there(repository, number + 1):  # a listing may lag behind, a get does not
        number += 1
    return number


def _is_there(repository: Repository, number: int) -> bool:
    try:
        repository.get_generation(number)
    except ObjectMissing:
        return False
    return True


def newest(repository: Repository, keys: Keys) -> Generation:
    """Raises: IntegrityError, UnsupportedFormat, StorageError."""
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
