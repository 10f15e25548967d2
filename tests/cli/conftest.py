"""The command line without the rest of the house: operations are replaced, nothing is stored anywhere."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

import bork
from bork.cli.environment import Environment
from bork.cli.execute import execute
from bork.cli.signals import Signals
from bork.errors import NativeMissing


@pytest.fixture(scope="session")
def native() -> None:
    """The native module, or something that can be imported in its place: these tests never call it."""
    name = "bork.core._native"
    try:
        import bork.core as core  # late: it may be missing
    except NativeMissing:
        stand_in = ModuleType(name)
        stand_in.__dict__["VERSION"] = bork.__version__
        for part in (
            *("CheckEngine", "ChunkIndex", "CreateEngine", "Data", "DiffEngine", "Done", "Fetch"),
            *("Keys", "Lines", "PackBuffer", "Problem", "ReadEngine", "RecreateEngine", "StoreIndex", "StorePack"),
        ):
            stand_in.__dict__[part] = type(part, (), {})
        stand_in.__dict__["digest"] = bytes
        sys.modules[name] = stand_in
    else:
        assert bork.__version__ == core.VERSION


@dataclass
class Said:
    """What a command said."""

    code: int
    out: str
    err: str


Run = Callable[..., Said]


@pytest.fixture
def run(native: None, capfd: pytest.CaptureFixture[str], home: Path) -> Run:
    """Runs a command line in this process: ``run("list", "/r", BORG_EXIT_CODES="modern")``."""
    time.tzset()

    def run_words(*words: str, **variables: str) -> Said:
        capfd.readouterr()
        environment = Environment({"HOME": str(home), "BORG_PASSPHRASE": "x", **variables})
        with Signals(is_process=False) as signals:
            code = execute("bork", words, signals, environment)
        captured = capfd.readouterr()
        return Said(code, captured.out, captured.err)

    return run_words
