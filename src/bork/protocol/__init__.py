"""The wire between a client and ``bork serve``: the verbs of a store, as messages on two byte streams.

Nothing here performs a verb or knows what an object is; both ends use the same code. docs/protocol.md describes every
byte, and a test compares that page with this package.
"""
