"""What the user sees: two renderers of the same records, ``text`` and ``json``, behind one ``Console``.

stdout is the result of a command, and nothing else; stderr is the talk about it.
"""
