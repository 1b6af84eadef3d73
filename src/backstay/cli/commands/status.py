"""``backstay status``."""

from datetime import datetime, timedelta
from typing import Annotated

from cyclopts import Parameter

from backstay.cli.help import command
from backstay.cli.output import Output, Style
from backstay.cli.session import Given
from backstay.cli.table import Cell, Column, Row, table
from backstay.config.load import Loaded
from backstay.core.errors import ObjectiveBreached
from backstay.core.model import Level
from backstay.core.units import format_duration, format_size, format_span, format_time
from backstay.report import status as report
from backstay.report.plain import as_json
from backstay.report.strip import DONE, FAILED, MISSED, PARTIAL
from backstay.report.values import StatusReport, TargetStatus, Verdict

COLUMNS = (
    Column("TIER", optional=2),
    Column("TARGET"),
    Column("LAST GOOD"),
    Column("RPO", optional=1),
    Column("SIZE", right=True),
    Column("LAST 30 DAYS", optional=4),
    Column("PROVEN"),
    Column("NEXT", optional=3),
)
LEGEND = f"{DONE} done   {PARTIAL} partial   {FAILED} failed   {MISSED} missed   (blank) none due"
HEAD_WIDTH = 100  # the time stands at its end
BAD = {Verdict.LATE, Verdict.FAILED, Verdict.NONE, Verdict.UNKNOWN}
PROVEN_WORDS = {Level.STORED: "stored", Level.READABLE: "readable", Level.WRITTEN: "written"}


def status(
    *,
    check: Annotated[
        bool, Parameter(help="Exit 14 when a target is late, failed, partial, never backed up, or unknown.")
    ] = False,
    session: Given,
) -> int:
    """Say how every target stands: the sentence first, then only what needs a person, worst first, each
    with the next command, then the table. Asks the stores alone, never the databases.

    Examples:
      backstay status
      backstay status --check --quiet
      backstay status --json

    Exit status: 0; with --check 14 when an objective is breached, or a store cannot be asked.
    """
    loaded = session.load()
    with session.app(loaded) as app:
        found = report.build(app.context, now=session.now(), max_age=_max_age(loaded))
    if session.output.as_json:
        session.output.document(as_json(found))
    elif check:
        session.output.result(_text(found, session.output))
    else:
        session.output.data(_text(found, session.output))
    return ObjectiveBreached.exit_code if check and found.breach else 0


def _max_age(loaded: Loaded) -> timedelta | None:
    drills = loaded.config.drills
    return drills.max_age if drills else None


def _text(found: StatusReport, output: Output) -> str:
    style = Style.BAD if found.verdict in BAD else Style.WARN if found.verdict is not Verdict.OK else Style.GOOD
    moment = format_time(found.at)
    space = " " * max(3, HEAD_WIDTH - len(found.headline) - len(moment))
    lines = [output.paint(found.headline, style) + space + moment]
    lines += [f"  {one.text}\n      {output.paint(one.command, Style.HINT)}" for one in found.attention]
    if found.targets:
        rows = [_row(one, found.at) for one in found.targets]
        lines += ["", table(COLUMNS, rows, output.paint, output.width), output.paint(LEGEND, Style.FAINT)]
    return "\n".join(lines)


def _row(one: TargetStatus, now: datetime) -> Row:
    late = one.verdict in {Verdict.LATE, Verdict.NONE}
    last = f"{format_span(one.age)} ago" if one.age is not None else "unknown" if _unknown(one) else "never"
    return (
        one.target.tier.value,
        one.target.name,
        Cell(f"{last} !" if late else last, Style.BAD if late else None),
        format_duration(one.rpo) if one.rpo else "-",
        format_size(one.size_bytes) if one.size_bytes is not None else "-",
        one.strip,
        _proven(one),
        _next(one, now),
    )


def _proven(one: TargetStatus) -> Cell:
    """When it was last restored and how long that took; a level below that is named."""
    if _unknown(one):
        return Cell("unknown", Style.WARN)
    if one.proven is None:
        return Cell("never !", Style.WARN)
    text = f"{format_span(one.proven.age)} ago, {format_duration(one.proven.duration_seconds)}"
    if one.proven.level is Level.RESTORED:
        return Cell(text + (" !" if one.verdict is Verdict.UNPROVEN else ""))
    return Cell(f"{PROVEN_WORDS[one.proven.level]} only, {format_span(one.proven.age)} ago !", Style.WARN)


def _next(one: TargetStatus, now: datetime) -> str:
    """The time of day in UTC, with the date where it is not within a day."""
    if one.next_run is None:
        return "-"
    return f"{one.next_run:%H:%M}" if one.next_run - now <= timedelta(days=1) else f"{one.next_run:%Y-%m-%d %H:%M}"


def _unknown(one: TargetStatus) -> bool:
    return one.verdict is Verdict.UNKNOWN


app = command(status, usage="status [OPTIONS]")
