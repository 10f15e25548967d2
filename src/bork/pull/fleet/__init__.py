"""Many hosts: what the configuration says of them, when each is due, and one child process for each pull.

``config`` reads the file, ``runner`` does what it says, ``state`` remembers how it went, ``status`` and ``metrics``
tell.
Nothing here prints or reads the environment; docs/usage/fleet.md describes the file.
"""
