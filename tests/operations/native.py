"""Lets the tests of the Python layers run where the native module is not built, or with BORK_TEST_STAND_IN=1."""

import importlib.machinery
import importlib.util
import os
import sys

from tests.operations import fake_native


def _is_built() -> bool:
    spec = importlib.util.find_spec("bork")
    locations = spec.submodule_search_locations if spec is not None else None
    if not locations:
        return False
    finder = importlib.machinery.PathFinder.find_spec("_native", [f"{location}/core" for location in locations])
    return finder is not None and finder.origin is not None and not finder.origin.endswith(".pyi")


IS_REAL = _is_built() and os.environ.get("BORK_TEST_STAND_IN") != "1"
if not IS_REAL:
    sys.modules["bork.core._native"] = fake_native
