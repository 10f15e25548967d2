"""Bork: deduplicating, compressing, encrypting backups that the server can pull.

This package speaks the command line of Borg 1.4; see ``bork.cli``. Nothing is imported here, so that ``bork --version``
starts fast.
"""

__version__ = "0.1.0"

BORG_VERSION = "1.4.99"
"""The version of Borg whose command line this is. Programs around Borg choose their options by this number."""
