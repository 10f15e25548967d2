"""Retention of one host never touches the archives of another: names are told apart before anything runs."""

import itertools
import re
from datetime import UTC, datetime
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bork.cli.environment import Environment
from bork.cli.placeholders import NAMES, Placeholders, replace
from bork.pull.fleet import archives, names
from bork.pull.fleet.hosts import Host


def host(name: str, pattern: str = archives.DEFAULT, repository: str = "/r") -> Host:
    archive = archives.pattern(pattern, name)
    return Host(name, name, ("/etc",), repository, archive, archives.glob(archive))


def test_the_placeholders_are_those_of_bork_and_the_name() -> None:
    assert {*NAMES, "name"} == archives.PLACEHOLDERS


@pytest.mark.parametrize(
    "pattern",
    [
        *("{name}-{now}", "{name}@{utcnow:%Y%m%d}", "{now:%F_%T}{name}", "{name}-{unixtime}"),
        *("{name}.{uuid4}.{now:%A %p}", "{name}-{now:%-d.%_m.%010Y}", "{name}-{now:%^a%Ey%%%Od}"),
    ],
)
@given(moment=st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 (bounds)
def test_the_glob_matches_every_name_that_the_pattern_becomes(pattern: str, moment: datetime) -> None:
    web = host("web", pattern)
    name = replace(web.archive, Placeholders(Environment({}), moment))
    assert fnmatchcase(name, web.glob)


def test_the_glob_of_a_date_is_narrow() -> None:
    assert host("web").glob == "web-" + "-".join(["[0-9]" * 4, "[0-9]" * 2, "[0-9]" * 2]) + "T" + ":".join(
        ["[0-9]" * 2] * 3
    )
    assert not fnmatchcase("web-2-2026-11-27T02:30:00", host("web").glob)


def test_hosts_may_share_a_repository_if_their_archives_can_be_told_apart() -> None:
    archives.require_distinct([host("web"), host("web-2"), host("web.2"), host("db")])
    archives.require_distinct([host("a", "{now}", "/r1"), host("b", "{now}", "/r2")])


@pytest.mark.parametrize(
    "pattern", ["{now}", "{hostname}-{now}", "{name}-{uuid4}", "{name}-{now:%A}", "{name}{unixtime}"]
)
def test_hosts_whose_archives_cannot_be_told_apart_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="cannot be told apart"):
        archives.require_distinct([host("web-a", pattern), host("web", pattern)])


SAME = [
    ["/r", "/r/", "//r", "file:///r", "/x/../r"],
    ["ssh://u@h/r", "ssh://u@H:22/r/", "u@h:/r", "ssh://u@h//r"],
    ["h:r", "h:~/r", "ssh://h/./r", "ssh://h/~/r/"],
]


@pytest.mark.parametrize("same", SAME)
def test_a_repository_is_the_same_however_it_is_spelled(same: list[str]) -> None:
    assert len({names.place(text) for text in same}) == 1
    assert len({names.place(texts[0]) for texts in SAME} | {names.place("ssh://u@h:2222/r")}) == len(SAME) + 1
    for one, other in itertools.pairwise(same):
        with pytest.raises(ValueError, match="cannot be told apart"):
            archives.require_distinct([host("a", "{now}", one), host("b", "{now}", other)])


def test_a_pattern_that_could_make_a_glob_is_refused() -> None:
    for text in ("*{now}", "{now}[a]", "{now}?", "{{{now}"):
        with pytest.raises(ValueError, match=re.escape(text[:2])):
            archives.pattern(text, "web")
