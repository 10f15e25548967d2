"""The command line: the only layer that prints, reads the environment, or ends the process.

It speaks Borg 1.4: grammar, texts, streams, exit codes and JSON. ``main.py`` is the way in; each command is one module
in ``commands/``, imported only when it is named; the options are tables (``options.py``); ``output/`` renders what
``bork.operations`` report, as text or as JSON lines. Nothing here is imported before it is needed, since
``bork --version`` and ``bork list`` are started thousands of times a day.
"""
