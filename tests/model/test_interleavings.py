"""Whatever the order of their storage operations, processes beside each other lose nothing (design: several writers).

The real operations run over a simulated storage. An ordinary run goes through every interleaving of two processes, with
a crash of either where the storage is local, and samples the rest, the same sample each time. ``BORK_TEST_MODEL=soak``
goes through everything of two and of three processes, and takes hours.
"""

import os
from collections.abc import Callable
from random import Random

import pytest

from tests.model.conftest import Count
from tests.model.process import Process
from tests.model.stage import BEGINNINGS, Stage
from tests.model.world import LAGGING, LOCAL, OBJECTS, Semantics

SOAK = os.environ.get("BORK_TEST_MODEL") == "soak"
SAMPLES = int(os.environ.get("BORK_TEST_MODEL_SAMPLES", "5"))  # orders of each combination that is sampled
ALL = (LOCAL, OBJECTS, LAGGING)
WHOLE = ("two archives", "condemned", "interrupted")  # from the others a compaction takes more steps
pytestmark = pytest.mark.timeout(24 * 3600 if SOAK else 600)

Company = Callable[[Stage], tuple[Process, ...]]

PAIRS: dict[str, Company] = {
    "a writer of new content and a compactor": lambda stage: (stage.writer("other"), stage.compactor()),
    "a writer of old content and a compactor": lambda stage: (stage.writer("new"), stage.compactor()),
    "a reader and a compactor": lambda stage: (stage.reader(), stage.compactor()),
    "a deleter and a compactor": lambda stage: (stage.deleter("keep"), stage.compactor()),
    "a renamer and a compactor": lambda stage: (stage.renamer("keep"), stage.compactor()),
    "two compactors": lambda stage: (stage.compactor(), stage.compactor("second compactor")),
    "a reader and a deleter": lambda stage: (stage.reader("keep"), stage.deleter("keep")),
    "a writer and a checker": lambda stage: (stage.writer("other"), stage.checker()),
    "two writers": lambda stage: (stage.writer("other"), stage.writer("new")),
    "two writers of one name": lambda stage: (stage.writer("new"), stage.writer("new", "another host")),
    "a reader and with-lock": lambda stage: (stage.reader("keep"), stage.exclusive()),
    "a writer and with-lock": lambda stage: (stage.writer("new"), stage.exclusive()),
    "a compactor and with-lock": lambda stage: (stage.compactor(), stage.exclusive()),
}

COMPANIES: dict[str, Company] = {
    "two writers and a compactor": lambda stage: (stage.writer("other"), stage.writer("new"), stage.compactor()),
    "a writer, a deleter and a compactor": lambda stage: (
        stage.writer("new"),
        stage.deleter("keep"),
        stage.compactor(),
    ),
    "a writer, a reader and a compactor": lambda stage: (stage.writer("new"), stage.reader(), stage.compactor()),
    "a writer, a renamer of its archive and a compactor": lambda stage: (
        stage.writer("new"),
        stage.renamer("new"),
        stage.compactor(),
    ),
    "a writer and two compactors": lambda stage: (
        stage.writer("new"),
        stage.compactor(),
        stage.compactor("second compactor"),
    ),
    "two writers, a deleter, a reader and a compactor": lambda stage: (
        stage.writer("other"),
        stage.writer("new"),
        stage.deleter("keep"),
        stage.reader("keep"),
        stage.compactor(),
    ),
}


FOUR: Company = lambda stage: (
    stage.writer("other"),
    stage.writer("new"),
    stage.deleter("keep"),
    stage.compactor(),
)


def accepted(semantics: Semantics, processes: tuple[Process, ...]) -> set[str]:
    """Errors that are right: who waits in vain, comes too late, or was silent for so long that it was fenced."""
    names = [process.name for process in processes]
    errors = {"LockTimeout", "ArchiveAlreadyExists", "ArchiveDoesNotExist"}
    if not semantics.sees_life:
        errors.add("SessionBroken")
    is_there_all_the_time = "deleter of keep" not in names
    if not semantics.sees_life or not is_there_all_the_time:
        errors.add("reader: IntegrityError")  # fenced, or it reads what is deleted meanwhile
    return errors


@pytest.mark.parametrize("semantics", ALL, ids=lambda semantics: semantics.name)
@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_interleavings_of_two_and_a_crash(
    stage: Stage, count: Count, beginning: str, pair: str, semantics: Semantics
) -> None:
    stage.begin_with(beginning)
    processes = PAIRS[pair](stage)
    accepts = accepted(semantics, processes)
    if SOAK or beginning in WHOLE:
        crashes = 1 if SOAK or semantics is LOCAL else 0
        counts = stage.explore(semantics, *processes, crashes=crashes, accepts=accepts)
        count(f"two processes{' and a crash' if crashes else ''}, {semantics.name}, all", counts)
    else:
        random = Random(f"{beginning} {pair} {semantics.name}")
        counts = stage.sample(semantics, *processes, crashes=1, random=random, orders=SAMPLES, accepts=accepts)
        count(f"two processes and a crash, {semantics.name}, a sample", counts)
    assert counts.ends > 0


@pytest.mark.parametrize("semantics", ALL, ids=lambda semantics: semantics.name)
@pytest.mark.parametrize("company", COMPANIES)
@pytest.mark.parametrize("beginning", BEGINNINGS if SOAK else ("deleted", "interrupted"))
def test_interleavings_of_more_and_a_crash(
    stage: Stage, count: Count, beginning: str, company: str, semantics: Semantics
) -> None:
    stage.begin_with(beginning)
    processes = COMPANIES[company](stage)
    accepts = accepted(semantics, processes)
    if SOAK and len(processes) == 3:
        counts = stage.explore(semantics, *processes, crashes=1, accepts=accepts)
        count(f"three processes and a crash, {semantics.name}, all", counts)
    else:
        random = Random(f"{beginning} {company} {semantics.name}")
        counts = stage.sample(semantics, *processes, crashes=1, random=random, orders=SAMPLES, accepts=accepts)
        count(f"{len(processes)} processes and a crash, {semantics.name}, a sample", counts)
    assert counts.ends > 0


def test_two_writers_a_deleter_a_compactor_and_a_crash_with_few_switches(stage: Stage, count: Count) -> None:
    """Everything, as long as hardly anybody is made to wait. Most faults of this kind need one or two switches."""
    switches = 2 if SOAK else 1
    stage.begin_with("two archives")
    processes = FOUR(stage)
    counts = stage.explore(LOCAL, *processes, crashes=1, switches=switches, accepts=accepted(LOCAL, processes))
    count(f"four processes and a crash, {LOCAL.name}, all with at most {switches} switches", counts)
    assert counts.ends > 10_000
