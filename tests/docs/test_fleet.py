"""The page about many hosts: its example is a configuration, and it names every key and every metric."""

import re
from pathlib import Path

from bork.cli.fleet.values import CHECKS
from bork.pull.fleet import config, metrics, schema
from bork.pull.fleet.schedule import Schedule
from tests.docs.pages import USAGE, first_codes, section

PAGE = USAGE / "fleet.md"


def test_the_example_is_a_configuration_that_bork_reads(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    path = tmp_path / "pull.toml"
    path.write_text(example)
    fleet = config.load(str(path), "/root", CHECKS)
    assert [host.name for host in fleet.hosts] == ["web", "db", "laptop"]
    web, db, laptop = fleet.hosts
    assert web.schedule == Schedule(at=(150,))
    assert db.keep == (("--keep-within", "2d"), ("--keep-daily", "14"))
    assert laptop.keep == web.keep
    assert (web.max_age_s, db.max_age_s, laptop.max_age_s) == (2 * 86400, 2 * 86400, 7 * 86400)


def test_every_key_is_on_the_page_once_and_no_other() -> None:
    named = first_codes(section(PAGE, "All keys"))
    assert sorted(named) == sorted([*schema.TOP, *schema.ONLY_OF_A_HOST, *schema.HOST])


def test_every_metric_is_on_the_page_once_and_no_other() -> None:
    named = first_codes(section(PAGE, "Metrics"))
    known = [metric.name for metric in metrics.METRICS] + ["status_timestamp_seconds"]
    assert sorted(named) == sorted(f"{metrics.PREFIX}{name}" for name in known)
