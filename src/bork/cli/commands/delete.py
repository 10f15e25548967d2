"""``bork delete``: archives, or a repository with all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bork.cli import report
from bork.cli.options import (
    CHECKPOINT_INTERVAL,
    SAVE_SPACE,
    STATS,
    Command,
    Option,
    Positional,
    archive_filters_group,
)
from bork.cli.output.console import LIST
from bork.errors import CancelledByUser, CommandError

if TYPE_CHECKING:
    from bork.cli.invocation import Invocation
    from bork.cli.location import Location
    from bork.operations.access import Access
    from bork.operations.delete import Loss, Step

QUESTION = "BORG_DELETE_I_KNOW_WHAT_I_AM_DOING"

COMMAND = Command(
    "delete",
    "Delete an existing repository or archives",
    (
        Positional("location", "REPOSITORY_OR_ARCHIVE", "either", "repository or archive to delete", "?"),
        Positional("archives", "ARCHIVE", "text", "archives to delete", "*"),
    ),
    (
        Option(("-n", "--dry-run"), "dry_run", "do not change repository"),
        Option(("--list",), "output_list", "output verbose list of archives"),
        *STATS,
        Option(("--cache-only",), "cache_only", "delete only the local cache for the given repository"),
        Option(
            ("--force",),
            "force",
            "delete named archives that are damaged; a whole repository: without the question",
        ),
        Option(
            ("--keep-security-info",),
            "keep_security_info",
            "keep the local security info when deleting a repository",
        ),
        SAVE_SPACE,
        CHECKPOINT_INTERVAL,
    ),
    (archive_filters_group(),),
    epilog="""\
Without an ARCHIVE and without options that choose archives the whole repository is deleted, after a question.

Important: the space of deleted archives is not free before "bork compact".""",
)


def run(invocation: Invocation) -> None:
    given = invocation.values
    location = invocation.location()
    names = ([location.archive] if location.archive else []) + given.texts("archives")
    # An empty GLOB chooses something, too: nothing. It must not turn into the whole repository.
    chooses = invocation.filters_archives() or given.get("glob_archives") is not None
    if chooses and names:
        raise CommandError("Mixing archive filters and explicitly named archives is not supported.")
    of_archives = bool(chooses or names)
    if of_archives and not names and invocation.expanded("prefix") == "":
        raise CommandError("An empty --prefix would delete every archive. Use --glob-archives '*' to say that.")
    _refuse_contradictions(invocation, of_archives=of_archives)
    access = invocation.access(location)
    if of_archives:
        _delete_archives(invocation, access, names)
    else:
        _delete_repository(invocation, access, location)


def _refuse_contradictions(invocation: Invocation, *, of_archives: bool) -> None:
    given = invocation.values
    if given.flag("stats") and given.flag("quick_stats"):
        invocation.fail("--stats and --quick-stats are mutually exclusive")
    if of_archives:
        for dest in ("cache_only", "keep_security_info"):
            if given.flag(dest):
                invocation.fail(f"--{dest.replace('_', '-')} is for whole repositories, not for archives")
    elif given.flag("cache_only") and given.flag("keep_security_info"):
        invocation.fail("--cache-only keeps the security info anyway")


def _delete_archives(invocation: Invocation, access: Access, names: list[str]) -> None:
    from bork.operations import delete  # late: a bad command line is answered without the engine
    from bork.operations.selection import ArchiveName

    given = invocation.values
    shows_stats = invocation.wants_stats()
    options = delete.DeleteOptions(
        names=tuple(ArchiveName(name) for name in names),
        filter=None if names else invocation.archive_filter(),
        force=given.flag("force"),
        dry_run=given.flag("dry_run"),
        totals=shows_stats and not given.flag("quick_stats"),
    )
    outcome = delete.archives(access, options, invocation.sink(), lambda step: _tell(invocation, step))
    if shows_stats and outcome.totals is not None:
        invocation.show_deleted(outcome.totals)
    invocation.report_damage(outcome.damaged)


def _tell(invocation: Invocation, step: Step) -> None:
    place = f"({step.number}/{step.total})"
    if step.entry is None and not step.is_damaged:
        invocation.warnings.add_plain()
        invocation.console.log("warning", f"Archive {step.name} not found {place}.")
        return
    if not invocation.values.flag("output_list"):
        return  # --verbose alone shows no list
    verb = "Would delete archive:" if invocation.values.flag("dry_run") else "Deleting archive:"
    shown = f"{step.name} (damaged)" if step.entry is None else report.archive_line(step.entry)
    invocation.console.log("info", f"{verb} {shown} {place}", name=LIST)


def _delete_repository(invocation: Invocation, access: Access, location: Location) -> None:
    from bork.operations import delete  # late: see _delete_archives

    given, console = invocation.values, invocation.console
    keeps = given.flag("keep_security_info")
    if not given.flag("cache_only"):
        shows_archives = given.flag("output_list") and not given.flag("force")
        loss = delete.loss(access, names=shows_archives)
        if not given.flag("force") and not access.questions.ask(QUESTION, _question(loss, shows_archives)):
            raise CancelledByUser
    if given.flag("dry_run"):
        if not given.flag("cache_only"):
            console.log("info", "Would delete repository.")
            console.log("info", f"Would {'keep' if keeps else 'delete'} security info.")
        console.log("info", "Would delete cache.")
        return
    options = delete.RepositoryDeleteOptions(given.flag("cache_only"), keeps)
    is_gone = delete.repository(access, options)
    if not given.flag("cache_only"):
        console.log("info", "Repository deleted.")
    console.log("info", "Cache deleted.")
    if not is_gone:
        invocation.warnings.add_plain()
        console.log("warning", f"{location.canonical()} holds something that is not of Bork, and stays.")


def _question(loss: Loss, shows_archives: bool) -> str:
    including = f"*including* {loss.archives} archives it contains:"
    lines = [
        f"You requested to completely DELETE the following repository {including}",
        report.DASHES,
        f"Repository ID: {loss.repository_id.hex()}",
        f"Location: {loss.location}",
    ]
    if shows_archives:
        lines += ["", "Archives:", *_archive_lines(loss)]
    lines += [report.DASHES, "Type 'YES' if you understand this and want to continue: "]
    return "\n".join(lines)


def _archive_lines(loss: Loss) -> list[str]:
    if loss.entries is None:
        return [f"Their names cannot be shown: {loss.unknown}"]
    lines = [report.archive_line(entry) for entry in loss.entries]
    if (unread := loss.archives - len(lines)) > 0:
        lines.append(f"{unread} more, which cannot be opened")
    return lines or ["This repository seems to not have any archives."]
