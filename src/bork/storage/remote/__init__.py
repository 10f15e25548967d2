"""Repositories behind a connection to ``bork serve``: one more kind of store.

``command`` says which program makes the connection, ``connection`` keeps requests and answers together, ``store`` is
the store. docs/protocol.md describes what is sent.
"""
