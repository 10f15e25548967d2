"""Values of the configuration that the command line understands already: the same checks, the same sentences."""

from __future__ import annotations

from bork.cli import values
from bork.cli.patterns import Rules


def _pattern(text: str) -> None:
    if text[:1] in ("R", "r"):
        raise ValueError("what to back up belongs into paths, not into patterns")
    Rules().add(text)


CHECKS = {
    "compression": values.compression,
    "exclude": lambda text: Rules().exclude(text),
    "patterns": _pattern,
    "keep-within": values.interval_h,
}
