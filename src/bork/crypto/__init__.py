"""Keys: modes, slots under a passphrase, and the text forms in which a key leaves the repository.

Secrets are in the native ``Keys`` alone and never become Python objects; what this package handles is sealed.
See docs/format/key.md.
"""
