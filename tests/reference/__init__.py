"""An independent reader of Bork repositories, in plain Python: the proof that data outlives the program.

It was written from the pages in docs/format alone and imports nothing of bork. It is slow, strict and short: every rule
of the pages is a line here, and whatever breaks a rule is refused. Besides Python it needs four libraries that are not
Bork's either: blake3, cryptography (AES-256-GCM, ChaCha20-Poly1305, argon2id), zstandard and lz4.

In an emergency::

    python -m tests.reference list REPOSITORY
    python -m tests.reference extract REPOSITORY ARCHIVE DIRECTORY
    python -m tests.reference verify REPOSITORY

To read along, begin with ``repository.py``; each other file is one page of docs/format.
"""
