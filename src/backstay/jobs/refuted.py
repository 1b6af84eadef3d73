"""Which backups a check has found bad: for retention such a one protects nothing, for status it is a failure."""

from collections.abc import Iterable

from backstay.core.model import Proof


def refuted(proofs: Iterable[Proof]) -> dict[str, Proof]:
    """For each backup id the newest failed check that no later one, as deep or deeper, has cleared."""
    failed: dict[str, Proof] = {}
    for proof in sorted(proofs, key=lambda proof: proof.at):
        held = failed.get(proof.backup_id)
        if not proof.ok:
            failed[proof.backup_id] = proof
        elif held is not None and proof.level >= held.level:
            del failed[proof.backup_id]
    return failed
