"""``bork prune``: delete archives that are too old or too many, by rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bork.cli import report, values
from bork.cli.options import (
    CHECKPOINT_INTERVAL,
    GLOB_ARCHIVES,
    PREFIX,
    SAVE_SPACE,
    STATS,
    Command,
    Group,
    Option,
    Positional,
)
from bork.cli.output.console import LIST

if TYPE_CHECKING:
    from bork.cli.invocation import Invocation
    from bork.operations.prune import Plan, Step
    from bork.operations.retention import Policy

# Dest, which is the name of the rule, flags, and what is counted.
_KEEP = (
    ("secondly", ("--keep-last", "--keep-secondly"), "secondly"),
    ("minutely", ("--keep-minutely",), "minutely"),
    ("hourly", ("-H", "--keep-hourly"), "hourly"),
    ("daily", ("-d", "--keep-daily"), "daily"),
    ("weekly", ("-w", "--keep-weekly"), "weekly"),
    ("monthly", ("-m", "--keep-monthly"), "monthly"),
    ("quarterly_13weekly", ("--keep-13weekly",), "quarterly (13 week strategy)"),
    ("quarterly_3monthly", ("--keep-3monthly",), "quarterly (3 month strategy)"),
    ("yearly", ("-y", "--keep-yearly"), "yearly"),
)
_EXCLUDES = {"quarterly_3monthly": "quarterly_13weekly"}

COMMAND = Command(
    "prune",
    "Prune repository archives according to specified rules",
    (Positional("location", "REPOSITORY", "repository", "repository to prune", "?"),),
    (
        Option(("-n", "--dry-run"), "dry_run", "do not change repository"),
        Option(("--force",), "force", "accepted for compatibility: nothing stops the deletion of an archive"),
        *STATS,
        Option(("--list",), "output_list", "output verbose list of archives it keeps/prunes"),
        Option(
            ("--keep-within",),
            "within",
            "keep all archives within this time interval: a number and H, d, w, m (31 days) or y (365 days)",
            "INTERVAL",
            values.interval_h,
            0,
        ),
        *(
            Option(
                flags,
                rule,
                f"number of {what} archives to keep",
                "N",
                values.integer,
                0,
                excludes=_EXCLUDES.get(rule, ""),
            )
            for rule, flags, what in _KEEP
        ),
        Option(
            ("--by-arrival",),
            "by_arrival",
            "judge archives by when they arrived, by the clock of who keeps the repository, not by their own times",
        ),
        SAVE_SPACE,
        CHECKPOINT_INTERVAL,
    ),
    (Group("Archive filters", (PREFIX, GLOB_ARCHIVES)),),
    epilog="""\
Rules are applied from secondly to yearly, in local time, and weeks begin on Monday. Archives that one rule keeps do not
count for those that follow. A negative N means no limit. A rule that finds fewer than N archives also keeps the oldest.

Without -a all archives are candidates, whatever they hold and wherever they are from: one call with -a for each
series of archives.

Important: the space of deleted archives is not free before "bork compact".""",
)


def run(invocation: Invocation) -> None:
    given = invocation.values
    location = invocation.location()
    if given.flag("stats") and given.flag("quick_stats"):
        invocation.fail("--stats and --quick-stats are mutually exclusive")
    glob, prefix = invocation.expanded("glob_archives"), invocation.expanded("prefix")
    policy = _policy(invocation)
    access = invocation.access(location)
    from bork.operations import prune  # late: a bad command line is answered without the engine

    shows_stats = invocation.wants_stats()
    options = prune.PruneOptions(
        policy=policy,
        glob=glob,
        prefix=prefix,
        by_arrival=given.flag("by_arrival"),
        dry_run=given.flag("dry_run"),
        totals=shows_stats and not given.flag("quick_stats"),
    )
    outcome = prune.run(
        access,
        options,
        invocation.sink(),
        lambda plan: _tell_plan(invocation, plan),
        lambda step: _tell(invocation, step),
    )
    if shows_stats and outcome.totals is not None:
        invocation.show_deleted(outcome.totals)
    invocation.report_damage(outcome.damaged)


def _policy(invocation: Invocation) -> Policy:
    from bork.operations.retention import Policy  # late: with the operations

    given = invocation.values
    policy = Policy(given.number("within"), {rule: given.number(rule) for rule, _, _ in _KEEP})
    policy.require_rules()
    return policy


def _tell_plan(invocation: Invocation, plan: Plan) -> None:
    matching, kept, pruned = plan.matching, plan.kept, plan.pruned
    contains = f"{plan.all.archives} normal archives and {plan.all.checkpoints} checkpoint archives."
    keeping = f"Keeping {kept.archives} archives and {kept.checkpoints} checkpoints"
    for line in (
        f"Repository contains {contains}",
        f"Applying rules to the matching {matching.archives} archives and {matching.checkpoints} checkpoints...",
        f"{keeping}, pruning {pruned.archives} archives and {pruned.checkpoints} checkpoints.",
    ):
        invocation.console.log("info", line)


def _tell(invocation: Invocation, step: Step) -> None:
    from bork.operations.retention import CHECKPOINT  # late: with the operations

    if not invocation.values.flag("output_list"):
        return  # --verbose alone shows no list
    if step.reason is None:
        is_dry_run = invocation.values.flag("dry_run")
        what = "Would prune:" if is_dry_run else f"Pruning archive ({step.number}/{step.total}):"
    elif step.reason.rule == CHECKPOINT:
        what = "Keeping checkpoint archive:"
    else:
        what = f"Keeping archive (rule: {step.reason.rule} #{step.reason.number}):"
    invocation.console.log("info", f"{what:<44} {report.archive_line(step.entry, step.time_ns)}", name=LIST)
