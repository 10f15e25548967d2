"""The blocks of ``--stats`` and ``info``, as text and as JSON, exactly as Borg lays them out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from bork.cli.output.text import printable
from bork.cli.sizes import format_size
from bork.cli.times import format_duration, format_time, iso

if TYPE_CHECKING:
    from bork.archive.head import ArchiveHead
    from bork.operations.heads import ArchiveEntry
    from bork.operations.totals import DeletedTotals, RepositoryTotals

DASHES = "-" * 78
HEADER = "                       Original size      Compressed size    Deduplicated size"


class Sizes(NamedTuple):
    """Bytes of one archive."""

    original: int
    compressed: int
    deduplicated: int


class Totals(NamedTuple):
    """What the whole repository holds, in bytes and chunks. The names are those of the JSON."""

    total_size: int
    total_csize: int
    unique_size: int
    unique_csize: int
    total_unique_chunks: int
    total_chunks: int

    @classmethod
    def of(cls, totals: RepositoryTotals) -> Totals:
        return cls(*(getattr(totals, name) for name in cls._fields))


class Archive(NamedTuple):
    """What is shown of one archive. The last five are not shown after ``create``."""

    name: str
    id: str  # hex
    start_ns: int
    end_ns: int
    duration_s: float
    sizes: Sizes
    files: int
    command_line: tuple[str, ...]
    comment: str = ""
    hostname: str = ""
    username: str = ""
    cwd: str = ""
    chunker_params: tuple[object, ...] = ()

    @classmethod
    def of(cls, head: ArchiveHead, archive_id: bytes) -> Archive:
        """``--timestamp`` moves an archive in time; how long it took stays true."""
        duration_ns = head.end_ns - head.start_ns
        stats = head.stats
        return cls(
            name=head.name,
            id=archive_id.hex(),
            start_ns=head.time_ns,
            end_ns=head.time_ns + duration_ns,
            duration_s=duration_ns / 1_000_000_000,
            sizes=Sizes(stats.original_size, stats.compressed_size, stats.deduplicated_size),
            files=stats.files,
            command_line=head.command_line,
            comment=head.comment,
            hostname=head.hostname,
            username=head.username,
            cwd=head.cwd,
            chunker_params=head.chunker,
        )


def created(location: str, archive: Archive, totals: Totals | None, *, iec: bool) -> str:
    """The block of ``create --stats``; without ``totals`` that of ``--quick-stats``."""
    lines = [
        DASHES,
        f"Repository: {location}",
        f"Archive name: {printable(archive.name)}",
        f"Archive fingerprint: {archive.id}",
        f"Time (start): {format_time(archive.start_ns)}",
        f"Time (end):   {format_time(archive.end_ns)}",
        f"Duration: {format_duration(archive.duration_s)}",
        f"Number of files: {archive.files}",
        "Utilization of max. archive size: 0%",  # Bork has no such limit; programs look for the line
        DASHES,
        HEADER,
        _row("This archive:", archive.sizes, iec=iec),
    ]
    if totals is not None:
        lines += totals_lines(totals, iec=iec)
    return "\n".join((*lines, DASHES))


def archive_line(entry: ArchiveEntry, time_ns: int | None = None) -> str:
    """One archive in the lists of ``delete`` and ``prune``. ``time_ns``: by which it was judged, if not its own."""
    name = printable(entry.head.name)
    return f"{name:<36} {format_time(entry.head.time_ns if time_ns is None else time_ns)} [{entry.id.hex()}]"


def deleted(totals: DeletedTotals, *, iec: bool) -> str:
    """The block of ``delete --stats`` and ``prune --stats``."""
    sizes = (format_size(-totals.original_size, iec=iec), format_size(-totals.compressed_size, iec=iec), "see compact")
    lines = [DASHES, HEADER, f"{'Deleted data:':15} " + " ".join(f"{size:>20}" for size in sizes)]
    if totals.left is not None:
        lines += totals_lines(Totals.of(totals.left), iec=iec)
    return "\n".join((*lines, DASHES))


def details(archive: Archive, totals: Totals, *, iec: bool) -> str:
    """The block of ``info REPO::ARCHIVE``."""
    import shlex  # late: only text needs it

    lines = [
        f"Archive name: {printable(archive.name)}",
        f"Archive fingerprint: {archive.id}",
        f"Comment: {printable(archive.comment)}",
        f"Hostname: {printable(archive.hostname)}",
        f"Username: {printable(archive.username)}",
        f"Time (start): {format_time(archive.start_ns)}",
        f"Time (end): {format_time(archive.end_ns)}",
        f"Duration: {format_duration(archive.duration_s)}",
        f"Number of files: {archive.files}",
        f"Working Directory: {printable(archive.cwd)}",
        f"Command line: {printable(shlex.join(archive.command_line))}",
        "Utilization of maximum supported archive size: 0%",
        DASHES,
        HEADER,
        _row("This archive:", archive.sizes, iec=iec),
        *totals_lines(totals, iec=iec),
    ]
    return "\n".join(lines)


def totals_lines(totals: Totals, *, iec: bool) -> list[str]:
    sizes = Sizes(totals.total_size, totals.total_csize, totals.unique_csize)
    return [
        _row("All archives:", sizes, iec=iec),
        "",
        "                       Unique chunks         Total chunks",
        f"Chunk index:    {totals.total_unique_chunks:20d} {totals.total_chunks:20d}",
    ]


def _row(label: str, sizes: Sizes, *, iec: bool) -> str:
    return f"{label:15} " + " ".join(f"{format_size(size, iec=iec):>20}" for size in sizes)


def archive_json(archive: Archive, *, created_now: bool = False) -> dict[str, object]:
    """One archive in the documents of ``create --json`` and ``info --json``."""
    data: dict[str, object] = {
        "name": archive.name,
        "id": archive.id,
        "start": iso(archive.start_ns),
        "end": iso(archive.end_ns),
        "duration": archive.duration_s,
        "command_line": list(archive.command_line),
        "limits": {"max_archive_size": 0.0},
        "stats": {
            "original_size": archive.sizes.original,
            "compressed_size": archive.sizes.compressed,
            "deduplicated_size": archive.sizes.deduplicated,
            "nfiles": archive.files,
        },
    }
    if not created_now:
        data |= {
            "comment": archive.comment,
            "hostname": archive.hostname,
            "username": archive.username,
            "cwd": archive.cwd,
            "chunker_params": list(archive.chunker_params),
        }
    return data


def repository_json(
    repository_id: str, location: str, last_modified_ns: int | None, mode: str, key_location: str | None
) -> dict[str, object]:
    """What every document has. ``last_modified_ns``: None while there is no archive; then the config tells."""
    encryption: dict[str, object] = {"mode": mode}
    if mode == "keyfile":
        encryption["keyfile"] = key_location
    if last_modified_ns is None:
        try:
            last_modified_ns = os.stat(os.path.join(location, "config")).st_mtime_ns
        except OSError:
            last_modified_ns = 0
    return {
        "repository": {"id": repository_id, "location": location, "last_modified": iso(last_modified_ns)},
        "encryption": encryption,
    }


def cache_json(path: str, totals: Totals) -> dict[str, object]:
    return {"path": path, "stats": totals._asdict()}
