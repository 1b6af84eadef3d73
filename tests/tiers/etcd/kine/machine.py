"""A machine in a scratch folder with k3s on SQLite: services and programs are stand-ins, the databases are real."""

import json
import os
import pickle
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from backstay.core.model import NoProgress
from backstay.tiers.base import RestoreRequest, ScratchJournal
from backstay.tiers.etcd.kine.restore import Restore
from backstay.tiers.etcd.kine.restoreplan import plan
from tests.tiers.etcd.kine.kine import Kine, lasting, state
from tests.tiers.etcd.kine.standin_k3s import Server
from tests.tiers.etcd.kine.stored import VERSION, MemorySource, fill, take
from tests.tiers.etcd.restore import machine as etcd_machine
from tests.tiers.etcd.restore.machine import NOW, STAMP, unit

ROOT = Path(__file__).parents[4]
TOKEN = "correct-horse-battery"
CHANGED = "cred/passwd"  # what is in the database too
ONLY_IN_THE_LOG = "/registry/configmaps/shop-0/only-in-the-log"


@dataclass
class Machine(etcd_machine.Machine):
    """See ``restore.machine``; the database is in the place of the etcd."""

    @property
    def server(self) -> Path:
        return self.data / "server"

    @property
    def database(self) -> Path:
        return self.plane.sqlite_file

    def version(self, said: str) -> None:
        script = self.root / "bin/k3s"
        words = f"STANDIN_VERSION={said} PYTHONPATH={ROOT} exec {sys.executable} -m tests.tiers.etcd.kine.standin_k3s"
        script.write_text(f'#!/bin/sh\n{words} "$@"\n')
        script.chmod(0o755)

    def wait_healthy(self) -> None:
        """Up, and at work on the database."""
        at, seen = time.monotonic() + 20, set()
        while len(seen - {b""}) < 2:
            assert time.monotonic() < at, self.words()
            if self.is_active() and self.database.exists():
                seen.add(self.beat())
            time.sleep(0.02)

    def beat(self) -> bytes:
        try:
            return state(self.database).get("/registry/leases/kube-node-lease/server-1", (0, b""))[1]
        except Exception:  # noqa: BLE001 - it has only begun
            return b""

    def started(self) -> "Machine":
        self.systemctl("start", self.service)
        self.wait_healthy()
        return self

    def tell(self, **more) -> None:
        (self.data / "standin.json").write_text(json.dumps(more))

    def names(self) -> list[str]:
        """What is in the folder of the database but for its log and index."""
        return sorted(
            path.name for path in self.plane.db_dir.iterdir() if path.name not in {"state.db-wal", "state.db-shm"}
        )


def installed(root: Path) -> Machine:
    """k3s is installed there, and not started."""
    made = Machine(root, "server-1")
    (root / "bin").mkdir(parents=True)
    (root / "spool").mkdir()
    made.server.mkdir(parents=True)
    systemctl = root / "bin/systemctl"
    systemctl.write_text(f'#!/bin/sh\nexec {sys.executable} {etcd_machine.HERE}/standin_systemctl.py "$@"\n')
    systemctl.chmod(0o755)
    made.version(VERSION)
    made.configure(token=TOKEN)
    config = root / "etc/rancher/k3s/config.yaml"
    unit(made, "k3s", f"{root}/bin/k3s server --data-dir {made.data} --config {config}")
    return made


def stocked(root: Path) -> Machine:
    """It runs, with a small cluster in it."""
    made = installed(root)
    made.plane.db_dir.mkdir(mode=0o700)
    kine = Kine(made.database)
    Server(made.data, made.config).first_start(kine)
    fill(kine, count=40, password=None)
    kine.close()
    return made.started()


def move_on(machine: Machine) -> None:
    """Time passes: objects are written and deleted, and a file changes that is in the database too."""
    kine = Kine(machine.database)
    for number in range(1, 10):
        kine.delete(f"/registry/configmaps/shop-{number % 5}/cm-{number:08d}")
    for number in range(20):
        kine.put(f"/registry/configmaps/shop-0/later-{number}", b"later")
    path = machine.server / CHANGED
    path.write_text("changed since the backup\n")
    os.utime(path, (time.time() + 60, time.time() + 60))
    Server(machine.data, machine.config).save(kine)
    kine.close()


def made_dirty(machine: Machine) -> None:
    """From now on it ends as if it were killed, with a row that is in the log alone."""
    machine.systemctl("stop", machine.service)
    machine.tell(dirty=True)
    machine.started()
    kine = Kine(machine.database)
    kine.put(ONLY_IN_THE_LOG, b"here")
    kine.close()


def backed_up(machine: Machine) -> MemorySource:
    """A backup of what is there now."""
    machine.token = TOKEN
    return take(machine.plane)


def plan_of(machine: Machine, source: MemorySource, **options):
    """The plan on this machine."""
    return plan(machine.plane, source.backup, RestoreRequest(stamp=STAMP, now=NOW, options=options), machine.system)


def restoring(machine: Machine, source: MemorySource, journal=None, made=None) -> Restore:
    """A restore of it that has not begun."""
    made = made or plan_of(machine, source)
    return Restore(machine.plane, made, machine.system, journal or ScratchJournal(), NoProgress())


def save(machine: Machine, source: MemorySource, folder: Path) -> None:
    """For a process of its own."""
    folder.mkdir(exist_ok=True)
    machine.save()
    (folder / "source").write_bytes(pickle.dumps(source))


def run_killed(machine: Machine, source: MemorySource, at: str, when: str, journal: Path, verb: str = "run") -> int:
    """Restore in a process of its own that is killed at a place; its exit code, negative for a signal."""
    folder = machine.root / "killed"
    save(machine, source, folder)
    words = [sys.executable, "-m", "tests.tiers.etcd.kine.killed", verb, machine.root, folder, at, when, journal]
    return subprocess.run([str(word) for word in words], cwd=ROOT, timeout=120).returncode


def objects(path: Path):
    """What a cluster is, without what comes and goes by itself."""
    return {name: row for name, row in lasting(path).items() if not name.startswith("/registry/leases/")}
