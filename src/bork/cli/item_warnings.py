"""Troubles with one item; the rest goes on. Their kinds are the words of engines and operations."""

from __future__ import annotations

from typing import NamedTuple


class ItemWarning(NamedTuple):
    """A trouble with one item. ``exit_code`` is Borg's modern number; in the legacy numbering each of them is 1."""

    kind: str
    exit_code: int
    msgid: str
    message: str  # with {path} and {detail}


ITEM_WARNINGS: dict[str, ItemWarning] = {
    warning.kind: warning
    for warning in (
        ItemWarning("changed", 100, "FileChangedWarning", "{path}: file changed while we backed it up"),
        ItemWarning(
            "never_matched", 101, "IncludePatternNeverMatchedWarning", "Include pattern '{path}' never matched."
        ),
        ItemWarning("metadata", 102, "BackupError", "{path}: {detail}"),
        ItemWarning("damaged", 102, "BackupError", "{path}: {detail}"),
        ItemWarning("orphan", 102, "BackupError", "{path}: {detail}"),
        ItemWarning("race", 103, "BackupRaceConditionError", "{path}: {detail}"),
        ItemWarning("os", 104, "BackupOSError", "{path}: {detail}"),
        ItemWarning("permission", 105, "BackupPermissionError", "{path}: {detail}"),
        ItemWarning("io", 106, "BackupIOError", "{path}: {detail}"),
        ItemWarning("not_found", 107, "BackupFileNotFoundError", "{path}: {detail}"),
        ItemWarning("symlink_parent", 108, "BackupSymlinkParentError", "{path}: {detail}"),
        ItemWarning("path_traversal", 109, "BackupPathTraversalError", "{path}: {detail}"),
        ItemWarning("hardlink_source", 110, "BackupHardlinkSourceError", "{path}: {detail}"),
    )
}
