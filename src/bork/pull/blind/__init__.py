"""A pull where the client encrypts: the server stores what it cannot read.

The server starts ``bork source`` on the client by ssh, and ``bork serve`` beside itself, and hands each the streams of
the other (``join``). What the client is to do stands in front of what the two then say to each other (``order``).
``source`` is the end at the client.
"""
