"""Ask Borg what it would prune: ``python generate.py /path/to/bin/python-of-borg > decisions.json`` needs Borg 1.4.5.

Run it with the Python that Borg 1.4.5 is installed for. Archives are made through Borg's own classes, which is fast;
decisions are read from the output of ``borg prune --dry-run --list``, each in a process of its own.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta, timezone

from borg import __version__
from borg.archive import Archive
from borg.cache import Cache
from borg.crypto.key import PlaintextKey
from borg.helpers import Manifest
from borg.logger import setup_logging
from borg.repository import Repository

BORG = os.path.join(os.path.dirname(sys.executable), "borg")
UTC = timezone.utc
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LINE = re.compile(r"^(Keeping archive \(rule: (?P<rule>.*)\):|Keeping (?P<checkpoint>checkpoint) archive:|Would prune:) +(?P<name>\S+)")


def make(directory, archives):
    """A repository with these archives: name -> time."""
    path = os.path.join(directory, "r")
    subprocess.run([BORG, "init", "-e", "none", path], check=True)
    with Repository(path, exclusive=True) as repository:
        manifest, key = Manifest.load(repository, Manifest.NO_OPERATION_CHECK)
        with Cache(repository, key, manifest, warn_if_unencrypted=False) as cache:
            for name, when in archives.items():
                archive = Archive(repository, key, manifest, name, cache=cache, create=True)
                archive.save(name=name, timestamp=when)
    return path


def ask(path, zone, words):
    """What Borg keeps: name -> reason; None if it refuses."""
    command = [BORG, "prune", "--dry-run", "--list", *words, path]
    said = subprocess.run(command, env={**os.environ, "TZ": zone}, capture_output=True, text=True)
    if said.returncode:
        raise SystemExit(said.stderr)
    kept, all_names = {}, []
    for line in said.stderr.splitlines():
        match = LINE.match(line)
        if match is None:
            raise SystemExit(f"not understood: {line}")
        all_names.append(match["name"])
        if match["rule"] or match["checkpoint"]:
            kept[match["name"]] = match["rule"] or "checkpoint #1"
    return {"order": all_names, "kept": kept}


def series(now):
    """Names and times of the archives of each repository."""
    thinning, at = {}, now
    for count, step in ((18, timedelta(minutes=37)), (18, timedelta(hours=7)), (18, timedelta(hours=45)), (18, timedelta(days=11)), (24, timedelta(days=47))):
        for _ in range(count):
            at -= step
            thinning[f"t{len(thinning):03}"] = at
    years = {}
    for year in (2004, 2009, 2015, 2020, 2021, 2024, 2026):
        for day in range(26, 32):
            years[f"y{year}-12-{day}"] = datetime(year, 12, day, 12, tzinfo=UTC)
        for day in range(1, 6):
            years[f"y{year + 1}-01-{day:02}"] = datetime(year + 1, 1, day, 12, tzinfo=UTC)
        for month, day in ((3, 28), (3, 29), (4, 5), (6, 28), (7, 1), (9, 27), (10, 4)):
            years[f"y{year + 1}-{month:02}-{day:02}"] = datetime(year + 1, month, day, 12, tzinfo=UTC)
    changes = {}
    for change in (datetime(2025, 3, 30, 1), datetime(2025, 10, 26, 1), datetime(2025, 4, 5, 15), datetime(2025, 10, 4, 15, 30), datetime(2011, 12, 30, 10)):
        for step in range(-6, 10):
            when = change.replace(tzinfo=UTC) + timedelta(minutes=20 * step, seconds=step)
            changes[f"c{when:%Y%m%d-%H%M%S}"] = when
    equal = {}
    for group in range(6):
        when = now - timedelta(days=group, hours=3)
        when = when.replace(microsecond=0)
        for name in ("b", "a", "C", "é", "a-longer"):
            equal[f"e{group}-{name}"] = when
        equal[f"e{group}-z-later-in-the-second"] = when + timedelta(microseconds=999_999)
        equal[f"e{group}-0-next-second"] = when + timedelta(seconds=1)
    jumps = {}
    for name, when in (
        ("future-1y", now + timedelta(days=365)), ("future-9y", now + timedelta(days=3285)), ("future-1h", now + timedelta(hours=1)),
        ("now", now - timedelta(minutes=10)), ("day", now - timedelta(days=1)), ("week", now - timedelta(days=7)),
        ("1971", datetime(1971, 2, 3, tzinfo=UTC)), ("1970", datetime(1970, 1, 1, tzinfo=UTC)), ("2001", datetime(2001, 9, 9, tzinfo=UTC)),
    ):
        jumps[f"j-{name}"] = when
    checkpoints = {}
    for day in range(8):
        checkpoints[f"host-{day}"] = now - timedelta(days=day + 1)
        checkpoints[f"host-{day}x.checkpoint"] = now - timedelta(days=day + 1, hours=-2)
        checkpoints[f"other-{day}.checkpoint.{day}"] = now - timedelta(days=day + 1, hours=1)
        checkpoints[f"other-{day}"] = now - timedelta(days=day + 1, hours=2)
    checkpoints["other-.checkpoint.x"] = now - timedelta(hours=5)
    return {
        "thinning": thinning, "years": years, "changes": changes, "equal": equal, "jumps": jumps,
        "checkpoints": checkpoints, "one": {"only": now - timedelta(days=3)}, "none": {},
    }


RULES = [
    "--keep-last 3", "--keep-secondly 500", "--keep-minutely 4", "--keep-hourly 5", "-H -1", "--keep-daily 7", "-d -1", "--keep-daily 400",
    "--keep-weekly 5", "-w -1", "--keep-monthly 6", "-m -3", "--keep-13weekly 5", "--keep-13weekly -1", "--keep-3monthly 5",
    "--keep-3monthly -1", "--keep-yearly 2", "-y -1", "--keep-daily 7 --keep-weekly 4 --keep-monthly 6 --keep-yearly 3",
    "-H 24 -d 7 -w 4 -m 12 --keep-13weekly 8 -y 10", "--keep-last 1 --keep-3monthly 20 -y 20", "--keep-daily 0 --keep-yearly 1",
    "--keep-within 2d", "--keep-within 1H", "--keep-within 3w --keep-daily 4 --keep-monthly 2", "--keep-within 2m -y 2", "--keep-within 1y",
]
ZONES = {
    "thinning": ["UTC", "America/New_York", "Asia/Kathmandu"],
    "years": ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"],
    "changes": ["Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia"],
    "equal": ["UTC"], "jumps": ["UTC", "Europe/Berlin"], "checkpoints": ["UTC"], "one": ["UTC"], "none": ["UTC"],
}
FILTERS = {
    "checkpoints": ["-a host-* -d 3", "-a other-* -d -1", "-a host-3 -d 1", "-P host-1 -d 1", "-a *[12] -d 1", "-a nothing -d 1", "-a other-? -w 1"],
    "thinning": ["-a t00* -d 1", "-P t01 -d 2"],
}


def main():
    setup_logging(is_serve=False)
    now = datetime.now(UTC).replace(microsecond=0)
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(HOME=home, BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK="yes", BORG_RELOCATED_REPO_ACCESS_IS_OK="yes")
        result = {"borg": __version__, "series": {}, "cases": []}
        for name, archives in series(now).items():
            directory = os.path.join(home, name)
            os.mkdir(directory)
            path = make(directory, archives)
            result["series"][name] = {
                each: (when - EPOCH) // timedelta(microseconds=1) * 1000 for each, when in archives.items()
            }
            for zone in ZONES[name]:
                rules = RULES if zone == ZONES[name][0] else RULES[3:21]
                if name in ("one", "none", "equal"):
                    rules = rules[::3]
                for words in [*rules, *FILTERS.get(name, [])]:
                    now_ns = time.time_ns()
                    answer = ask(path, zone, words.split())
                    if answer["order"] == sorted(archives, key=lambda each: (archives[each], each.encode()), reverse=True):
                        del answer["order"]  # all archives, newest first, of equal times the greater name first
                    result["cases"].append({"series": name, "zone": zone, "now_ns": now_ns, "options": words, **answer})
                    print(name, zone, words, len(answer["kept"]), file=sys.stderr)
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in result["cases"])
    print(f'{{"borg": "{result["borg"]}",\n"series": {json.dumps(result["series"], ensure_ascii=False)},\n"cases": [\n{lines}\n]}}')


main()
