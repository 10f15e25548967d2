"""``bork check``: is everything there, and is it what was stored?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bork.cli import values
from bork.cli.options import Command, Option, Positional, archive_filters_group
from bork.errors import CancelledByUser, CommandError

if TYPE_CHECKING:
    from bork.cli.invocation import Invocation
    from bork.operations.repair import Repaired

QUESTION = "BORG_CHECK_I_KNOW_WHAT_I_AM_DOING"
WARNING = """\
check --repair changes the repository: what is damaged is moved aside, and what can be read of it is stored again.
Nothing that can be read is removed. Have a copy of the repository all the same, if there is room for one.

Type 'YES' if you understand this and want to continue: """

COMMAND = Command(
    "check",
    "Check repository consistency",
    (Positional("location", "REPOSITORY_OR_ARCHIVE", "either", "repository or archive to check consistency of", "?"),),
    (
        Option(("--repository-only",), "repository_only", "only perform repository checks"),
        Option(("--archives-only",), "archives_only", "only perform archives checks"),
        Option(
            ("--verify-data",),
            "verify_data",
            "perform cryptographic archive data integrity verification (conflicts with --repository-only)",
        ),
        Option(("--repair",), "repair", "attempt to repair any inconsistencies found"),
        Option(("--save-space",), "save_space", "work slower, but using less space"),
        Option(
            ("--max-duration",),
            "max_duration",
            "do only a partial repo check for max. SECONDS seconds (default: unlimited)",
            "SECONDS",
            values.natural,
            0,
        ),
    ),
    (archive_filters_group(),),
    may_bypass_lock=True,
    epilog="""\
The repository check reads every pack and index and compares it with its name. The archives check opens every archive
and looks up everything that it refers to; with --verify-data it reads that, too. Exit code 1: there are problems.""",
)


def run(invocation: Invocation) -> None:
    given = invocation.values
    location = invocation.location()
    chooses = invocation.filters_archives()
    if given.flag("repository_only") and given.flag("archives_only"):
        invocation.fail("--repository-only and --archives-only exclude each other")
    if given.flag("repository_only") and (chooses or given.flag("verify_data")):
        raise CommandError(
            "--repository-only contradicts --first, --last, --glob-archives, --prefix and --verify-data arguments."
        )
    if given.number("max_duration") and not given.flag("repository_only"):
        raise CommandError("--repository-only is required for --max-duration support.")
    if given.flag("repair") and given.number("max_duration"):
        raise CommandError("--repair does not allow --max-duration argument.")
    if given.flag("repair") and (given.flag("repository_only") or given.flag("archives_only")):
        raise CommandError("--repair mends everything: it does not allow --repository-only and --archives-only.")
    access = invocation.access(location)
    if given.flag("repair") and not access.questions.ask(QUESTION, WARNING):
        raise CancelledByUser
    from bork.operations import check  # late: a bad command line is answered without the engine
    from bork.operations.selection import ArchiveName

    options = check.CheckOptions(
        repository=not given.flag("archives_only"),
        archives=not given.flag("repository_only"),
        verify_data=given.flag("verify_data"),
        repair=given.flag("repair"),
        max_duration_s=given.number("max_duration"),
        filter=invocation.archive_filter()._replace(consider_checkpoints=True),
        name=ArchiveName(location.archive) if location.archive else None,
    )
    outcome = check.run(access, options, invocation.sink(problem_level="error"))
    if outcome.repaired is not None:
        _report(invocation, outcome.repaired)
    if outcome.problems:
        # Exit code 1 in both numberings, whatever kinds of problems there are: frontends take it for damage.
        invocation.warnings.add_plain()
        problems = "1 problem" if outcome.problems == 1 else f"{outcome.problems} problems"
        advice = (
            "Copy what can still be extracted, and use --repair."
            if outcome.repaired is None
            else "The next create that still finds the same content heals these files."
        )
        invocation.console.log("error", f"{problems} found in {location.canonical()}. {advice}")
    elif not outcome.complete:
        invocation.console.log("info", "The next check with --max-duration goes on from here.")


def _report(invocation: Invocation, repaired: Repaired) -> None:
    done = [
        f"{count} {what}"
        for count, what in (
            (repaired.packs, "packs"),
            (repaired.indexes, "indexes"),
            (repaired.heads, "archive heads"),
            (repaired.keys, "keys"),
            (repaired.generations, "generations"),
        )
        if count
    ]
    summary = ", ".join(done) if done else "nothing"
    invocation.console.log("warning" if done else "info", f"Repaired or set aside: {summary}.")
