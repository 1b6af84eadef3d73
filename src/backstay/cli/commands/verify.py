"""``backstay verify``."""

from typing import Annotated, Literal

from cyclopts import Parameter

from backstay.app import App
from backstay.cli import values, words
from backstay.cli.commands.restore_options import Identity
from backstay.cli.failures import Tally
from backstay.cli.help import command
from backstay.cli.jsonview import outcome_fields, plan_fields
from backstay.cli.session import Given, Session
from backstay.core.errors import BackstayError, UsageError, VerificationFailed
from backstay.core.model import Backup, Level, Outcome, Severity, TierKind
from backstay.core.units import format_duration
from backstay.jobs import verify as job

DEPTHS = {"stored": Level.STORED, "readable": Level.READABLE}
TIERS = {tier.value for tier in TierKind}


def verify(
    *backups: Annotated[str, Parameter(help="Backups, or targets for their newest complete backup.")],
    all_: Annotated[bool, Parameter(name="--all", help="The newest complete backup of every target.")] = False,
    level: Annotated[
        Literal["stored", "readable"],
        Parameter(
            metavar="stored|readable",
            help="stored: read every byte, compare size and sha256. readable: decrypt, parse and count it too; "
            "readable unless given.",
        ),
    ] = "readable",
    identity: Identity = None,
    dry_run: Annotated[bool, Parameter(help="Show what would be read.")] = False,
    session: Given,
) -> int:
    """Check backups against their manifests, by reading them back from the store. What was found is
    kept as a proof beside the backup; `backstay list` shows the level. Nothing is restored: that is
    what `backstay drill` is for.

    Examples:
      backstay verify postgres/cardboard
      backstay verify postgres/cardboard@20260211-154344 --level stored
      backstay verify --all --quiet

    Exit status: 0 all is what its manifest promises; 13 something is not; 12 cannot decrypt; 10 store
    unreachable; 3 some could not be checked; 1 none could.
    """
    if bool(backups) == all_:
        raise UsageError(
            "say which backups or targets, or --all" if not backups else "--all goes without backups",
            hint="For instance `backstay verify postgres/app`.",
        )
    session.output.lines = True
    with session.app(identity=values.given_secret("--identity", identity)) as app:
        names = _names(app, backups)
        tally = Tally(session.output, len(names))
        for name in names:
            try:
                _one(session, app, name, DEPTHS[level], dry_run)
            except BackstayError as error:
                tally.failed(error)
    if dry_run:
        words.show_dry_run([], session.output)
    return tally.summary()


def _names(app: App, given: tuple[str, ...]) -> list[str]:
    """What to look up, each once; a tier stands for all its targets."""
    if not given:
        return [str(target) for target in app.targets()]
    found = []
    for name in given:
        found += [str(target) for target in app.targets([name])] if name in TIERS else [name]
    return list(dict.fromkeys(found))


def _one(session: Session, app: App, name: str, depth: Level, dry_run: bool) -> None:
    """Raises ``VerificationFailed`` when a check found fault."""
    output = session.output
    backup = app.context.catalogs.find(name)
    plan = job.plan(backup, depth)
    output.line("plan", **plan_fields(plan))
    if dry_run:
        if not output.as_json:
            output.data(words.plan_text(plan, output))
        return
    output.say(plan.title)
    with session.progress(str(backup.target)) as progress:
        outcome = job.run(app.context, backup, depth, progress)
    output.line("result", **outcome_fields(outcome))
    shown = words.findings_text(outcome.findings, output)
    output.result("\n".join([*shown, f"done in {format_duration(outcome.duration_seconds)}: {outcome.message}"]))
    if not outcome.ok:
        raise _failure(backup, outcome)


def _failure(backup: Backup, outcome: Outcome) -> VerificationFailed:
    wrong = [finding.message for finding in outcome.findings if finding.severity is Severity.ERROR]
    return VerificationFailed(
        f"{outcome.message}: {'; '.join(wrong)}",
        hint=f"Do not rely on it. Back up {backup.target} again; `backstay list {backup.target}` shows older ones. "
        "Nothing was changed.",
        backup=backup.id,
    )


app = command(verify, usage="verify [BACKUP|TARGET...] [OPTIONS]")
