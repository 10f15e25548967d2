"""The names of a host's archives: a pattern for ``bork pull``, and a glob that matches these archives and no others.

Retention deletes what the glob matches. So it is as narrow as the pattern allows (a date is so many digits), and two
hosts in one repository whose names cannot be told apart are refused before anything runs.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from fnmatch import translate
from string import Formatter
from typing import TYPE_CHECKING

from bork.pull.fleet import names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bork.pull.fleet.hosts import Host

DEFAULT = "{name}-{now}"
TIMES = frozenset(("now", "utcnow"))
UNIQUE = TIMES | {"unixtime", "uuid4"}  # at least one of them: a name can be used only once
PLACEHOLDERS = UNIQUE | {
    *("name", "hostname", "fqdn", "reverse-fqdn", "user", "pid"),
    *("borgversion", "borgmajor", "borgminor", "borgpatch"),
}

_ISO = "%Y-%m-%dT%H:%M:%S"
_SHORT = {"%F": "%Y-%m-%d", "%T": "%H:%M:%S", "%R": "%H:%M"}
_DIGITS = {"%Y": 4, "%m": 2, "%d": 2, "%H": 2, "%M": 2, "%S": 2, "%y": 2, "%j": 3, "%f": 6}
_SAMPLE_TIME = datetime(2026, 11, 27, 2, 30, 5, tzinfo=UTC)
_SAMPLES = {"unixtime": "1795746605", "uuid4": "6b1a7c1e-4e0a-4a53-9f0e-0d6f8f0f5a11", "pid": "4711"}


def pattern(text: str, name: str) -> str:
    """``text`` with the name of the host in it; other placeholders are left to ``bork pull``.

    Raises ValueError with a sentence.
    """
    if any(c in text for c in "*?[]/") or "::" in text or "{{" in text or "}}" in text:
        raise ValueError(f"{text!r}: the name of an archive has no '/', '::', '*', '?', '[', ']' or doubled braces")
    fields = list(_fields(text))
    unknown = [field for _, field, _ in fields if field is not None and field not in PLACEHOLDERS]
    if unknown:
        raise ValueError(f"{text!r}: there is no placeholder {{{unknown[0]}}}")
    if not any(field in UNIQUE for _, field, _ in fields):
        raise ValueError(f"{text!r}: without {{now}} the second archive would have the name of the first")
    return text.replace("{name}", name)


def glob(pattern: str) -> str:
    """What matches every name that ``pattern`` can become, for ``--glob-archives``."""
    return "".join(
        literal + ("" if field is None else _glob_of_time(spec) if field in TIMES else "*")
        for literal, field, spec in _fields(pattern)
    )


def require_distinct(hosts: Iterable[Host]) -> None:
    """Raises ValueError, if the archives of one host could be taken for those of another in the same repository."""
    by_repository: dict[str, list[Host]] = {}
    for host in hosts:
        by_repository.setdefault(names.place(host.repository), []).append(host)
    for together in by_repository.values():
        samples = [(host.name, _sample(host.archive, host.name)) for host in together]
        for host in together if len(together) > 1 else ():
            matches = re.compile(translate(host.glob)).match
            other = next((name for name, sample in samples if name != host.name and matches(sample)), None)
            if other is not None:
                raise ValueError(
                    f"in {host.repository} the archives of {host.name} and {other} cannot be told apart by name: "
                    'begin "archive" with "{name}" and a character that no name holds, such as "{name}@{now}"'
                )


def _fields(text: str) -> Iterator[tuple[str, str | None, str]]:
    """Literal text, and the placeholder behind it with its format."""
    try:
        for literal, field, spec, conversion in Formatter().parse(text):
            if conversion:
                raise ValueError(f"!{conversion}")
            yield literal, field, spec or ""
    except ValueError as error:
        raise ValueError(f"{text!r}: the braces do not match, or hold something else ({error})") from None


def _glob_of_time(spec: str) -> str:
    # With a flag, a width or a modifier, as glibc has them (%-d, %_H, %Ey), it can be of any length.
    parts = re.split(r"(%[-_0^#]*[0-9]*[EO]?.)", _long(spec or _ISO))
    return "".join("[0-9]" * _DIGITS[p] if p in _DIGITS else "*" if p.startswith("%") else p for p in parts)


def _long(spec: str) -> str:
    for short, long in _SHORT.items():
        spec = spec.replace(short, long)
    return spec


def _sample(pattern: str, name: str) -> str:
    """A name that an archive of the host might have."""
    return "".join(
        literal + ("" if field is None else _sample_of(field, spec, name)) for literal, field, spec in _fields(pattern)
    )


def _sample_of(field: str, spec: str, name: str) -> str:
    return _SAMPLE_TIME.strftime(spec or _ISO) if field in TIMES else _SAMPLES.get(field, name)
