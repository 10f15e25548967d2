"""``python -m bork`` is the same as ``bork``."""

import sys

from bork.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
