"""The status as plain JSON data, with the same facts as the screen: raw units in the names, times in UTC."""

from datetime import datetime, timedelta
from typing import Any

from backstay.core.units import exact_time
from backstay.report.values import (
    Brief,
    CutShort,
    FailedRun,
    ForeignDumps,
    FoundBad,
    Proven,
    StatusReport,
    TargetStatus,
    Working,
)


def as_json(report: StatusReport) -> dict[str, Any]:
    """The whole report, as ``backstay status --json`` prints it."""
    return {
        "cluster": report.cluster,
        "at": exact_time(report.at),
        "verdict": report.verdict.value,
        "breach": report.breach,
        "headline": report.headline,
        "attention": [
            {"subject": one.subject, "message": one.text, "command": one.command} for one in report.attention
        ],
        "targets": [_target(one) for one in report.targets],
        "stores": [
            {"store": one.store, "code": one.code, "message": one.message, "hint": one.hint} for one in report.stores
        ],
        "restores": [_restore(one) for one in report.restores],
        "findings": [
            {"severity": one.severity.value, "code": one.code, "message": one.message} for one in report.findings
        ],
    }


def _target(one: TargetStatus) -> dict[str, Any]:
    return {
        "target": str(one.target),
        "tier": one.target.tier.value,
        "name": one.target.name,
        "store": one.store,
        "verdict": one.verdict.value,
        "breach": one.breach,
        "last_good": _brief(one.last_good),
        "last_good_age_seconds": _seconds(one.age),
        "newer_partial": _brief(one.newer_partial),
        "rpo_seconds": _seconds(one.rpo),
        "missed_at": _time(one.missed_at),
        "size_bytes": one.size_bytes,
        "last_30_days": one.strip,
        "proven": _proven(one.proven),
        "found_bad": _found_bad(one.found_bad),
        "last_failure": _failure(one.last_failure),
        "foreign": _foreign(one.foreign),
        "working": _working(one.working),
        "next_run_at": _time(one.next_run),
    }


def _brief(one: Brief | None) -> dict[str, Any] | None:
    return (
        None
        if one is None
        else {
            "backup": one.id,
            "store": one.store,
            "state": one.state.value,
            "started_at": exact_time(one.started_at),
            "finished_at": exact_time(one.finished_at),
            "size_bytes": one.size_bytes,
            "omissions": list(one.omissions),
        }
    )


def _proven(one: Proven | None) -> dict[str, Any] | None:
    return (
        None
        if one is None
        else {
            "level": one.level.word,
            "backup": one.backup_id,
            "at": exact_time(one.at),
            "age_seconds": one.age.total_seconds(),
            "duration_seconds": one.duration_seconds,
            "kind": one.kind,
        }
    )


def _found_bad(one: FoundBad | None) -> dict[str, Any] | None:
    return (
        None
        if one is None
        else {
            "backup": one.backup_id,
            "level": one.level.word,
            "at": exact_time(one.at),
            "message": one.message,
        }
    )


def _failure(one: FailedRun | None) -> dict[str, Any] | None:
    return (
        None
        if one is None
        else {
            "began_at": exact_time(one.began_at),
            "failed_at": exact_time(one.failed_at),
            "code": one.code,
            "message": one.message,
            "hint": one.hint,
        }
    )


def _foreign(one: ForeignDumps | None) -> dict[str, Any] | None:
    return None if one is None else {"count": one.count, "newest_at": exact_time(one.newest_at)}


def _working(one: Working | None) -> dict[str, Any] | None:
    return None if one is None else {"purpose": one.purpose, "since": exact_time(one.since), "host": one.host}


def _restore(one: CutShort) -> dict[str, Any]:
    return {
        "target": str(one.target),
        "restore": one.stamp,
        "backup": one.backup_id,
        "began_at": exact_time(one.began_at),
        "message": one.message,
        "running": one.running,
    }


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()


def _time(moment: datetime | None) -> str | None:
    return exact_time(moment) if moment else None
