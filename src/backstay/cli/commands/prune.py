"""``backstay prune``."""

from typing import Annotated

from cyclopts import Parameter

from backstay.cli import words
from backstay.cli.ask import confirm_yes
from backstay.cli.failures import Tally, error_from
from backstay.cli.help import command
from backstay.cli.jsonview import outcome_fields
from backstay.cli.output import Output
from backstay.cli.session import Given, Session
from backstay.core.errors import BackstayError, Incomplete
from backstay.core.model import Outcome, Severity
from backstay.core.units import counted, format_duration, format_size
from backstay.jobs import prune as job
from backstay.jobs.prune_plan import Fate, PrunePlan


def prune(
    *targets: Annotated[str, Parameter(help="Targets, or a tier; all without them.")],
    dry_run: Annotated[bool, Parameter(help="Show what would go and what stays, each with its reasons.")] = False,
    yes: Annotated[bool, Parameter(help="Do not ask.")] = False,
    allow_mass_delete: Annotated[
        bool, Parameter(help="Go on even if most backups of a target would go, as after a change of its rules.")
    ] = False,
    session: Given,
) -> int:
    """Remove the backups that no rule of `keep` keeps, and what killed runs left behind. The plan comes
    first, with the reasons for each backup. The newest complete backup and the newest proven one
    always stay, and dumps that other tools left are never touched.

    Examples:
      backstay prune --dry-run
      backstay prune postgres/cardboard
      backstay prune --yes --quiet

    Exit status: 0 done, or nothing to do; 3 some of it could not be done; 4 declined, or a mass
    deletion that was not allowed; 10 store unreachable; 11 another run is at work; 1 failed.
    """
    output = session.output
    output.lines = True
    with session.app() as app:
        plan = job.plan(app.context, app.targets(targets), allow_mass_delete=allow_mass_delete)
        output.line("plan", action="prune", **plan.as_json())
        text = _plan_text(plan, output)
        if dry_run:
            words.show_dry_run([text], output)
            return _nothing_done(session, plan)
        output.say(text)
        if plan.refusal is not None:
            raise plan.refusal
        if all(one.does_nothing for one in plan.targets):
            return _nothing_done(session, plan)
        removed = sum(len(one.with_fate(Fate.REMOVE)) for one in plan.targets)
        what = counted(removed, "backup") if removed else "what killed runs left and old notes"
        question = f"Remove {what}, {format_size(plan.freed_bytes)}?"
        confirm_yes(session, question, given=yes, about=text)
        with session.progress("prune") as progress:
            outcomes = job.run(app.context, plan, progress)
    return _told(session, outcomes)


def _plan_text(plan: PrunePlan, output: Output) -> str:
    return "\n\n".join(words.plan_text(one, output) for one in plan.as_plans())


def _nothing_done(session: Session, plan: PrunePlan) -> int:
    """Where nothing is removed, a target that could not be looked at still counts."""
    tally = Tally(session.output, len(plan.targets))
    for one in plan.targets:
        if one.blocked is not None:
            tally.failed(one.blocked)
    return tally.summary(freed_bytes=0)


def _told(session: Session, outcomes: list[Outcome]) -> int:
    output = session.output
    tally = Tally(output, len(outcomes))
    for outcome in outcomes:
        output.line("result", **outcome_fields(outcome))
        if outcome.ok:
            done = f"done in {format_duration(outcome.duration_seconds)}: {outcome.target}"
            output.result(f"{done} in store {outcome.facts['store']}   {outcome.message}")
        else:
            tally.failed(_error(outcome))
    return tally.summary(freed_bytes=sum(int(outcome.facts["freed_bytes"]) for outcome in outcomes))


def _error(outcome: Outcome) -> BackstayError:
    """What stopped one target, or that some of it could not be done."""
    if outcome.facts.get("error"):
        return error_from(outcome.facts["error"])
    wrong = [finding.message for finding in outcome.findings if finding.severity is Severity.ERROR]
    hint = f"The rest was done: {outcome.message}. Run it again when the cause is gone."
    return Incomplete(f"{outcome.target}: {'; '.join(wrong)}", hint=hint)


app = command(prune, usage="prune [TARGET...] [OPTIONS]")
