"""What changes live things: the plan shown, the name asked for, and how it ended."""

from backstay.cli import words
from backstay.cli.ask import confirm_name
from backstay.cli.jsonview import outcome_fields, plan_fields
from backstay.cli.session import Session
from backstay.core.model import Outcome, Plan
from backstay.core.units import format_duration


def show_and_ask(session: Session, plan: Plan, *, dry_run: bool, confirm: str | None) -> bool:
    """Show the plan; whether to go on. Raises ``Declined``."""
    output = session.output
    output.line("plan", **plan_fields(plan))
    text = words.plan_text(plan, output)
    if dry_run:
        words.show_dry_run([text], output)
        return False
    output.say(text)
    if plan.confirm:
        confirm_name(session, plan.confirm, confirm, about=text)
    return bool(plan.steps)


def tell(session: Session, outcome: Outcome) -> None:
    """Phases, findings and the last line."""
    output = session.output
    output.line("result", **outcome_fields(outcome))
    timed = words.phases_text(outcome)
    lines = [timed] if timed else []
    lines += words.findings_text(outcome.findings, output)
    output.result("\n".join([*lines, f"done in {format_duration(outcome.duration_seconds)}: {outcome.message}"]))
