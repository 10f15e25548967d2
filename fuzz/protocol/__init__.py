"""The decoders of the wire, both ends, against bytes that nobody of ours would send. See fuzz/README.md.

``targets`` says what must hold for every input, ``mutation`` makes inputs out of others, ``python -m fuzz.protocol``
goes on and on, and ``tests/protocol/test_fuzz.py`` replays what is in ``corpus/``.
"""
