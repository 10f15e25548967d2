"""The native engine, and the only package that knows where it comes from.

Everything else imports the names below from here. A native module that is missing, or that was built from another
version of the sources, is refused with the command that builds it; there is no slower substitute that might behave
otherwise.
"""

from __future__ import annotations

from bork import __version__
from bork.errors import NativeMissing

try:
    from bork.core._native import (
        VERSION,
        CheckEngine,
        ChunkIndex,
        CreateEngine,
        Data,
        DiffEngine,
        Done,
        Fetch,
        FileSystem,
        ImportEngine,
        Keys,
        Lines,
        MarkEngine,
        Marks,
        PackBuffer,
        Problem,
        PullEngine,
        PushEngine,
        ReadEngine,
        RecreateEngine,
        RewriteEngine,
        Send,
        StoreIndex,
        StorePack,
        decode_agent_hello,
        digest,
        read_in_root,
    )
except ImportError as fault:
    raise NativeMissing(str(fault)) from fault

if __version__ != VERSION:
    raise NativeMissing(f"it is of version {VERSION}, and the Python part of version {__version__}")

Event = StorePack | StoreIndex | Fetch | Lines | Data | Problem | FileSystem | Done

__all__ = [
    "VERSION",
    "CheckEngine",
    "ChunkIndex",
    "CreateEngine",
    "Data",
    "DiffEngine",
    "Done",
    "Event",
    "Fetch",
    "FileSystem",
    "ImportEngine",
    "Keys",
    "Lines",
    "MarkEngine",
    "Marks",
    "PackBuffer",
    "Problem",
    "PullEngine",
    "PushEngine",
    "ReadEngine",
    "RecreateEngine",
    "RewriteEngine",
    "Send",
    "StoreIndex",
    "StorePack",
    "decode_agent_hello",
    "digest",
    "read_in_root",
]
