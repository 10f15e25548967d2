"""Sizes for people: ``12.34 MB`` or, with ``--iec``, ``11.77 MiB``; and back."""

from __future__ import annotations

_DECIMAL = (1000, ("", "k", "M", "G", "T", "P", "E", "Z", "Y"))
_BINARY = (1024, ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"))
_FACTORS = {"K": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4, "P": 1000**5}


def format_size(size_bytes: int, *, iec: bool = False) -> str:
    """Two digits behind the point, none for plain bytes; rounding never shows ``1000.00 kB``."""
    power, units = _BINARY if iec else _DECIMAL
    value = float(size_bytes)
    precision = 0
    for unit in units[:-1]:
        if abs(round(value, 2)) < power:
            return f"{value:.{precision}f} {unit}B"
        value /= power
        precision = 2
    return f"{value:.{precision}f} {units[-1]}B"


def parse_size(text: str) -> int:
    """``1234``, ``55G``, ``1.7T``: decimal units. Raises ValueError."""
    factor = _FACTORS.get(text[-1:], 1)
    return int(float(text[:-1] if text[-1:] in _FACTORS else text) * factor)
