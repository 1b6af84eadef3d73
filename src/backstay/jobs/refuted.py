"""Which backups a check has found bad: for retention such a one protects nothing, for status it is a failure."""

from collections.abc import Iterable

from backstay.core.model import Level, Proof


def refuted(proofs: Iterable[Proof]) -> dict[str, Proof]:
    """For each backup id the failed check that no later one, as deep or deeper, has cleared: of several the one of the
    lowest level, which says the most against it."""
    failed: dict[str, dict[Level, Proof]] = {}
    for proof in sorted(proofs, key=lambda proof: proof.at):
        held = failed.setdefault(proof.backup_id, {})
        if proof.ok:
            failed[proof.backup_id] = {level: kept for level, kept in held.items() if level > proof.level}
        else:
            held[proof.level] = proof
    return {backup_id: held[min(held)] for backup_id, held in failed.items() if held}
