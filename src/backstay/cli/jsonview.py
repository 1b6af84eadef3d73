"""The JSON twins of what people see (docs/json.md): plain data, units in the names, times in RFC 3339 UTC.

Fields are only ever added within a version of Backstay's JSON; tests/cli/test_json.py holds the shapes.
"""

from collections.abc import Mapping
from typing import Any

from backstay.catalog import manifest
from backstay.core.model import Backup, Finding, Level, Outcome, Plan, Proof
from backstay.core.units import exact_time


def plan_fields(plan: Plan) -> dict[str, Any]:
    """What an action will do."""
    return {
        "action": plan.action,
        "target": str(plan.target),
        "title": plan.title,
        "steps": [{"name": step.name, "detail": step.detail, "note": step.note} for step in plan.steps],
        "notes": list(plan.notes),
        "details": dict(plan.details),
        "confirm": plan.confirm or None,
    }


def outcome_fields(outcome: Outcome) -> dict[str, Any]:
    """How an action on one target ended."""
    return {
        "target": str(outcome.target),
        "ok": outcome.ok,
        "message": outcome.message,
        "duration_seconds": seconds(outcome.duration_seconds),
        "findings": [finding_fields(finding) for finding in outcome.findings],
        "phases_seconds": {name: seconds(value) for name, value in outcome.phases.items()},
        "facts": dict(outcome.facts),
    }


def finding_fields(finding: Finding) -> dict[str, Any]:
    """One thing that was looked at."""
    return {"severity": finding.severity.value, "code": finding.code, "message": finding.message}


def backup_fields(backup: Backup, proof: Proof | None, against: Proof | None) -> dict[str, Any]:
    """A backup in a list, with the proof that stands and the check that has found it bad."""
    rows, tables = rows_and_tables(backup.contents)
    point = backup.point_in_time
    return {
        "id": backup.id,
        "target": str(backup.target),
        "stamp": backup.stamp,
        "state": backup.state.value,
        "store": backup.store,
        "started_at": exact_time(backup.started_at),
        "finished_at": exact_time(backup.finished_at),
        "point_in_time": exact_time(point) if point else None,
        "size_bytes": backup.size_bytes,
        "rows": rows,
        "tables": tables,
        "keys": keys_of(backup.contents),
        "objects": objects_of(backup.contents),
        "level": level_of(proof).word,
        "proven_at": exact_time(proof.at) if proof else None,
        "refuted_at": exact_time(against.at) if against else None,
    }


def backup_document(
    backup: Backup, proofs: list[Proof], standing: Proof | None, against: Proof | None
) -> dict[str, Any]:
    """All there is to know of one backup: its manifest, where it is, and its proofs, oldest first."""
    return {
        **backup_fields(backup, standing, against),
        "manifest": manifest.fields(backup),
        "proofs": [proof_fields(proof) for proof in proofs],
    }


def proof_fields(proof: Proof) -> dict[str, Any]:
    """One check of a backup."""
    return {
        "kind": proof.kind,
        "level": proof.level.word,
        "ok": proof.ok,
        "at": exact_time(proof.at),
        "duration_seconds": seconds(proof.duration_seconds),
        "phases_seconds": {name: seconds(value) for name, value in proof.phases.items()},
        "findings": [finding_fields(finding) for finding in proof.findings],
    }


def level_of(proof: Proof | None) -> Level:
    """How far a backup is proven; one without a proof was only written."""
    return proof.level if proof else Level.WRITTEN


def rows_and_tables(contents: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """The rows a manifest counts and the tables that have them; ``None`` where it does not say."""
    rows, tables = contents.get("rows"), contents.get("tables")
    counted = [entry for entry in tables.values() if _has_rows(entry)] if isinstance(tables, dict) else None
    return (rows if isinstance(rows, int) else None), (len(counted) if counted is not None else None)


def keys_of(contents: Mapping[str, Any]) -> int | None:
    """The keys that a manifest of etcd counts; ``None`` for another one."""
    keys = contents.get("keys")
    return keys if isinstance(keys, int) else None


def objects_of(contents: Mapping[str, Any]) -> int | None:
    """The objects that a manifest of the objects tier counts; ``None`` for another one."""
    objects = contents.get("objects")
    return objects if isinstance(objects, int) else None


def seconds(value: float) -> float:
    """To the millisecond."""
    return round(value, 3)


def _has_rows(entry: Any) -> bool:
    return isinstance(entry, dict) and "rows" in entry
