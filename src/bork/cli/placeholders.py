"""Placeholders in repository and archive names, comments and archive filters: ``{hostname}-{now:%Y-%m-%d}``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import bork
from bork.errors import InvalidPlaceholder, PlaceholderError

if TYPE_CHECKING:
    from bork.cli.environment import Environment

NAMES = (
    "hostname",
    "fqdn",
    "reverse-fqdn",
    "now",
    "utcnow",
    "unixtime",
    "user",
    "pid",
    "uuid4",
    "borgversion",
    "borgmajor",
    "borgminor",
    "borgpatch",
)


class _Moment:
    """A time whose default format is ISO 8601 without a fraction."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def __format__(self, spec: str) -> str:
        return self.moment.strftime(spec or "%Y-%m-%dT%H:%M:%S")


class Placeholders(Mapping[str, object]):
    """The values, each computed when it is used. ``now`` is the time of the archive when ``--timestamp`` gives it."""

    def __init__(self, environment: Environment, now: datetime | None = None) -> None:
        moment = now or datetime.now(UTC)
        version = bork.BORG_VERSION.split(".")
        self._values: dict[str, Callable[[], object]] = {
            "hostname": environment.hostname,
            "fqdn": environment.fqdn,
            "reverse-fqdn": lambda: ".".join(reversed(environment.fqdn().split("."))),
            "now": lambda: _Moment(moment.astimezone(None)),
            "utcnow": lambda: _Moment(moment.astimezone(UTC)),
            "unixtime": lambda: int(moment.timestamp()),
            "user": environment.username,
            "pid": os.getpid,
            "uuid4": _uuid4,
            "borgversion": lambda: bork.BORG_VERSION,
            "borgmajor": lambda: version[0],
            "borgminor": lambda: ".".join(version[:2]),
            "borgpatch": lambda: ".".join(version[:3]),
        }

    def __getitem__(self, name: str) -> object:
        return self._values[name]()

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def _uuid4() -> str:
    import uuid  # late: 3 ms for a placeholder that few use

    return str(uuid.uuid4())


def replace(text: str, values: Mapping[str, object]) -> str:
    """``text`` with its placeholders replaced; ``{{`` and ``}}`` are braces.

    Raises InvalidPlaceholder for a name that is not known, PlaceholderError for braces that do not match.
    """
    if "{" not in text and "}" not in text:
        return text
    from string import Formatter  # late: most names have no placeholder

    try:
        fields = list(Formatter().parse(text))
        for _, name, _, conversion in fields:
            if name is not None and (conversion or name not in values):
                raise InvalidPlaceholder(name, text)
        return text.format_map(values)
    except (ValueError, KeyError, AttributeError, TypeError, IndexError) as error:
        raise PlaceholderError(text, error) from None
