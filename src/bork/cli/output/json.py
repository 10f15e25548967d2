"""Records as JSON lines (``--log-json``), and documents (``--json``). One record is one line is one object."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from bork.cli.output.text import TextRenderer

if TYPE_CHECKING:
    from bork.operations.events import ArchiveProgress, PercentProgress

_MSGIDS = {
    "extract": "extract",
    "export-tar": "extract",
    "diff": "diff",
    "check.packs": "repository.check",
    "check.archives": "check.archives",
    "compact.mark": "compact.mark",
    "compact.packs": "compact.packs",
    "delete": "archive.delete",
    "prune": "prune",
}


class JsonRenderer:
    """Lines for a program."""

    def __init__(self) -> None:
        self._text = TextRenderer()
        self._operations: dict[str, int] = {}

    def log(self, level: str, name: str, message: str, msgid: str | None) -> bytes:
        record: dict[str, object] = {
            "type": "log_message",
            "time": time.time(),
            "message": message,
            "levelname": level.upper(),
            "name": name,
        }
        if msgid:
            record["msgid"] = msgid
        return line(record)

    def record(self, record: dict[str, object]) -> bytes:
        return line(record)

    def question(self, kind: str, msgid: str, message: str, env_var: str | None) -> bytes:
        record: dict[str, object] = {"type": f"question_{kind}", "msgid": msgid, "message": message}
        if env_var is not None:
            record["env_var"] = env_var
        return line(record)

    def archive_progress(self, progress: ArchiveProgress) -> bytes:
        record: dict[str, object] = {}
        if not progress.finished:
            record |= {
                "original_size": progress.original_size,
                "compressed_size": progress.compressed_size,
                "deduplicated_size": progress.deduplicated_size,
                "nfiles": progress.files,
                "path": progress.path.decode("utf-8", "surrogateescape"),
            }
        record |= {"time": time.time(), "type": "archive_progress", "finished": progress.finished}
        return line(record)

    def percent_progress(self, progress: PercentProgress) -> bytes:
        record: dict[str, object] = {}
        if not progress.finished:
            path = progress.path.decode("utf-8", "surrogateescape")
            record |= {
                "message": "".join(self._text.percent_progress(progress)).rstrip(),
                "current": progress.current,
                "total": progress.total,
                "info": [path] if path else None,
            }
        record |= {
            "operation": self._operations.setdefault(progress.operation, len(self._operations) + 1),
            "msgid": _MSGIDS[progress.operation],
            "type": "progress_percent",
            "finished": progress.finished,
            "time": time.time(),
        }
        return line(record)


def line(record: dict[str, object]) -> bytes:
    return dumps(record).encode("ascii") + b"\n"


def document(data: object, indent: int | str | None) -> bytes:
    """What ``--json`` prints: keys sorted, one line end behind it."""
    return dumps(data, sort_keys=True, indent=indent).encode("ascii") + b"\n"


def dumps(data: object, *, sort_keys: bool = False, indent: int | str | None = None) -> str:
    """JSON in ASCII. Bytes of names that are not UTF-8 become ``?``: JSON can only say text."""
    return json.dumps(_text_only(data), sort_keys=sort_keys, indent=indent)


def _text_only(data: object) -> object:
    if isinstance(data, str):
        return data if data.isascii() else data.encode("utf-8", "replace").decode("utf-8")
    if isinstance(data, dict):
        return {_text_only(key): _text_only(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_text_only(value) for value in data]
    return data
