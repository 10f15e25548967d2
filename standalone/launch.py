"""Where the stand-alone executable begins: ``bork``, in the environment that its user has given it.

The boot loader of PyInstaller finds its own libraries by variables of the environment. Python has started by now and
does not need them any more; a program that Bork starts (ssh, a shell, the passcommand, another bork) would take
libraries that were made for somebody else, or take itself for a part of us. So they end here, at the one place that
comes before everything that could start a program.

In the form of one file the boot loader stays, as our parent: it removes what it has unpacked when we have ended, and
ends as we do. It passes on the signals that it gets. One that cannot be passed on is SIGKILL.
"""

import os
import sys
from collections.abc import MutableMapping

LIBRARIES = "LD_LIBRARY_PATH"
BEFORE = "_ORIG"  # behind that name: what the user had set, if anything
UNPACKED = "_PYI_APPLICATION_HOME_DIR"  # in the form of one file only: where it has unpacked itself
INTERNAL = "_PYI_"
PR_SET_PDEATHSIG = 1
SIGKILL = 9


def restore(environment: MutableMapping[str, str]) -> None:
    """Make it what it was before the boot loader ran."""
    for name in [name for name in environment if name.startswith(INTERNAL)]:
        del environment[name]
    before = environment.pop(LIBRARIES + BEFORE, None)
    environment.pop(LIBRARIES, None)
    if before is not None:
        environment[LIBRARIES] = before


def die_with_parent() -> None:
    """Whoever kills the process that he has started means us."""
    import ctypes  # late: 5 ms, which the form of a directory need not spend

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)


def launch() -> int:
    """The exit code."""
    is_one_file = UNPACKED in os.environ
    restore(os.environ)
    if is_one_file:
        die_with_parent()
    from bork.cli.main import main  # late: nothing of Bork may see the other environment

    return main(has_echo=is_one_file)


if __name__ == "__main__":
    sys.exit(launch())
