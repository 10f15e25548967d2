"""``bork`` as the program whose path is the first argument: children are started by that path."""

import sys

from bork.cli.main import main

sys.argv = sys.argv[1:]
sys.exit(main())
