"""A restore of etcd as its plan says: fetch, prove, stop, replace, start, compare; each step journalled when done.

Nothing is stopped before the snapshot is on this machine and proven. The live database is moved, never removed: a
failure puts it back, and after a kill the journal and the disk say where to go on from.
"""

from backstay.core.errors import BackstayError, Interrupted, RestoreError
from backstay.core.model import Finding, Outcome, Plan, Progress, Severity
from backstay.core.units import format_count, listed
from backstay.tiers.base import Journal, Source
from backstay.tiers.etcd.controlplane import ControlPlane
from backstay.tiers.etcd.file.trailer import check_trailer
from backstay.tiers.etcd.restore import fetch, members, preflight
from backstay.tiers.etcd.restore.fetch import UNTOUCHED, Proven
from backstay.tiers.etcd.restore.kubeadm import Kubeadm
from backstay.tiers.etcd.restore.ledger import STOP
from backstay.tiers.etcd.restore.machine import check_machine
from backstay.tiers.etcd.restore.modes import ASIDE, MANIFESTS, RESET
from backstay.tiers.etcd.restore.plain import Aside, Plain
from backstay.tiers.etcd.restore.rancher import Rancher, is_astray
from backstay.tiers.etcd.restore.services import DATABASE, System, end_left_running
from backstay.tiers.etcd.restore.settings import read_settings
from backstay.tiers.etcd.restore.work import READY, REPLACE, Way, Work, compare, healthy, wait_healthy

CUT_SHORT = "the restore was interrupted"


class Restore:
    """One run of a plan, on the machine that it is of (else ``RestoreError``). ``journal.done`` of an earlier run says
    what to skip."""

    def __init__(self, plane: ControlPlane, plan: Plan, system: System, journal: Journal, progress: Progress) -> None:
        check_machine(plane, plan, system)
        self._work = Work.of(plane, plan, system, journal, progress)
        self._mode = str(plan.details["mode"])
        self._way = _way(self._mode, self._work)
        self._has_begun = False  # to stop

    def run(self, source: Source) -> Outcome:
        """Do the steps. Raises ``RestoreError``, ``SnapshotDamaged`` and what the steps raise; the message says what
        is live. Ctrl-C becomes ``Interrupted``, which says it too."""
        try:
            return self._run(source)
        except KeyboardInterrupt:
            raise Interrupted(CUT_SHORT, hint=self._now()) from None

    def _run(self, source: Source) -> Outcome:
        work = self._work
        work.token = lambda: self._token(source)
        fetch.make_folder(work.folder)
        end_left_running(work.system, work.folder)
        if not self._way.is_in_place():
            self._put_in_place(self._prepared(source))
        proven = self._known()
        assert proven is not None, "is in place, so it was proven"  # noqa: S101 - a mistake in this program
        if self._mode == ASIDE:
            return self._finished(proven)
        with work.phase("start"):
            self._way.start()
        if self._wait(proven):
            with work.phase("compare"):
                work.findings += compare(work, proven)
        return self._finished(proven)

    def undo(self) -> Outcome:
        """Back to before the restore. What was restored is moved aside; only the fetched snapshot is removed."""
        work, way = self._work, self._way
        started = work.system.clock()
        end_left_running(work.system, work.folder)
        state = "nothing had been stopped"
        if work.is_done(READY):
            untouched = way.is_untouched()
            if not untouched:
                self._require_alone()
            if not untouched or is_astray(work.plane):
                way.stop()
            if not untouched:
                way.put_back()
            state = "it did not run before and was not started"
            if way.was_running():
                way.start()
                waited = work.system.wait_until(
                    lambda: healthy(work.plane, work.system) is not None, work.system.patience.undo
                )
                state = "etcd answers" if waited else self._quiet()
        way.discard()
        work.tidy()
        message = f"{work.plan.target} is as it was before the restore: {state}"
        return Outcome(work.plan.target, ok=True, message=message, duration_seconds=work.system.clock() - started)

    def _prepared(self, source: Source) -> Proven:
        """Everything before the stop. A failure here leaves nothing behind."""
        work = self._work
        try:
            self._check_again()
            proven = self._proven(source)
            self._require_others_down(proven)
            self._way.prepare(proven)
        except BaseException as error:
            if not work.is_done(STOP):
                self._way.discard()
                work.tidy()
                if isinstance(error, BackstayError) and "Nothing was" not in error.hint:
                    error.hint = f"{error.hint} {UNTOUCHED}".strip()
            raise
        return proven

    def _check_again(self) -> None:
        """What may have changed since the plan was made, which may be days ago for one that is resumed."""
        work = self._work
        preflight.check_root(work.system)
        if work.plane.is_rancher:
            preflight.check_settings(work.plane, read_settings(work.plane, work.system))

    def _proven(self, source: Source) -> Proven:
        work, by = self._work, self._work.details.get("bump_revision")
        known = self._known()
        if known is not None and known.path.is_file():
            check_trailer(known.path)
            return known
        with work.phase("fetch", fetch.size_of(source.backup)):
            path = fetch.fetch(source, work.folder, work.progress)
        with work.phase("check", 2 * path.stat().st_size) as facts:
            proven = fetch.prove(path, source.backup, work.plane, work.token(), work.progress)
            facts.update(proven.facts())
        if by:
            with work.phase("bump") as facts:
                proven = fetch.bump(proven, int(by), source.backup, work.plane)
                facts.update(proven.facts())
        return proven

    def _token(self, source: Source) -> str:
        """The server token of k3s or RKE2, from this machine or from the backup; empty elsewhere."""
        work = self._work
        if not work.plane.is_rancher:
            return ""
        settings = read_settings(work.plane, work.system)
        return preflight.check_token(work.plane, settings, source.backup).text or preflight.token_in(source)

    def _known(self) -> Proven | None:
        """What this run or an earlier one found of the snapshot."""
        step = "bump" if self._work.details.get("bump_revision") else "check"
        return Proven.of(self._work.folder, self._work.ledger.facts(step))

    def _require_others_down(self, proven: Proven) -> None:
        """Other members that are up would go on with the old state beside the restored one."""
        if self._mode == ASIDE:
            return
        work = self._work
        named = {*members.from_data(work.details["others"])}
        named |= {*members.others_in(fetch.members_in(proven.path), work.plane)}
        made = members.Made.from_data(work.details.get("made"))
        up = members.answering(named, work.plane, work.system, made)
        if up:
            raise RestoreError(
                f"etcd still answers on {listed(up)}, and would go on with the old state beside the restored one",
                hint=f"Stop it on {listed(up)} first: {work.details['stop_others']}. Then run this again.",
            )

    def _require_alone(self) -> None:
        """Servers that joined the restored cluster, and are up, would take the old database for a part of it."""
        work, database = self._work, self._work.plane.etcd_dir / DATABASE
        if self._mode != RESET or not work.is_done(REPLACE) or not database.exists():
            return
        live = members.look(work.plane, work.system)
        joined = live.others if live.status else members.others_in(fetch.members_in(database), work.plane)
        if up := members.answering(joined, work.plane, work.system):
            raise RestoreError(
                f"{listed(up)} joined the restored cluster, and would take the old database for a part of it",
                hint=f"Run `backstay etcd rejoin --rollback` on {listed(up)} first, then this again. Nothing was "
                "changed.",
            )

    def _put_in_place(self, proven: Proven) -> None:
        """From the stop to the restored database in place. A failure puts the live one back and starts it again."""
        work, way = self._work, self._way
        if self._mode == ASIDE:
            way.replace(proven)
            return
        self._has_begun = True
        try:
            with work.phase(STOP):
                way.stop()
            with work.phase(REPLACE) as facts:
                way.replace(proven)
                facts["kept"] = way.kept()
        except KeyboardInterrupt:
            error = Interrupted(CUT_SHORT)
            self._back(error)
            raise error from None
        except BaseException as error:
            self._back(error)
            raise

    def _back(self, error: BaseException) -> None:
        """Undo what was done since the stop, and say in ``error`` what is live now."""
        work, way = self._work, self._way
        try:
            end_left_running(work.system, work.folder)
            if not way.is_untouched():
                way.stop()
                way.put_back()
            if way.was_running():
                way.start()
            begun = "and is being started again" if way.was_running() else "and did not run before"
            now = f"The database that was live is in its place {begun}; `--rollback` closes this restore."
        except BackstayError as second:
            where = way.kept() or "in its place"
            now = (
                f"The database that was live is {where}, but was not started again: {second.message}. Run `--rollback`."
            )
        if isinstance(error, BackstayError):
            error.hint = f"{error.hint} {now}".strip()

    def _now(self) -> str:
        """What is live after Ctrl-C where nothing else said it: before the stop, while what was live was put back, or
        once the restored database was in place."""
        work, way = self._work, self._way
        if self._mode == ASIDE:
            return f"{UNTOUCHED} `--resume` goes on, `--rollback` closes this restore."
        service = "the control plane" if self._mode == MANIFESTS else str(work.details["service"])
        if way.is_in_place():
            started = f"{service} was started with it" if work.is_done("start") else f"{service} may not run yet"
            return f"The restored database is in place, {started}. `--resume` goes on, `--rollback` undoes it."
        if not self._has_begun and not work.is_done(STOP):
            return f"{UNTOUCHED} Run it again when you like."
        where = "in its place" if way.is_untouched() else way.kept() or "beside its place"
        return (
            f"The database that was live is {where}, and {service} may not run. Run `--rollback`: it puts the database "
            "back and starts it."
        )

    def _wait(self, proven: Proven) -> bool:
        """Whether etcd answers with the restored state. Of several members one alone does not answer yet."""
        work = self._work
        with work.phase("wait"):
            if int(work.details.get("initial_members", 1)) > 1:
                if work.system.wait_until(
                    lambda: healthy(work.plane, work.system) is not None, work.system.patience.majority
                ):
                    return True
                words = "this member answers once a majority of the members was restored from the same snapshot"
                work.findings.append(Finding(Severity.WARNING, words, "etcd.majority"))
                return False
            patience = work.system.patience.start
            wait_healthy(work, proven.revision, patience, by_service=self._mode != MANIFESTS)
        return True

    def _finished(self, proven: Proven) -> Outcome:
        work, kept = self._work, str(self._work.ledger.facts(REPLACE).get("kept", ""))
        findings = (*work.findings, *work.ledger.findings)
        self._way.discard()
        work.tidy(keep=self._way.needed())
        return Outcome(
            target=work.plan.target,
            ok=not any(finding.severity is Severity.ERROR for finding in findings),
            message=self._summary(proven, kept),
            duration_seconds=sum(work.phases.values()),
            findings=findings,
            phases=work.phases,
            facts={"revision": proven.revision, "kept": kept, "data_dir": str(work.details["into"])},
        )

    def _summary(self, proven: Proven, kept: str) -> str:
        details = self._work.details
        where = f"restored into {details['into']}" if self._mode == ASIDE else "restored"
        parts = [f"{self._work.plan.target} {where}, at revision {format_count(proven.revision)}"]
        parts += [f"the database that was live is kept as {kept}"] if kept else []
        nodes = [other.node for other in members.from_data(details["others"])]
        if nodes and self._mode == RESET:
            parts.append(f"now on {listed(nodes)}: `backstay etcd rejoin`, one after the other")
        elif nodes and self._mode != ASIDE:
            parts.append(f"now restore the same snapshot on {listed(nodes)}")
        return "; ".join(parts)

    def _quiet(self) -> str:
        others = [other.node for other in members.from_data(self._work.details["others"])]
        needed = f", and needs {listed(others)} for a majority" if others else ""
        return f"it was started again, but etcd does not answer yet{needed}"


def _way(mode: str, work: Work) -> Way:
    if mode == RESET:
        return Rancher(work)
    if mode == MANIFESTS:
        return Kubeadm(work)
    return Aside(work) if mode == ASIDE else Plain(work)
