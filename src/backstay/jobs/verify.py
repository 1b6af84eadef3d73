"""Check what is in the store against the manifest, and keep the result as a proof beside the catalog."""

from datetime import timedelta

from backstay.catalog.catalog import Catalog
from backstay.core.errors import AlreadyExists, Corrupt, NotFound
from backstay.core.model import Artifact, Backup, Finding, Level, Outcome, Plan, Progress, Proof, Severity, State, Step
from backstay.core.units import format_stamp
from backstay.jobs.context import Context
from backstay.jobs.transfer import check_stored, source_of

ATTEMPTS = 60  # proofs of one target are a second apart in their names


def plan(backup: Backup, depth: Level) -> Plan:
    """What a check to ``depth`` reads."""
    deeper = (Step("parse", "decrypt, decompress, compare every count with the manifest"),)
    return Plan(
        action="verify",
        target=backup.target,
        title=f"Verify {backup.id} to level {depth.word}",
        steps=(
            Step("read", f"{len(backup.artifacts)} artifacts, sizes and sha256 against the manifest"),
            *(deeper if depth >= Level.READABLE else ()),
        ),
        details={"backup_id": backup.id, "level": depth.word},
    )


def run(context: Context, backup: Backup, depth: Level, progress: Progress) -> Outcome:
    """Read the backup to ``depth`` (STORED or READABLE); the outcome is not ok when any finding is an error.

    Raises ``CannotDecrypt``, and what the store raises when it cannot be asked at all: a check that could not run is
    an error and leaves no proof.
    """
    started = context.clock()
    catalog = context.catalogs.holding(backup)
    if depth >= Level.READABLE:
        source = source_of(context, backup, catalog.store)
        findings = list(context.tier(backup.target).verify(backup, source, depth, progress))
    else:
        findings = [stored(catalog, artifact, progress) for artifact in backup.artifacts]
    ok = all(finding.severity is not Severity.ERROR for finding in findings)
    seconds = context.clock() - started
    if backup.state is not State.FOREIGN:
        proof = Proof(backup.id, depth, ok, context.now(), seconds, tuple(findings))
        keep_proof(context, catalog, backup, proof)
    message = f"{backup.id} is {depth.word}" if ok else f"{backup.id} is NOT {depth.word}"
    return Outcome(backup.target, ok, message, seconds, tuple(findings), facts={"level": depth.word})


def keep_proof(context: Context, catalog: Catalog, backup: Backup, proof: Proof) -> None:
    """Write a proof under the first free second."""
    at = context.now()
    for attempt in range(ATTEMPTS):
        try:
            catalog.proofs.write(proof, backup.target, format_stamp(at + timedelta(seconds=attempt)))
        except AlreadyExists:
            if attempt == ATTEMPTS - 1:
                raise
        else:
            return


def stored(catalog: Catalog, artifact: Artifact, progress: Progress) -> Finding:
    """Whether what is stored of one artifact has the size and sha256 of the manifest."""
    progress.phase(f"reading {artifact.role}", total_bytes=max(0, artifact.size_bytes) or None)
    try:
        size = check_stored(catalog.store, artifact)
    except (Corrupt, NotFound) as error:
        return Finding(Severity.ERROR, error.message, error.code)
    progress.advance(size)
    words = f"{artifact.role}: {size:,} bytes, sha256 equal" if artifact.sha256 else f"{artifact.role}: {size:,} bytes"
    return Finding(Severity.OK, words, "stored")
