"""Backups that the server fetches: a client needs sshd, and neither a key nor a way back to the server."""
