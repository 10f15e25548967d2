"""The layer above ``core``: tried with the native module, or where that is not built with its stand-in."""

import tests.operations.native  # noqa: F401  # it has to come before bork.core
