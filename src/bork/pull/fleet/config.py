"""Read the configuration: TOML, strict, defaults below ``[hosts.NAME]``. docs/usage/fleet.md describes every key."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping
from typing import Any

from bork.errors import PullConfigInvalid
from bork.pull.fleet import archives, names, schema
from bork.pull.fleet.hosts import Fleet, Host
from bork.pull.fleet.schedule import Schedule
from bork.pull.fleet.schema import Check, Table

BYTES_MAX = 16 << 20  # a thousand hosts take less than one
JOBS = 4
JOBS_MAX = 200  # each needs some descriptors, and 1024 is what a process usually gets


def load(path: str, home: str, checks: Mapping[str, Check] | None = None) -> Fleet:
    """The whole configuration. ``home``: what ``~`` means; ``checks``: for keys whose values other parts understand.

    Raises: PullConfigInvalid, with file, table and key.
    """
    data = _parse(path, _read(path))
    checks = checks or {}
    tables = {key: data.pop(key, {}) for key in ("defaults", "hosts")}
    top = Table(path, "")
    settings: dict[str, Any] = top.read(data, {**schema.TOP, **dict.fromkeys(tables, schema.TABLE)}, checks)
    jobs = settings.get("jobs", JOBS)
    if not 1 <= jobs <= JOBS_MAX:
        top.fail("jobs", f"it has to be 1 to {JOBS_MAX}")
    defaults = Table(path, "defaults").read(tables["defaults"], schema.HOST, checks)
    if not isinstance(tables["hosts"], dict) or not tables["hosts"]:
        top.fail("hosts", "there is no host: each has a table [hosts.NAME]")
    hosts = tuple(_host(path, name, table, defaults, home, checks) for name, table in tables["hosts"].items())
    try:
        archives.require_distinct(hosts)
    except ValueError as error:
        top.fail("archive", error)
    return Fleet(path, hosts, jobs, settings.get("prometheus-file"))


def _read(path: str) -> bytes:
    """Raises: PullConfigInvalid, also if others could have written it: it names commands that are run."""
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            others = stat.S_IWOTH if status.st_gid in (0, os.getegid()) else stat.S_IWOTH | stat.S_IWGRP
            if status.st_mode & others or status.st_uid not in (0, os.geteuid()):
                raise PullConfigInvalid(path, "the file", "others than its owner, you or root may write to it")
            content = file.read(BYTES_MAX + 1)
    except OSError as error:
        raise PullConfigInvalid(path, "the file", error.strerror) from None
    if len(content) > BYTES_MAX:
        raise PullConfigInvalid(path, "the file", f"it is larger than {BYTES_MAX >> 20} MiB")
    return content


def _parse(path: str, content: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise PullConfigInvalid(path, f"byte {error.start}", "it is not UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise PullConfigInvalid(path, "the file", f"it is no TOML: {str(error).rstrip('.')}") from None


def _host(
    path: str, name: str, data: object, defaults: Mapping[str, object], home: str, checks: Mapping[str, Check]
) -> Host:
    table = Table(path, f"hosts.{name}")
    try:
        names.host(name)
    except ValueError as error:
        table.fail("", error)
    own = table.read(data, {**schema.HOST, **schema.ONLY_OF_A_HOST}, checks)
    values = _merged(own, defaults)
    for key in ("paths", "repository"):
        if not values.get(key):
            table.fail(key, "it is missing, here and in [defaults]")
    _refuse_contradictions(table, values)
    schedule = _schedule(values)
    max_age = values.get("max-age")
    if max_age is None and schedule is not None:
        max_age = 2 * schedule.longest_pause_s()
    is_blind = values.get("client-encrypts", False) and not values.get("passphrase-from-server", False)
    keep = _refuse_blind(table, own) if is_blind else _keep(table, values)
    return Host(
        name=name,
        destination=values.get("destination") or _destination(table, name),
        paths=values["paths"],
        repository=_repository(table, values["repository"], name, home),
        archive=(archive := _archive(table, values.get("archive", archives.DEFAULT), name)),
        glob=archives.glob(archive),
        options=_options(values),
        ssh_options=values.get("ssh-options", ()),
        schedule=schedule,
        retry_s=values.get("retry", _retry(schedule)),
        timeout_s=values.get("timeout", 86400),
        max_age_s=max_age,
        keep=keep,
        by_arrival=values.get("by-arrival", True),
        compact=values.get("compact", bool(keep)) and not is_blind,
        passcommand=values.get("passcommand"),
        passphrase_file=_at_home(table, values, "passphrase-file", home),
        public_key=_at_home(table, values, "public-key", home),
        agent=values.get("agent", "bork-agent"),
        client_encrypts=values.get("client-encrypts", False),
        paused=values.get("paused", False),
    )


def _merged(own: Mapping[str, object], defaults: Mapping[str, object]) -> dict[str, Any]:
    """A host's own values, and the defaults that they leave."""
    replaced = {schema.HOST[key].group for key in own if key in schema.HOST} - {""}
    return {**{key: value for key, value in defaults.items() if schema.HOST[key].group not in replaced}, **own}


def _refuse_contradictions(table: Table, values: Mapping[str, Any]) -> None:
    for one, other in (
        ("every", "at"),
        ("passcommand", "passphrase-file"),
        ("keep-13weekly", "keep-3monthly"),
    ):
        if one in values and other in values:
            table.fail(other, f"not together with {one}")
    if not values.get("at", True):
        table.fail("at", "the list is empty")


def _schedule(values: Mapping[str, Any]) -> Schedule | None:
    if "every" in values:
        return Schedule(every_s=values["every"])
    return Schedule(at=values["at"]) if "at" in values else None


def _retry(schedule: Schedule | None) -> int:
    """An hour, and for who pulls more often the same as without a failure."""
    return 3600 if schedule is None else min(3600, schedule.longest_pause_s())


def _keep(table: Table, values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The rules as options of ``bork prune``. Rules that would keep nothing are a mistake."""
    given = {key: values[key] for key in ("keep-within", *schema.KEEP) if key in values}
    if given and not any(given.values()):
        table.fail(next(iter(given)), "retention that keeps nothing: give a number above 0, or leave out keep-*")
    return tuple((f"--{key}", str(value)) for key, value in given.items() if value)


def _refuse_blind(table: Table, own: Mapping[str, object]) -> tuple[()]:
    """A server without the key can neither prune nor compact. What the defaults say of it is for the other hosts."""
    for key in own:
        if key == "compact" or key.startswith("keep-"):
            table.fail(key, "not with client-encrypts: the key that it needs is on the host")
    return ()


def _destination(table: Table, name: str) -> str:
    try:
        return names.destination(name)
    except ValueError as error:
        table.fail("destination", error)


def _repository(table: Table, text: str, name: str, home: str) -> str:
    replaced = text.replace("{name}", name)
    if "{" in replaced or "}" in replaced:
        table.fail("repository", f"{text!r}: {{name}} is the only placeholder here")
    try:
        names.repository(replaced)
    except ValueError as error:
        table.fail("repository", error)
    return _expanded(replaced, home)


def _archive(table: Table, text: str, name: str) -> str:
    try:
        return archives.pattern(text, name)
    except ValueError as error:
        table.fail("archive", error)


def _at_home(table: Table, values: Mapping[str, Any], key: str, home: str) -> str | None:
    text = values.get(key)
    if text is None:
        return None
    try:
        return names.path(_expanded(text, home))
    except ValueError as error:
        table.fail(key, error)


def _expanded(path: str, home: str) -> str:
    return os.path.join(home, path[2:]) if path.startswith("~/") else path


def _options(values: Mapping[str, Any]) -> tuple[str, ...]:
    """The options of ``bork pull``, each with its value in one word, so that no value can be taken for an option."""
    words: list[str] = []
    for key, about in schema.HOST.items():
        value = values.get(key)
        if not about.option or not value:
            continue
        if value is True:
            words.append(about.option)
        else:
            several = value if isinstance(value, tuple) else (value,)
            words += [f"{about.option}={one}" for one in several]
    return tuple(words)
