"""``backstay drill``."""

from typing import Annotated

from cyclopts import Parameter

from backstay.app import App
from backstay.cli import values, words
from backstay.cli.commands.restore_options import CONFIGURED_SERVER, Identity, Server, refuse
from backstay.cli.failures import Tally
from backstay.cli.help import command
from backstay.cli.jsonview import outcome_fields, plan_fields
from backstay.cli.session import Given, Session
from backstay.core.errors import BackstayError, DrillFailed, UsageError, VerificationFailed
from backstay.core.model import Backup, Level, Outcome, Severity, TierKind
from backstay.core.units import format_duration
from backstay.jobs import drill as job

# What a drill asks beyond the comparison that every restore makes.
OF_CONTENTS = {"postgres.check", "postgres.content"}


def drill(
    *targets: Annotated[str, Parameter(help="Targets, or a whole tier; each for its newest complete backup.")],
    all_: Annotated[bool, Parameter(name="--all", help="Every target of the configuration.")] = False,
    backup: Annotated[
        str | None, Parameter(metavar="BACKUP", help="This backup in place of a target's newest complete one.")
    ] = None,
    server: Annotated[Server, Parameter(name="*")] = CONFIGURED_SERVER,
    identity: Identity = None,
    in_cluster: Annotated[
        bool,
        Parameter(
            help="objects: into namespaces of the drill's own in the live cluster, even where a scratch one can be had."
        ),
    ] = False,
    dry_run: Annotated[bool, Parameter(help="Show what would be done, and whether it can be.")] = False,
    session: Given,
) -> int:
    """Prove that a backup restores. It is restored, by the same path as in earnest, into a scratch server
    that is started for it (or into --server, if that is certainly not the source), then checked: every
    row counted, every index and constraint, sequences, owner, extensions, amcheck, the content of every
    row where it was recorded, and your own questions (`checks` in the configuration). The time is held
    against the objective. Everything is removed again; what was found is kept as the proof. Objects of
    Kubernetes are restored into a scratch control plane, or, where that cannot be had and the
    configuration or --in-cluster allows it, into namespaces of their own in the live cluster.

    Examples:
      backstay drill postgres/cardboard
      backstay drill --backup postgres/cardboard@20260211-154344
      backstay drill --all --quiet

    Exit status: 0 proven; 13 a backup did not come back as it should; 14 it did, but not in the time of
    the objective; 3 some could not be drilled; 1 none could; 10 store unreachable; 12 cannot decrypt.
    """
    if bool(targets) + all_ + (backup is not None) != 1:
        raise UsageError(
            "say which targets, or --backup, or --all" if not (targets or backup) else "say one of them alone",
            hint="For instance `backstay drill postgres/app`.",
        )
    session.output.lines = True
    with session.app(**server.choices(), identity=values.given_secret("--identity", identity)) as app:
        names = [backup] if backup else [str(target) for target in app.targets(_given(targets))]
        tally = Tally(session.output, len(names))
        for name in names:
            try:
                tally.late += _one(session, app, name, in_cluster=in_cluster, dry_run=dry_run)
            except BackstayError as error:
                tally.failed(error)
    if dry_run:
        words.show_dry_run([], session.output)
    return tally.summary()


def _given(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names of targets. Raises ``UsageError`` for that of a backup, which belongs to --backup."""
    for name in names:
        if "@" in name:
            raise UsageError(f"{name} is a backup", hint=f"backstay drill --backup {name}")
    return names


def _one(session: Session, app: App, name: str, *, in_cluster: bool, dry_run: bool) -> bool:
    """Whether it took longer than promised. Raises ``VerificationFailed`` when the backup did not come back."""
    output = session.output
    backup = app.context.catalogs.find(name)
    if backup.target.tier is not TierKind.OBJECTS:
        refuse(backup.target.tier, {"--in-cluster": in_cluster})
    plan = job.plan(app.context, backup, {"in_cluster": True} if in_cluster else {})
    output.line("plan", **plan_fields(plan))
    if dry_run:
        if not output.as_json:
            output.data(words.plan_text(plan, output))
        return False
    output.say(plan.title)
    with session.progress(str(backup.target)) as progress:
        outcome = job.run(app.context, plan, backup, progress)
    output.line("result", **outcome_fields(outcome))
    output.result("\n".join([*_text(outcome, session), _verdict(backup, outcome)]))
    if not outcome.ok:
        raise _failure(backup, outcome)
    if job.level_of(outcome) is not Level.RESTORED:
        raise DrillFailed(
            f"{backup.id} could only be tried, nothing of it was created",
            hint="A scratch control plane proves all of it: set drills.kube_apiserver. Nothing live was touched.",
        )
    return job.is_over_objective(outcome)


def _text(outcome: Outcome, session: Session) -> list[str]:
    objective = outcome.facts.get("objective_seconds")
    against = f" (objective {format_duration(float(objective))})" if objective is not None else ""
    restoring = f"   restoring {format_duration(float(outcome.facts['restore_seconds']))}{against}"
    return [words.phases_text(outcome) + restoring, *words.findings_text(outcome.findings, session.output)]


def _verdict(backup: Backup, outcome: Outcome) -> str:
    level = job.level_of(outcome)
    if outcome.ok and level is not Level.RESTORED:
        return f"NOT PROVEN, but {level.word}: {outcome.message}. Recorded as that."
    if outcome.ok:
        return f"PROVEN: {outcome.message}, in {format_duration(outcome.duration_seconds)}. Recorded as its proof."
    return f"NOT PROVEN: {outcome.message}. Recorded against {backup.id}."


def _failure(backup: Backup, outcome: Outcome) -> VerificationFailed:
    wrong = [finding for finding in outcome.findings if finding.severity is Severity.ERROR]
    only_contents = all(finding.code in OF_CONTENTS for finding in wrong)
    means = "It restores, and brings back just that" if only_contents else "A real restore of it would end the same way"
    return VerificationFailed(
        f"{outcome.message}: {'; '.join(finding.message for finding in wrong)}",
        hint=f"{means}. Back up {backup.target} again and drill that; `backstay list {backup.target}` shows older "
        "ones. Nothing live was touched.",
        backup=backup.id,
    )


app = command(drill, usage="drill [TARGET...] [OPTIONS]")
