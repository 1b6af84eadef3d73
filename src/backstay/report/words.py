"""The sentences of ``status``: the headline, and what needs a person, worst first, each with the next command."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from backstay.core.model import Finding, Level, Severity
from backstay.core.units import counted, format_age, format_count, format_duration, format_span, listed
from backstay.report.values import Attention, CutShort, FailedRun, StoreProblem, TargetStatus, Verdict

MESSAGE_LENGTH = 200  # characters of what a failed run said
COUNTED = {
    Verdict.UNKNOWN: "not known",
    Verdict.NONE: "never backed up",
    Verdict.LATE: "late",
    Verdict.FAILED: "failed",
    Verdict.PARTIAL: "partial",
    Verdict.UNPROVEN: "unproven",
}


def headline(cluster: str, targets: Sequence[TargetStatus], stores: Sequence[StoreProblem]) -> str:
    """``homelab: 17 of 19 targets proven, 1 late, 1 unproven.``"""
    numbers = Counter(one.verdict for one in targets)
    if not targets:
        said = "no targets are configured"
    elif len(targets) == numbers[Verdict.OK] > 1:
        said = f"all {counted(len(targets), 'target')} proven"
    else:
        said = f"{format_count(numbers[Verdict.OK])} of {counted(len(targets), 'target')} proven"
        said += "".join(f", {format_count(numbers[one])} {word}" for one, word in COUNTED.items() if numbers[one])
    names = [problem.store for problem in stores]
    lost = f" Store {listed(names)} cannot be asked." if names else ""
    return f"{cluster}: {said}.{lost}"


def attention(
    now: datetime,
    max_age: timedelta | None,
    targets: Sequence[TargetStatus],
    stores: Sequence[StoreProblem],
    restores: Iterable[CutShort],
    findings: Iterable[Finding],
) -> tuple[Attention, ...]:
    """What needs a person. A target whose store cannot be asked is counted with the store."""
    lines = [_store(problem, targets) for problem in stores]
    lines += [_cut_short(one) for one in restores if not one.running]
    for target in sorted(targets, key=lambda one: (-one.verdict.rank, one.target)):
        if target.verdict not in {Verdict.OK, Verdict.UNKNOWN}:
            lines.append(_target(target, now, max_age))
    order = sorted(findings, key=lambda finding: finding.severity is not Severity.ERROR)
    return (*lines, *(Attention("", f"{_ended(one.message)}", "backstay list") for one in order))


def _store(problem: StoreProblem, targets: Iterable[TargetStatus]) -> Attention:
    kept = sum(one.store == problem.store for one in targets)
    text = f"{_ended(problem.message)} Nothing is known of {counted(kept, 'target')} kept there."
    return Attention(problem.store, _capital(text), f"backstay store check {problem.store}")


def _cut_short(one: CutShort) -> Attention:
    begun = f"{one.stamp} on {one.node}" if one.node else one.stamp
    text = f"A restore of {one.target} begun {begun} was cut short; --rollback in place of --resume undoes it."
    return Attention(str(one.target), text, f"backstay restore {one.target} --resume")


def _target(one: TargetStatus, now: datetime, max_age: timedelta | None) -> Attention:
    name = str(one.target)
    again = f"backstay backup {name}"
    match one.verdict:
        case Verdict.NONE:
            return Attention(name, f"{name} has never been backed up." + _none(one, now) + _tries(one, now), again)
        case Verdict.LATE:
            return Attention(name, f"{name} is late: {_late(one)}." + _tries(one, now), again)
        case Verdict.FAILED:
            return Attention(name, _failed(one, now), again)
        case Verdict.PARTIAL:
            partial = one.newer_partial
            return Attention(name, _partial(one), f"backstay show {partial.id if partial else name}")
        case _:
            return Attention(name, _unproven(one, max_age), f"backstay drill {name}")


def _none(one: TargetStatus, now: datetime) -> str:
    words = ""
    if one.foreign:
        age = format_span(now - one.foreign.newest_at)
        words = f" There {'is' if one.foreign.count == 1 else 'are'} {counted(one.foreign.count, 'dump')}"
        words += f" of another tool, the newest {age} old."
    if one.next_run and not one.last_failure:
        words += f" Its next run is due {format_age(one.next_run, now)}."
    return words


def _late(one: TargetStatus) -> str:
    last = f"last good {format_span(one.age)} ago" if one.age is not None else "there is no complete backup of it"
    last += ", which did not pass its check" if one.found_bad else ""
    return last + (f", due every {format_duration(one.rpo)}" if one.rpo else "")


def _tries(one: TargetStatus, now: datetime) -> str:
    words = f" Last try failed: {_ended(_said(one.last_failure))}" if one.last_failure else ""
    if one.working:
        words += f" A {one.working.purpose or 'run'} is at work on it since {format_span(now - one.working.since)}."
    return words


def _failed(one: TargetStatus, now: datetime) -> str:
    if one.found_bad:
        bad = one.found_bad
        return f"{bad.backup_id}, the last good backup, did not pass its check {format_age(bad.at, now)}: " + _ended(
            bad.message
        )
    failure = one.last_failure
    words = f"{one.target} failed {format_age(failure.began_at, now)}: {_ended(_said(failure))}" if failure else ""
    return words + (f" Last good {format_span(one.age)} ago." if one.age is not None else "")


def _partial(one: TargetStatus) -> str:
    partial = one.newer_partial
    left_out = partial.omissions if partial else ()
    more = f" and {counted(len(left_out) - 1, 'more thing')}" if len(left_out) > 1 else ""
    what = f": it leaves out {left_out[0]}{more}" if left_out else ""
    return f"The newest backup of {one.target} is partial{what}."


def _unproven(one: TargetStatus, max_age: timedelta | None) -> str:
    proven = one.proven
    if proven is None:
        return f"{one.target} has never been restored, nor checked."
    if proven.level < Level.RESTORED:
        return f"{one.target} has never been restored; it was found {proven.level.word} {format_span(proven.age)} ago."
    counts = f"; a proof counts for {format_duration(max_age)}" if max_age else ""
    return f"{one.target} was last restored {format_span(proven.age)} ago{counts}."


def _said(failure: FailedRun | None) -> str:
    said = " ".join(failure.message.split()) if failure else ""
    return said if len(said) <= MESSAGE_LENGTH else said[: MESSAGE_LENGTH - 3] + "..."


def _ended(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
