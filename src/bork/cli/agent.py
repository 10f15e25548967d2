"""``bork-agent``, where Bork is installed as a Python package: becomes the program that came with it."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main() -> int:
    program = Path(__file__).parents[1] / "pull" / "agents" / f"bork-agent-{os.uname().machine}"
    try:
        os.execv(program, ["bork-agent", *sys.argv[1:]])
    except OSError as fault:
        sys.stderr.write(f"bork-agent: this installation has none for this machine ({os.strerror(fault.errno or 0)})\n")
    return 127
