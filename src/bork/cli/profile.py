"""``--debug-profile FILE``: where the Python side of a command spends its time. ``python -m pstats FILE`` reads it."""

from __future__ import annotations

import cProfile
from collections.abc import Callable
from typing import TypeVar

from bork.errors import OutputFault

_Argument = TypeVar("_Argument")


def profiled(path: str, function: Callable[[_Argument], object], argument: _Argument) -> None:
    """Call ``function`` and write its profile to ``path``, also if it fails."""
    try:
        open(path, "wb").close()  # early: a wrong path is told before the work, not after it
    except OSError as error:
        raise OutputFault(path, error.strerror) from None
    profiler = cProfile.Profile()
    try:
        profiler.runcall(function, argument)
    finally:
        profiler.dump_stats(path)
