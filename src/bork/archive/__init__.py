"""Archives: what the sealed head of one says. The tree of items below it is the engine's.

See docs/format/archive.md.
"""
