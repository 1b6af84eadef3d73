"""k3s and RKE2: they restore by themselves, by a cluster reset; what they leave undone when it fails is done here.

In order (k3s, pkg/etcd/etcd.go and pkg/cluster/bootstrap.go): the database is renamed to ``etcd-old-<seconds>``, the
snapshot is checked and made a new one, ``reset-flag`` is written, etcd runs alone on loopback, the bootstrap data is
opened with the token and written over ``server/tls`` and ``server/cred``; then it ends. A failure at any of these ends
it too, and nothing is put back.
"""

import os
from pathlib import Path

from backstay.core.errors import RestoreError, SnapshotDamaged, ToolError
from backstay.core.model import Finding, Severity
from backstay.tiers.etcd.controlplane import ControlPlane, Flavor
from backstay.tiers.etcd.file.survey import survey
from backstay.tiers.etcd.restore import copies
from backstay.tiers.etcd.restore.fetch import Proven
from backstay.tiers.etcd.restore.ledger import FILE
from backstay.tiers.etcd.restore.modes import PATH_WORD
from backstay.tiers.etcd.restore.services import (
    DATABASE,
    System,
    in_use,
    last_words,
    run_in,
    sync_folder,
)
from backstay.tiers.etcd.restore.settings import read_settings
from backstay.tiers.etcd.restore.work import READY, REPLACE, SHORT_LIVED, Work, wait_free

DONE = "restart without --cluster-reset flag now"  # of both wordings there were
LOG = "reset.log"
KEPT, AWAY = "kept", "replaced"
BESIDE = ("tls", "cred", "token", "agent-token")  # of ``server``: what a reset writes besides the database


class Rancher:
    """A ``Way``."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._etcd = work.plane.etcd_dir
        self._flag = work.plane.db_dir / "reset-flag"

    def is_in_place(self) -> bool:
        """The reset was seen to end well, and the database is still not the one that was live."""
        return self._work.is_done(REPLACE) and not self.is_untouched()

    def is_untouched(self) -> bool:
        """The folder that was live is where it was; where there was none, there is none."""
        live = self._work.live
        return copies.mark_of(self._etcd) == live if live else not (self._etcd / DATABASE).exists()

    def prepare(self, proven: Proven) -> None:  # noqa: ARG002 - k3s makes the database itself
        """Copy what a reset writes over; give k3s the token where it has none."""
        work, server = self._work, self._work.plane.data_dir / "server"
        if not (work.folder / KEPT).is_dir() and (not work.is_done(READY) or self.is_untouched()):
            copies.keep([server / name for name in BESIDE], work.folder / KEPT)
        if work.is_done(READY):
            return
        live = copies.mark_of(self._etcd) if (self._etcd / DATABASE).exists() else None
        with work.phase(READY) as facts:
            facts["live"] = live.as_data() if live else None
            facts["was_running"] = work.service.runs
            facts["flag"] = self._flag.exists()
            facts["token"] = work.plane.token_file.exists()

    def discard(self) -> None:
        """Nothing: what there is, is in the folder of the restore."""

    def stop(self) -> None:
        """The service, and for RKE2 the pods that it leaves running."""
        work = self._work
        work.service.stop()
        stop_pods(work.plane, work.system)

    def replace(self, proven: Proven) -> None:
        """Run the reset. Raises ``RestoreError`` when it fails, with its last words."""
        work = self._work
        if not self.is_untouched():  # an earlier reset was cut short
            self.put_back()
        self._give_token()
        log = work.folder / LOG
        settings = read_settings(work.plane, work.system)
        env = {**work.system.environment, **settings.environment}
        argv = [word.replace(PATH_WORD, str(proven.path)) for word in work.details["reset_command"]]
        try:
            code = run_in(argv, work.folder, log, deadline=work.system.patience.reset, env=env)
        except ToolError as error:
            raise RestoreError(f"the cluster reset did not end: {error.message}", hint=error.hint) from error
        if code != 0 or DONE not in log.read_text(errors="replace"):
            raise RestoreError(
                f"{Path(argv[0]).name} could not restore the snapshot (exit code {code}): {last_words(log)}",
                hint=f"All that it said is in {log}.",
            )
        stop_pods(work.plane, work.system)
        self._check(proven)

    def put_back(self) -> None:
        """The renaming comes last: before it all is to be done again, after it nothing."""
        work = self._work
        if (work.folder / KEPT).is_dir():
            copies.give_back(work.folder / KEPT, work.plane.data_dir / "server", work.folder / AWAY)
        facts = work.ledger.facts(READY)
        if not facts.get("token"):
            work.plane.token_file.unlink(missing_ok=True)
        if not facts.get("flag"):
            self._flag.unlink(missing_ok=True)
        live = work.live
        there = copies.find(live, work.plane.db_dir) if live else None
        if live and there is None:
            raise RestoreError(
                f"the database that was live is not in {work.plane.db_dir} any more",
                hint=f"Look for an etcd-old-* folder that was moved elsewhere, move it to {self._etcd} and start "
                f"{work.service.name}.",
            )
        if there != self._etcd and self._etcd.exists():
            copies.aside(self._etcd, "undone", work.stamp)
        if there and there != self._etcd:
            copies.move(there, self._etcd)

    def start(self) -> None:
        """Begin to start the service."""
        self._work.service.start()

    def was_running(self) -> bool:
        """As noted before the stop."""
        return bool(self._work.ledger.facts(READY).get("was_running"))

    def kept(self) -> str:
        """The ``etcd-old-*`` folder that k3s made."""
        live = self._work.live
        found = copies.find(live, self._work.plane.db_dir) if live else None
        return str(found) if found and found != self._etcd else ""

    def needed(self) -> tuple[str, ...]:
        """The certificates of the database that was live: it is of little use without them."""
        return (KEPT, FILE)

    def _give_token(self) -> None:
        """k3s reads ``server/token`` where no setting has it, and without either refuses to restore."""
        text, file = self._work.token(), self._work.plane.token_file
        if not self._work.details["write_token"] or file.exists() or not text:
            return
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = file.with_name("token.backstay")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as handle:
            handle.write(text + "\n")
        part.replace(file)
        sync_folder(file.parent)

    def _check(self, proven: Proven) -> None:
        """The database that the reset made holds what the snapshot does; k3s itself adds a key or two."""
        try:
            found = survey(self._etcd / DATABASE, prefix=self._work.plane.prefix.encode())
        except SnapshotDamaged as error:  # etcd itself is the judge of its own file, and is asked after the start
            words = f"the database that the reset made could not be read beside etcd: {error.message}"
            self._work.findings.append(Finding(Severity.WARNING, words, "etcd.database"))
            return
        lasting = {name: count for name, count in proven.resources.items() if name not in SHORT_LIVED}
        fewer = {name for name, count in lasting.items() if found.resources.get(name, 0) < count}
        if found.revision < proven.revision or fewer:
            raise RestoreError(
                f"the database that the reset made is at revision {found.revision}, the snapshot at {proven.revision}"
                + (f"; it has fewer {', '.join(sorted(fewer))}" if fewer else ""),
                hint="The service was not started with it.",
            )


def stop_pods(plane: ControlPlane, system: System) -> None:
    """Return when no etcd has the database open; the service is stopped. RKE2 runs etcd as a pod, which outlives the
    service, and goes on with its folder when that is renamed; RKE2's own script stops every pod of this server."""
    if plane.flavor is Flavor.RKE2 and (in_use(plane.etcd_dir) or is_astray(plane)):
        script = system.find("rke2-killall.sh", plane.bin)
        code, said = system.ask([script], deadline=system.patience.stop)
        if code != 0:
            raise RestoreError(f"rke2-killall.sh failed: {said[-500:]}", hint="etcd still runs in a pod.")
    for folder in (plane.etcd_dir, *_moved(plane)):
        wait_free(system, folder)


def is_astray(plane: ControlPlane) -> bool:
    """Whether a pod of RKE2 serves a database that was moved from under it, and not the one in its place."""
    return any(map(in_use, _moved(plane)))


def _moved(plane: ControlPlane) -> list[Path]:
    """Where such a database may be."""
    return list(plane.db_dir.glob("etcd-*")) if plane.flavor is Flavor.RKE2 else []
