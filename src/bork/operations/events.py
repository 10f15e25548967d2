"""What an operation says while it runs. The command line renders these; an operation itself prints nothing."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol

LogLevel = Literal["debug", "info", "warning", "error"]


PercentOperation = Literal[
    "extract", "export-tar", "diff", "check.packs", "check.archives", "compact.mark", "compact.packs", "delete", "prune"
]


class ArchiveProgress(NamedTuple):
    """How far a ``create`` has come. Sizes in bytes, since its start."""

    original_size: int
    compressed_size: int
    deduplicated_size: int
    files: int
    path: bytes  # where the walk is now
    finished: bool = False


class PercentProgress(NamedTuple):
    """How far anything else has come: ``current`` of ``total``, in bytes (extract) or objects (check), or archives."""

    operation: PercentOperation
    current: int
    total: int  # 0: not known
    path: bytes
    finished: bool = False


Progress = ArchiveProgress | PercentProgress


class EventSink(Protocol):
    """Receives what an operation has to tell, in the thread that runs the operation.

    Anything raised here ends the operation cleanly (a create commits nothing then) and reaches its caller.
    """

    def lines(self, data: bytes) -> None:
        """Rendered lines with their line ends, for ``--list`` or the listing itself, as the options asked for."""

    def data(self, data: bytes) -> None:
        """Content of files, for ``extract --stdout``."""

    def problem(self, kind: str, path: bytes, message: str) -> None:
        """One thing could not be handled fully; the rest goes on. ``kind``: a key of ``cli.item_warnings``."""

    def progress(self, progress: Progress) -> None:
        """Called at most about five times a second, and once at the end with ``finished``."""

    def log(self, level: LogLevel, message: str, msgid: str | None = None) -> None:
        """One line for the user."""

    def cancelled(self) -> bool:
        """Whether the user wants to stop (Ctrl-C, SIGTERM). Asked often; must be cheap."""
        ...


class Silence:
    """An EventSink for callers that want only the outcome."""

    def lines(self, data: bytes) -> None:
        pass

    def data(self, data: bytes) -> None:
        pass

    def problem(self, kind: str, path: bytes, message: str) -> None:
        pass

    def progress(self, progress: Progress) -> None:
        pass

    def log(self, level: LogLevel, message: str, msgid: str | None = None) -> None:
        pass

    def cancelled(self) -> bool:
        return False
