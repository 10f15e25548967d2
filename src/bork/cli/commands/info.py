"""``bork info``: about a repository, or about archives in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bork.cli import report
from bork.cli.options import Command, Option, Positional, archive_filters_group

if TYPE_CHECKING:
    from bork.cli.invocation import Invocation
    from bork.operations.access import Access
    from bork.operations.info import RepositoryInfo

COMMAND = Command(
    "info",
    "Show archive details such as disk space used",
    (
        Positional(
            "location", "REPOSITORY_OR_ARCHIVE", "either", "repository or archive to display information about", "?"
        ),
    ),
    (Option(("--json",), "json", "format output as JSON"),),
    (archive_filters_group(),),
    may_bypass_lock=True,
)


def run(invocation: Invocation) -> None:
    location = invocation.location()
    access = invocation.access(location)
    if location.archive or invocation.filters_archives():
        _show_archives(invocation, access, location.archive)
    else:
        _show_repository(invocation, access)


def _show_archives(invocation: Invocation, access: Access, name: str | None) -> None:
    from bork.operations import info  # late: a bad command line is answered without the engine
    from bork.operations.selection import ArchiveName

    wanted = [ArchiveName(name)] if name else invocation.archive_filter()._replace(consider_checkpoints=True)
    infos = info.archives(access, wanted)
    around = infos[0].repository if infos else info.repository(access)
    console = invocation.console
    totals = report.Totals.of(around.totals)
    archives = [report.Archive.of(one.archive.head, one.archive.id) for one in infos]
    if invocation.values.flag("json"):
        document = _document(around, totals)
        document["archives"] = [report.archive_json(archive) for archive in archives]
        console.result_json(document, invocation.environment.json_indent())
    else:
        blocks = (report.details(archive, totals, iec=console.iec) for archive in archives)
        console.result("\n".join(f"{block}\n" for block in blocks))
    invocation.report_damage(around.damaged)


def _show_repository(invocation: Invocation, access: Access) -> None:
    from bork.operations import info  # late: see _show_archives

    about = info.repository(access)
    console = invocation.console
    totals = report.Totals.of(about.totals)
    if invocation.values.flag("json"):
        document = _document(about, totals)
        document["security_dir"] = about.security_dir
        console.result_json(document, invocation.environment.json_indent())
    else:
        console.result(_text(about, totals, iec=console.iec))
    invocation.report_damage(about.damaged)


def _document(about: RepositoryInfo, totals: report.Totals) -> dict[str, object]:
    document = report.repository_json(
        about.repository_id.hex(), about.location, about.last_modified_ns, about.encryption, about.key_location
    )
    document["cache"] = report.cache_json(about.cache_dir or "", totals)
    return document


def _text(about: RepositoryInfo, totals: report.Totals, *, iec: bool) -> str:
    kind = {"repokey": "Yes (repokey)", "keyfile": "Yes (key file)"}.get(about.encryption, "No")
    lines = [
        f"Repository ID: {about.repository_id.hex()}",
        f"Location: {about.location}",
        f"Encrypted: {kind}",
        *([f"Key file: {about.key_location}"] if about.encryption == "keyfile" else []),
        f"Cache: {about.cache_dir or ''}",
        f"Security dir: {about.security_dir}",
        report.DASHES,
        report.HEADER,
        *report.totals_lines(totals, iec=iec),
    ]
    return "\n".join(lines) + "\n"
