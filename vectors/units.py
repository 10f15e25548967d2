"""Placeholder."""
FILES = {}
