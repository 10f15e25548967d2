"""``bork serve``: a store for others, with a policy in front of it.

The server is blind: it holds no key, and nothing below it can name one. What a client may do is decided by the command
line of the server alone, and by the config of the repository, which a restricted client cannot change.
"""
