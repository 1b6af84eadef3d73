"""The journal of a restore: its plan and the steps done, so that a killed one can be resumed or rolled back.

A restore without a store keeps its journal in a folder: the same class over a directory store.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from backstay.catalog import keys, records
from backstay.core.errors import AlreadyExists, NotFound, RestoreError
from backstay.core.model import Plan, Step, Target, TierKind
from backstay.core.units import exact_time
from backstay.store.base import Store

KIND = "restore"
STOP = "stop"  # the step that begins to stop the apps; what comes after it changes live data
DROP = "drop"  # the step after which what was live is only in a backup


class JournalState(StrEnum):
    """How a restore stands."""

    OPEN = "open"  # running, or killed
    DONE = "done"
    FAILED = "failed"  # stopped by an error; may be resumed or rolled back
    ROLLED_BACK = "rolled_back"


@dataclass(frozen=True)
class DoneStep:
    """A step that is finished."""

    at: datetime
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class JournalRecord:
    """A journal as it is in the store. ``stamp`` is that of the restore, ``backup_id`` what it brings back."""

    plan: Plan
    stamp: str
    backup_id: str
    run: str
    state: JournalState
    begun_at: datetime
    changed_at: datetime
    steps: Mapping[str, DoneStep] = field(default_factory=dict)
    message: str = ""

    @property
    def key(self) -> str:
        """Where it is."""
        return keys.journal_key(self.plan.target, self.stamp)

    @property
    def needs_a_person(self) -> bool:
        """Whether somebody must resume it or roll it back: it was killed (or still runs), or it failed once it had
        begun to stop the apps. One that failed before has tidied up after itself."""
        failed_late = self.state is JournalState.FAILED and STOP in self.steps
        return self.state is JournalState.OPEN or failed_late

    @property
    def resumable(self) -> bool:
        """Whether it is open or failed."""
        return self.state in {JournalState.OPEN, JournalState.FAILED}

    def encode(self) -> bytes:
        """As stored."""
        steps = [{"name": name, "at": exact_time(step.at), "facts": step.facts} for name, step in self.steps.items()]
        fields = {
            "id": f"{self.plan.target}@{self.stamp}",
            "backup": self.backup_id,
            "run": self.run,
            "state": self.state.value,
            "message": self.message,
            "begun_at": exact_time(self.begun_at),
            "changed_at": exact_time(self.changed_at),
            "done": steps,
            "plan": plan_fields(self.plan),
        }
        return records.encode(KIND, fields)


class RestoreJournal:
    """The journal of the restore that runs; a ``tiers.base.Journal``. Made by ``create`` or ``resume``."""

    def __init__(self, store: Store, record: JournalRecord, etag: str | None, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now
        self.written = record
        self._etag = etag
        self._write(record)

    @property
    def done(self) -> Mapping[str, Mapping[str, Any]]:
        """Steps finished by this run or by the one it resumes, with the facts recorded for each."""
        return {name: step.facts for name, step in self.written.steps.items()}

    def record(self, step: str, **facts: Any) -> None:
        """``step`` is finished. Durable when this returns. Raises ``RestoreError`` when another run took over."""
        steps = {**self.written.steps, step: DoneStep(self._now(), facts)}
        self._write(replace(self.written, steps=steps, changed_at=self._now()))

    def close(self, state: JournalState, message: str = "") -> None:
        """The restore has ended. Raises ``RestoreError`` when another run took over."""
        self._write(replace(self.written, state=state, message=message, changed_at=self._now()))

    def _write(self, record: JournalRecord) -> None:
        try:
            self._etag = records.write(
                self._store, record.key, record.encode(), create=self._etag is None, match=self._etag
            )
        except AlreadyExists as error:
            raise RestoreError(
                f"another run is writing the journal of this restore ({record.key})",
                hint="This run stops here; nothing more is changed by it. `backstay status` tells of it.",
            ) from error
        self.written = record


def create(
    store: Store,
    plan: Plan,
    stamp: str,
    backup_id: str,
    *,
    run: str,
    now: Callable[[], datetime],
    steps: Mapping[str, DoneStep] | None = None,
) -> RestoreJournal:
    """Open the journal of a new restore; ``steps`` are done already.

    Raises ``RestoreError`` when one of the same second exists.
    """
    moment = now()
    record = JournalRecord(plan, stamp, backup_id, run, JournalState.OPEN, moment, moment, steps or {})
    return RestoreJournal(store, record, None, now)


def resume(store: Store, target: Target, stamp: str, *, run: str, now: Callable[[], datetime]) -> RestoreJournal:
    """Take over the journal of a restore that was killed or failed; a run that still has it stops at its next step.

    Raises ``RestoreError`` when there is none, or it is finished.
    """
    key = keys.journal_key(target, stamp)
    try:
        found = records.read(store, KIND, key)
    except NotFound as error:
        raise RestoreError(f"there is no journal of a restore {target}@{stamp}") from error
    record = _from_fields(found.fields, target, stamp)
    if record.state in {JournalState.DONE, JournalState.ROLLED_BACK}:
        raise RestoreError(f"the restore {target}@{stamp} is finished: {record.state.value}")
    opened = replace(record, run=run, state=JournalState.OPEN, message="", changed_at=now())
    return RestoreJournal(store, opened, found.etag, now)


def journals(store: Store, target: Target) -> Iterator[JournalRecord]:
    """The journals of ``target``, newest first."""
    listed = keys.list_records(store, keys.RESTORES, target)
    for stamp in sorted((stamp for _, _, stamp in listed), reverse=True):
        key = keys.journal_key(target, stamp)
        try:
            yield _from_fields(records.decode(KIND, records.read_bytes(store, key), key), target, stamp)
        except NotFound:
            continue


def unfinished(store: Store, target: Target) -> Iterator[JournalRecord]:
    """The journals of ``target`` that are open or failed, newest first."""
    return (journal for journal in journals(store, target) if journal.resumable)


def pending(store: Store, target: Target) -> JournalRecord | None:
    """The journal that ``--resume`` and ``--rollback`` are about, or would be: the newest that needs a person, else the
    newest of all. Only when that one is ``resumable``: one that failed early, and was followed by another restore, is
    history."""
    newest = None
    for journal in journals(store, target):
        if journal.needs_a_person:
            return journal
        newest = newest or journal
    return newest


def plan_fields(plan: Plan) -> dict[str, Any]:
    """A plan as plain JSON data."""
    return {
        "action": plan.action,
        "tier": plan.target.tier.value,
        "target": plan.target.name,
        "title": plan.title,
        "steps": [{"name": step.name, "detail": step.detail, "note": step.note} for step in plan.steps],
        "notes": list(plan.notes),
        "details": dict(plan.details),
        "confirm": plan.confirm,
    }


def plan_from(found: records.Fields) -> Plan:
    """The plan in ``found``. Raises ``CatalogError``."""
    tier = TierKind(found.choice("tier", tuple(TierKind)))
    return Plan(
        action=found.text("action"),
        target=Target(tier, found.text("target")),
        title=found.text("title", empty=True),
        steps=tuple(
            Step(
                child.text("name"),
                child.text("detail", empty=True),
                child.text("note", empty=True),
            )
            for child in found.children("steps")
        ),
        notes=found.texts("notes"),
        details=found.mapping("details"),
        confirm=found.text("confirm", empty=True),
    )


def _from_fields(found: records.Fields, target: Target, stamp: str) -> JournalRecord:
    plan = plan_from(records.Fields(found.mapping("plan"), found.key, "plan."))
    if plan.target != target or found.text("id") != f"{target}@{stamp}":
        found.fail("id", "is not what the key says")
    steps = {child.text("name"): DoneStep(child.time("at"), child.mapping("facts")) for child in found.children("done")}
    return JournalRecord(
        plan=plan,
        stamp=stamp,
        backup_id=found.text("backup", empty=True),
        run=found.text("run"),
        state=JournalState(found.choice("state", tuple(JournalState))),
        begun_at=found.time("begun_at"),
        changed_at=found.time("changed_at"),
        steps=steps,
        message=found.text("message", empty=True),
    )
