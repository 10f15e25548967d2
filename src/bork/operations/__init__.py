"""What Bork does, one module for each verb: ``init.run(access, options)``, ``create.run(access, options, events)``, ...

Each module holds its Options, its Outcome and the function between them. An operation takes no argparse namespace,
prints nothing, reads no environment and never exits: it raises classes of ``bork.errors``, hands everything else to an
``EventSink`` (``events.py``), and reaches the outside through an ``Access`` (``opening.py``).
"""
