"""A restore of objects as its plan says: wave after wave, each journalled when it is done.

Every wave can be done again: what exists and is the same counts as it is, what this restore has made is known by its
mark. So one that was killed anywhere goes on to the same end.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from backstay.cluster.base import Cluster
from backstay.core.errors import ClusterUnreachable, Interrupted, RestoreError
from backstay.core.model import Finding, Outcome, Plan, Progress, Severity
from backstay.core.units import counted, format_duration
from backstay.tiers.base import Journal, Source
from backstay.tiers.objects.archive.spooled import Spooled, spooled
from backstay.tiers.objects.change.transform import Transform
from backstay.tiers.objects.restore.chosen import Chosen
from backstay.tiers.objects.restore.existing import Existing
from backstay.tiers.objects.restore.namespaces import Namespaces
from backstay.tiers.objects.restore.order import waves
from backstay.tiers.objects.restore.owners import Known, Owners
from backstay.tiers.objects.restore.parallel import THREADS
from backstay.tiers.objects.restore.patience import Patience
from backstay.tiers.objects.restore.put import Putter
from backstay.tiers.objects.restore.ready import Waiting
from backstay.tiers.objects.restore.request import Policy, options_of
from backstay.tiers.objects.restore.served import Served
from backstay.tiers.objects.restore.tally import TOLD, Fate, Tally
from backstay.tiers.objects.restore.wave import Waves
from backstay.tiers.objects.settings import World

ROLE = "objects"
STEP = "restore "  # before the name of a wave, in a journal
OWNERS = "owners"


class Restore:
    """One run of a plan. ``journal.done`` of an earlier run says which waves to skip."""

    def __init__(
        self,
        world: World,
        plan: Plan,
        journal: Journal,
        progress: Progress,
        *,
        patience: Patience | None = None,
        threads: int = THREADS,
    ) -> None:
        self._world = world
        self._plan = plan
        self._journal = journal
        self._progress = progress
        self._patience = patience or Patience()
        self._threads = threads
        self._options = options_of(plan.details["options"])
        self._stamp = str(plan.details["stamp"])
        self._phases: dict[str, float] = {}
        self._total = Tally()

    def run(self, source: Source) -> Outcome:
        """Do the waves. The outcome is not ok when an object failed. Raises what reading the backup raises, and
        ``RestoreError`` when the API server goes away; the message says how far it came."""
        try:
            with self._fetched(source) as archive:
                return self._run(archive)
        except KeyboardInterrupt:
            raise Interrupted("the restore was interrupted", hint=self._how_far()) from None
        except ClusterUnreachable as error:
            raise RestoreError(
                f"{self._plan.target}: the cluster went away during the restore: {error.message}",
                hint=f"{self._how_far()} {error.hint}".strip(),
            ) from error

    @contextmanager
    def _fetched(self, source: Source) -> Iterator[Spooled]:
        artifact = source.backup.artifact(ROLE)
        total = artifact.plain_size_bytes if artifact and artifact.plain_size_bytes > 0 else None
        self._progress.phase("fetching", total_bytes=total)
        self._world.spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        started = self._patience.clock()
        with source.open(ROLE) as chunks, spooled(self._seen(chunks), self._world.spool) as archive:
            self._phases["fetch"] = self._patience.clock() - started
            yield archive

    def _seen(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._progress.advance(len(chunk))
            yield chunk

    def _run(self, archive: Spooled) -> Outcome:
        cluster = self._world.cluster()
        work = self._waves(cluster, archive)
        owned: set[str] = set()
        with self._timed("restore"):
            for wave in waves(work.chosen.resources()):
                step = f"{STEP}{wave.name}"
                facts = self._journal.done.get(step)
                if facts is None:
                    facts = work.do(wave)
                    self._journal.record(step, **facts)
                self._total.add_facts(facts)
                owned |= set(facts["owned"])
        findings = [*self._total.findings()]
        with self._timed(OWNERS):
            findings += self._owners(cluster, work, sorted(owned))
        with self._timed("wait"):
            findings += self._wait(cluster, work)
        return self._outcome(findings)

    def _waves(self, cluster: Cluster, archive: Spooled) -> Waves:
        served = Served(cluster)
        chosen = Chosen(self._options, archive, served.kinds)
        transform = Transform(self._options, chosen, self._stamp)
        existing = Existing(cluster, self._options.existing, self._stamp, self._patience)
        namespaces = Namespaces(cluster, existing, chosen, transform, self._stamp)
        putter = Putter(cluster, existing, self._patience)
        known = Known(cluster, served, self._stamp)
        return Waves(cluster, chosen, served, transform, namespaces, putter, known, self._progress, self._threads)

    def _owners(self, cluster: Cluster, work: Waves, kinds: list[str]) -> list[Finding]:
        new = self._kinds_made() if self._options.existing is Policy.RECREATE else set()
        if not (kinds or new) or OWNERS in self._journal.done:
            return []
        self._progress.phase("giving owners back")
        namespaces = self._options.namespace_map
        known = Known(cluster, work.served, self._stamp)  # anew: what was missing may be there by now
        owners = Owners(cluster, work.chosen, work.served, known, self._stamp, namespaces)
        owners.give_back(kinds)
        if new:
            owners.give_to_new(new)
        self._journal.record(OWNERS, given=owners.given)
        return owners.findings

    def _kinds_made(self) -> set[str]:
        """Kinds of which an object may have been deleted to be made again: in a run before, it may count as created."""
        fates = (Fate.RECREATED.value, Fate.CREATED.value)
        return {kind for kind, counts in self._total.kinds.items() if any(counts.get(fate) for fate in fates)}

    def _wait(self, cluster: Cluster, work: Waves) -> list[Finding]:
        seconds = self._options.wait_seconds
        if not seconds:
            return []
        self._progress.phase("waiting for workloads")
        waiting = Waiting(cluster, work.served, self._stamp, self._patience, frozenset(work.others))
        total, missing = waiting.wait(seconds)
        took = format_duration(seconds)
        found = [
            Finding(Severity.ERROR, f"{one.what} is not ready after {took}: {one.reason}", "restore.not_ready")
            for one in missing[:TOLD]
        ]
        if more := len(missing) - len(found):
            found.append(Finding(Severity.ERROR, f"and {more:,} more that are not ready", "restore.not_ready"))
        ready = f"{total - len(missing):,} of {counted(total, 'workload')} and claims ready"
        return [*found, Finding(Severity.OK if not missing else Severity.WARNING, ready, "restore.ready")]

    def _outcome(self, findings: list[Finding]) -> Outcome:
        return Outcome(
            target=self._plan.target,
            ok=not any(finding.severity is Severity.ERROR for finding in findings),
            message=f"{self._plan.target} restored: {self._total.words()}",
            duration_seconds=sum(self._phases.values()),
            findings=tuple(findings),
            phases=self._phases,
            facts={
                **{fate.value: self._total.of(fate) for fate in Fate},
                "kinds": {name: dict(counts) for name, counts in sorted(self._total.kinds.items())},
            },
        )

    def _how_far(self) -> str:
        done = sum(step.startswith(STEP) for step in self._journal.done)
        return f"{counted(done, 'wave')} done; objects made so far stay. `--resume` goes on from there."

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        started = self._patience.clock()
        yield
        self._phases[phase] = self._patience.clock() - started
