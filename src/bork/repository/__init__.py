"""The repository: which objects there are, what they are called, and the order in which they may appear.

This layer is blind: it handles opaque bytes and names, and knows no key, no archive and no item. A server that holds
repositories of others needs no more than this layer and what is below it.
"""
