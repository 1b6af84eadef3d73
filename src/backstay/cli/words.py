"""Sentences and blocks that several commands print in the same way."""

from collections.abc import Iterable, Mapping
from typing import Any

from backstay.cli.jsonview import keys_of, rows_and_tables
from backstay.cli.output import Output, Style
from backstay.core.model import Backup, Finding, Outcome, Plan, Severity, State
from backstay.core.units import counted, format_count, format_duration, format_size

GOING_ON = "Nothing has been changed. Run without --dry-run to do exactly this."
STATES = {State.COMPLETE: Style.GOOD, State.PARTIAL: Style.WARN, State.FOREIGN: Style.FAINT, State.FAILED: Style.BAD}
SEVERITIES = {Severity.OK: Style.GOOD, Severity.WARNING: Style.WARN, Severity.ERROR: Style.BAD}
SHA_SHOWN = 12  # hex digits: enough to compare by eye
DETAIL_WIDTH = 56  # notes stand in a column behind the details that are shorter than this


def plan_text(plan: Plan, output: Output) -> str:
    """Title, numbered steps with their notes, and the sentences under them."""
    names = max((len(step.name) for step in plan.steps), default=0)
    details = max((len(s.detail) for s in plan.steps if s.note and len(s.detail) <= DETAIL_WIDTH), default=0)
    lines = [output.paint(plan.title, Style.STRONG)]
    for number, step in enumerate(plan.steps, 1):
        note = f"   {step.note}" if step.note else ""
        lines.append(f"  {number:<2} {step.name:<{names}}   {step.detail:<{details}}{note}".rstrip())
    return "\n".join([*lines, *plan.notes])


def show_dry_run(plans: Iterable[str], output: Output) -> None:
    """Plans are what a dry run was asked for; as JSON they are lines already."""
    if not output.as_json:
        output.data("\n".join([*plans, GOING_ON]))


def findings_text(findings: Iterable[Finding], output: Output) -> list[str]:
    """``  ok        412,093 rows in 23 tables, each equal to the manifest``, a line each."""
    return [
        f"  {output.paint(f'{finding.severity.value:<7}', SEVERITIES[finding.severity])}  {finding.message}"
        for finding in findings
    ]


def phases_text(outcome: Outcome) -> str:
    """``  load 3.1 s   compare 1.2 s   total 6 s``; empty where nothing was timed."""
    timed = [f"{name} {format_duration(seconds)}" for name, seconds in outcome.phases.items()]
    return "  " + "   ".join([*timed, f"total {format_duration(outcome.duration_seconds)}"]) if timed else ""


def contents_words(backup: Backup) -> str:
    """``412,093 rows in 23 tables``, ``8,678 keys at revision 38,045`` or ``4,211 objects of 68 kinds``; empty where
    nobody counted."""
    objects, kinds = backup.contents.get("objects"), backup.contents.get("kinds")
    if isinstance(objects, int) and isinstance(kinds, dict):
        return f"{counted(objects, 'object')} of {counted(len(kinds), 'kind')}"
    keys, revision = keys_of(backup.contents), backup.contents.get("revision")
    if keys is not None and isinstance(revision, int):
        return f"{counted(keys, 'key')} at revision {format_count(revision)}"
    rows, tables = rows_and_tables(backup.contents)
    if rows is None or tables is None:
        return ""
    return f"{counted(rows, 'row')} in {counted(tables, 'table')}"


def source_words(found: Mapping[str, Any]) -> list[str]:
    """What a preview found, as far as it says: size, tables, rows expected."""
    size, tables, rows = found.get("size_bytes"), found.get("tables"), found.get("rows_estimated")
    return [
        *([format_size(size)] if isinstance(size, int) else []),
        *([counted(tables, "table")] if isinstance(tables, int) else []),
        *([f"{counted(rows, 'row')} expected"] if isinstance(rows, int) else []),
    ]


def done_line(backup: Backup, source_bytes: object, seconds: float) -> str:
    """``done in 4.6 s: postgres/cardboard@...   141 MB -> 38.2 MB   412,093 rows in 23 tables   sha256 9f2c...``
    or ``17 files``."""
    plain = sum(artifact.plain_size_bytes for artifact in backup.artifacts)
    before = source_bytes if isinstance(source_bytes, int) else plain
    dump = next(filter(None, map(backup.artifact, ("dump", "snapshot", "sqlite", "objects"))), None)
    parts = [
        f"done in {format_duration(seconds)}: {backup.id}",
        f"{format_size(before)} -> {format_size(backup.size_bytes)}",
        contents_words(backup),
        f"sha256 {dump.sha256[:SHA_SHOWN]}..." if dump else counted(len(backup.artifacts), "file"),
    ]
    return "   ".join(part for part in parts if part)
