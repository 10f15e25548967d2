"""Flat stores of named, immutable objects. What the objects mean is the business of ``bork.repository`` and above.

``base.py`` is the contract, ``local.py`` a directory of this machine, ``memory.py`` a dictionary. Every backend passes
the same suite: tests/storage/test_conformance.py.
"""
