"""Proofs: that a backup was checked, how deeply and when. Kept beside the manifests, which never change."""

from collections.abc import Container, Iterable, Iterator
from typing import Any

from backstay.catalog import keys, records
from backstay.catalog.cache import Cache
from backstay.catalog.fetch import Problem, fetch
from backstay.core.model import Finding, Level, Proof, Severity, Target
from backstay.core.units import exact_time
from backstay.store.base import ObjectInfo, Store

KIND = "proof"
_LEVELS = {level.word: level for level in Level}


class Proofs:
    """The proofs in one store."""

    def __init__(self, store: Store, cache: Cache | None = None) -> None:
        self._store = store
        self._cache = cache

    def write(self, proof: Proof, target: Target, stamp: str) -> str:
        """Keep the proof that the run begun at ``stamp`` gave for a backup of ``target``; returns its key.

        Raises ``AlreadyExists`` when a run of the same second has given one of the same kind.
        """
        key = keys.proof_key(target, stamp, proof.kind)
        records.write(self._store, key, encode(proof), create=True)
        return key

    def read(self, target: Target | None = None, *, problem: Problem | None = None) -> Iterator[Proof]:
        """All proofs, or those of one target, by the time of their run. ``problem`` is as for backups."""
        infos = (info for info, _ in self._list(target))
        yield from fetch(self._store, infos, _decode, cache=self._cache, problem=problem)

    def forget(self, target: Target, backup_stamps: Container[str]) -> int:
        """Remove the proofs of backups of ``target`` that are removed themselves; returns how many."""
        infos = (info for info, _ in self._list(target))
        pairs = fetch(self._store, infos, lambda info, body: (info.key, _decode(info, body)), cache=self._cache)
        gone = [key for key, proof in pairs if proof.backup_id.partition("@")[2] in backup_stamps]
        self._store.delete(gone)
        return len(gone)

    def _list(self, target: Target | None) -> Iterator[tuple[ObjectInfo, Target]]:
        prefix = keys.target_prefix(keys.DRILLS, target) if target else keys.DRILLS
        seen = []
        for info in self._store.list(prefix):
            parsed = keys.parse_proof(info.key)
            if parsed and target in {None, parsed[0]}:
                seen.append(info.key)
                yield info, parsed[0]
        if self._cache and target is None:
            self._cache.retain(prefix, seen)


def standing(proofs: Iterable[Proof]) -> dict[str, Proof]:
    """For each backup id the highest proof that no later failure has taken back, the newest of that level.

    A check that failed at a level takes back what was proven before at that level and above; what was proven
    below it stands.
    """
    best: dict[str, dict[Level, Proof]] = {}
    for proof in sorted(proofs, key=lambda proof: proof.at):
        held = best.setdefault(proof.backup_id, {})
        if proof.ok:
            held[proof.level] = proof
        else:
            best[proof.backup_id] = {level: kept for level, kept in held.items() if level < proof.level}
    return {backup_id: held[max(held)] for backup_id, held in best.items() if held}


def encode(proof: Proof) -> bytes:
    """A proof as it is stored."""
    fields: dict[str, Any] = {
        "backup": proof.backup_id,
        "kind": proof.kind,
        "level": proof.level.word,
        "ok": proof.ok,
        "at": exact_time(proof.at),
        "duration_seconds": proof.duration_seconds,
        "phases": proof.phases,
        "findings": [
            {"severity": finding.severity.value, "code": finding.code, "message": finding.message}
            for finding in proof.findings
        ],
    }
    return records.encode(KIND, fields)


def decode(data: bytes, key: str) -> Proof:
    """The proof at ``key``. Raises ``CatalogError``, ``FormatTooNew``."""
    found = records.decode(KIND, data, key)
    place = keys.parse_proof(key)
    backup_id = found.text("backup")
    target, _, stamp = backup_id.partition("@")
    if place is None or target != str(place[0]) or not keys.is_stamp(stamp):
        found.fail("backup", "is not one of the target that the key says")
    phases = records.Fields(found.mapping("phases"), key, "phases.")
    return Proof(
        backup_id=backup_id,
        level=_LEVELS[found.choice("level", tuple(_LEVELS))],
        ok=found.flag("ok"),
        at=found.time("at"),
        duration_seconds=found.number("duration_seconds"),
        findings=tuple(_finding(child) for child in found.children("findings")),
        phases={name: phases.number(name) for name in phases.data},
        kind=found.choice("kind", (place[2],)),
    )


def _decode(info: ObjectInfo, body: bytes) -> Proof:
    return decode(body, info.key)


def _finding(found: records.Fields) -> Finding:
    return Finding(
        severity=Severity(found.choice("severity", tuple(Severity))),
        message=found.text("message", empty=True),
        code=found.text("code", empty=True),
    )
