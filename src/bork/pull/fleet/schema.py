"""The keys of the configuration and what each may hold. Everything else is refused, with the file, table and key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, NoReturn

from bork.errors import BorkError, PullConfigInvalid
from bork.pull.fleet import names
from bork.pull.fleet.durations import parse_duration, parse_time_of_day

Check = Callable[[str], object]  # raises ValueError, or an error of Bork, with a sentence

NUMBER_MAX = 1 << 40


class Key(NamedTuple):
    """What a key holds. ``kind``: text, texts (one or several), number, flag, duration or times (one or several)."""

    kind: str
    check: Check = names.one_line
    group: str = ""  # a host that sets one key of a group takes none of the others from the defaults
    option: str = ""  # of bork pull, that the value becomes


KEEP = tuple(f"keep-{rule}" for rule in ("last", "secondly", "minutely", "hourly", "daily", "weekly", "monthly"))
KEEP += ("keep-13weekly", "keep-3monthly", "keep-yearly")

TABLE = Key("table")  # which has keys of its own
TOP: Mapping[str, Key] = {
    "jobs": Key("number"),
    "prometheus-file": Key("text", names.path),
}
HOST: Mapping[str, Key] = {
    "paths": Key("texts", names.source),
    "exclude": Key("texts", option="--exclude"),
    "patterns": Key("texts", option="--pattern"),
    "exclude-caches": Key("flag", option="--exclude-caches"),
    "exclude-if-present": Key("texts", option="--exclude-if-present"),
    "one-file-system": Key("flag", option="--one-file-system"),
    "numeric-ids": Key("flag", option="--numeric-ids"),
    "compression": Key("text", option="--compression"),
    "comment": Key("text", option="--comment"),
    "rate-limit": Key("number", option="--download-ratelimit"),
    "no-ship": Key("flag", option="--no-ship"),
    "share-dedup": Key("flag", option="--share-dedup"),
    "client-encrypts": Key("flag", option="--client-encrypts"),
    "passphrase-from-server": Key("flag", option="--passphrase-from-server"),
    "repository": Key("text"),
    "archive": Key("text"),
    "every": Key("duration", group="schedule"),
    "at": Key("times", group="schedule"),
    "retry": Key("duration"),
    "timeout": Key("duration"),
    "max-age": Key("duration"),
    "keep-within": Key("text", group="keep"),
    **{rule: Key("number", group="keep") for rule in KEEP},
    "by-arrival": Key("flag"),
    "compact": Key("flag"),
    "ssh-options": Key("texts", names.ssh_option),
    "public-key": Key("text"),
    "agent": Key("text", names.program),
    "passcommand": Key("text", group="passphrase"),
    "passphrase-file": Key("text", group="passphrase"),
    "paused": Key("flag"),
}
ONLY_OF_A_HOST: Mapping[str, Key] = {"destination": Key("text", names.destination)}

_EXAMPLES = {
    "text": "a text in quotes",
    "texts": "a list of texts",
    "number": "a whole number, not negative",
    "flag": "true or false",
    "duration": 'a duration such as "6h"',
    "times": 'a time such as "02:30", or a list of them',
}


class Table:
    """One table of the file, while it is checked."""

    def __init__(self, path: str, name: str) -> None:
        self.path = path
        self.name = name  # as it stands in the file, without the brackets; empty: the top

    def fail(self, key: str, reason: object) -> NoReturn:
        place = f"[{self.name}] {key}" if self.name else key
        raise PullConfigInvalid(self.path, place.strip(), str(reason).rstrip(".?"))

    def read(self, data: object, keys: Mapping[str, Key], checks: Mapping[str, Check]) -> dict[str, object]:
        """The checked values: durations in seconds, times in minutes, lists as tuples."""
        if not isinstance(data, dict):
            self.fail("", "it has to be a table")
        unknown = [key for key in data if key not in keys]
        if unknown:
            self.fail(unknown[0], f"there is no such key here{_suggestion(unknown[0], keys)}")
        return {key: self._value(key, keys[key], value, checks.get(key)) for key, value in data.items()}

    def _value(self, key: str, about: Key, value: object, more: Check | None) -> object:
        try:
            return _converted(about, value, more)
        except TypeError:
            self.fail(key, f"it has to be {_EXAMPLES[about.kind]}, not {_shown(value)}")
        except (ValueError, BorkError) as error:
            self.fail(key, error)


def _converted(about: Key, value: object, more: Check | None) -> object:
    """Raises TypeError for another type, and what the checks raise."""

    def text(one: object) -> str:
        if not isinstance(one, str):
            raise TypeError
        about.check(one)
        if more is not None:
            more(one)
        return one

    match about.kind:
        case "flag" if isinstance(value, bool):
            return value
        case "number" if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= NUMBER_MAX:
            return value
        case "text":
            return text(value)
        case "texts" if isinstance(value, list):
            return tuple(text(one) for one in value)
        case "duration":
            return parse_duration(text(value))
        case "times":
            several = value if isinstance(value, list) else [value]
            return tuple(parse_time_of_day(text(one)) for one in several)
        case _:
            raise TypeError


def _suggestion(key: str, keys: Mapping[str, Key]) -> str:
    from difflib import get_close_matches  # late: for mistakes only

    similar = get_close_matches(key, keys, 1)
    return f"; did you mean {similar[0]}?" if similar else ""


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
