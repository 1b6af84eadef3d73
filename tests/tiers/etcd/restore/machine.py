"""A machine in a scratch folder: its programs, units, services and data; etcd is real, k3s and systemctl stand-ins."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from backstay.cluster.processes import free_ports
from backstay.core.errors import Corrupt
from backstay.core.model import Artifact, Backup, NoProgress, State, Target, TierKind
from backstay.tiers.base import RestoreRequest, ScratchJournal
from backstay.tiers.etcd.api.client import EtcdClient
from backstay.tiers.etcd.controlplane import ControlPlane, Flavor, TlsFiles
from backstay.tiers.etcd.file.survey import survey
from backstay.tiers.etcd.restore.plan import plan_restore
from backstay.tiers.etcd.restore.run import Restore
from backstay.tiers.etcd.restore.services import Patience, System
from tests.fixtures.etcd import program

HERE = Path(__file__).parent
VERSION = "v1.31.4+k3s1"
TOKEN = "correct-horse-battery"
STAMP = "20261126-030000"
NOW = datetime(2026, 11, 26, 3, tzinfo=UTC)
TAKEN = datetime(2026, 11, 25, 22, tzinfo=UTC)
QUICK = Patience(stop=30, reset=60, start=40, majority=1.0, undo=20, answer=2, poll=0.1, program=30)


@dataclass
class Machine:
    """One server. ``root`` is its file system; ``state`` of the services is asked of the stand-in systemctl."""

    root: Path
    node: str
    flavor: Flavor = Flavor.K3S
    client: int = 0
    peer: int = 0
    service: str = "k3s"
    patience: Patience = QUICK
    token: str | None = None
    tls: TlsFiles | None = None
    unit_flags: str = ""
    free: int | None = None  # bytes that the disk is said to have
    euid: int = 0
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.root / "var/lib" / ("rancher/k3s" if self.flavor in {Flavor.K3S, Flavor.RKE2} else "etcd")

    @property
    def endpoint(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.client}"

    @property
    def plane(self) -> ControlPlane:
        return ControlPlane(
            name="control-plane",
            flavor=self.flavor,
            node=self.node,
            endpoints=(self.endpoint,),
            data_dir=self.data,
            spool=self.root / "spool",
            tls=self.tls,
            token=lambda: self.token,
            bin=str(self.root / "bin"),
            config_dir=self.root / "etc/rancher/k3s",
            service=self.service,
        )

    @property
    def system(self) -> System:
        env = {"PATH": f"{self.root / 'bin'}:/usr/bin:/bin", "STANDIN_ROOT": str(self.root)}
        system = System(
            root=self.root, hostname=self.node, environment=env, patience=self.patience, euid=lambda: self.euid
        )
        return system if self.free is None else replace(system, free_bytes=lambda _: self.free)

    def ask_client(self) -> EtcdClient:
        return EtcdClient(self.endpoint, self.tls)

    def systemctl(self, *words: str) -> str:
        return self.system.ask(["systemctl", *words])[1]

    def is_active(self) -> bool:
        return self.systemctl("is-active", self.service) == "active"

    def started(self) -> "Machine":
        self.systemctl("start", self.service)
        self.wait_healthy()
        if self.plane.is_rancher:
            with self.ask_client() as client:
                assert self.system.wait_until(lambda: client.count(b"/bootstrap/") > 0, 20), self.words()
        return self

    def wait_healthy(self) -> None:
        from backstay.tiers.etcd.restore.work import healthy

        assert self.system.wait_until(lambda: healthy(self.plane, self.system) is not None, 40), self.words()

    def words(self) -> str:
        log = self.root / f"run/{self.service}.log"
        return log.read_text(errors="replace")[-3000:] if log.exists() else ""

    def asked(self) -> list[str]:
        """What systemctl was asked to do, without the questions."""
        log = self.root / "run/systemctl.log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [line for line in lines if not line.startswith("is-active")]

    def tell(self, **more: Any) -> None:
        """Change how the stand-in k3s behaves."""
        path = self.data / "standin.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **more}))

    def configure(self, **settings: Any) -> None:
        """Write config.yaml; underscores are dashes; None takes a setting out."""
        self.config |= {name.replace("_", "-"): value for name, value in settings.items()}
        self.config = {name: value for name, value in self.config.items() if value is not None}
        path = self.root / "etc/rancher/k3s/config.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(self.config))

    def version(self, said: str) -> None:
        """Which k3s is installed."""
        name = "rke2" if self.flavor is Flavor.RKE2 else "k3s"
        _script(
            self.root / "bin" / name,
            f"STANDIN_NAME={name} STANDIN_VERSION={said} exec {sys.executable} {HERE}/standin_k3s.py",
        )

    def save(self) -> Path:
        """For a process of its own."""
        path = self.root / "machine.json"
        kept = {name: getattr(self, name) for name in ("node", "client", "peer", "service", "token", "unit_flags")}
        path.write_text(json.dumps({**kept, "root": str(self.root), "flavor": self.flavor.value}))
        return path

    @classmethod
    def load(cls, path: Path) -> "Machine":
        found = json.loads(path.read_text())
        return cls(**{**found, "root": Path(found["root"]), "flavor": Flavor(found["flavor"])})


def k3s(root: Path, node: str = "server-1", **config: Any) -> Machine:
    """A server with k3s installed, and not started."""
    client, peer = free_ports(2)
    rke2 = config.pop("rke2", False)
    machine = Machine(root, node, client=client, peer=peer, flavor=Flavor.RKE2 if rke2 else Flavor.K3S)
    machine.service = "rke2-server" if rke2 else "k3s"
    base(machine)
    machine.version(VERSION)
    tls = machine.data / "server/tls"
    tls.mkdir(parents=True)
    (tls / "server-ca.crt").write_text(f"a certificate of {node}\n")
    told = {name: str(program(name)) for name in ("etcd", "etcdctl", "etcdutl")}
    (machine.data / "standin.json").write_text(json.dumps({**told, "node": node, "client": client, "peer": peer}))
    machine.configure(token=TOKEN, **config)
    name = "rke2" if rke2 else "k3s"
    command = f"{root}/bin/{name} server --data-dir {machine.data} --config {root}/etc/rancher/k3s/config.yaml"
    unit(machine, machine.service, f"{command} {machine.unit_flags}")
    return machine


def plain(
    root: Path, name: str = "m0", cluster: Mapping[str, str] | None = None, ports: tuple[int, int] | None = None
) -> Machine:
    """A member of etcd as a service, not started; ``cluster`` is name to peer URL of all."""
    client, peer = ports or tuple(free_ports(2))
    machine = Machine(root, name, Flavor.ETCD, client, peer, service="etcd")
    base(machine)
    url = f"http://127.0.0.1:{peer}"
    initial = ",".join(f"{name}={url}" for name, url in (cluster or {name: url}).items())
    unit(machine, "etcd", " ".join(etcd_command(machine, initial)))
    default = root / "etc/default/etcd"
    default.parent.mkdir(parents=True)
    default.write_text(f'ETCD_NAME="{name}"\nETCD_INITIAL_ADVERTISE_PEER_URLS="{url}"\n')
    return machine


def etcd_command(machine: Machine, initial: str) -> list[str]:
    flags = {"data-dir": machine.data, "name": machine.node, "initial-cluster": initial}
    flags |= dict.fromkeys(("listen-client-urls", "advertise-client-urls"), machine.endpoint)
    flags |= dict.fromkeys(("listen-peer-urls", "initial-advertise-peer-urls"), f"http://127.0.0.1:{machine.peer}")
    flags |= {"heartbeat-interval": 50, "election-timeout": 250, "unsafe-no-fsync": "true", "log-level": "error"}
    return [str(program("etcd")), *(f"--{name}={value}" for name, value in flags.items())]


def base(machine: Machine) -> None:
    (machine.root / "bin").mkdir(parents=True)
    (machine.root / "spool").mkdir()
    machine.data.parent.mkdir(parents=True)
    _script(machine.root / "bin/systemctl", f"exec {sys.executable} {HERE}/standin_systemctl.py")
    (machine.root / "bin/etcdutl").symlink_to(program("etcdutl"))


def unit(machine: Machine, name: str, command: str) -> None:
    path = machine.root / f"etc/systemd/system/{name}.service"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"[Service]\nType=notify\nEnvironmentFile=-/etc/systemd/system/{name}.service.env\nExecStart={command}\n"
    )


@contextmanager
def stopping(*machines: Machine) -> Iterator[None]:
    """Whatever happens, nothing of these runs afterwards."""
    try:
        yield
    finally:
        for machine in machines:
            (machine.root / "stop-fails").unlink(missing_ok=True)
            machine.systemctl("stop", machine.service)


@dataclass(frozen=True)
class FileSource:
    """A backup whose snapshot is a file; ``extra`` are further artifacts."""

    backup: Backup
    path: Path
    extra: Mapping[str, bytes] = field(default_factory=dict)

    @contextmanager
    def open(self, role: str) -> Iterator[Iterator[bytes]]:
        yield self._chunks() if role == "snapshot" else iter([self.extra[role]])

    def _chunks(self) -> Iterator[bytes]:
        digest, wanted = hashlib.sha256(), self.backup.artifact("snapshot")
        with self.path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
                yield chunk
        if wanted.plain_sha256 and digest.hexdigest() != wanted.plain_sha256:
            raise Corrupt("the snapshot is not what was stored")


def take(machine: Machine, path: Path, **changes: Any) -> FileSource:
    """A backup of what runs there now, as the tier makes it; ``changes`` replace what the manifest says."""
    with machine.ask_client() as client:
        path.write_bytes(b"".join(client.snapshot()))
        status, members = client.status(), client.members()
    found = survey(path)
    contents = {
        name: getattr(found, name) for name in ("revision", "compact_revision", "hash_kv", "keys", "size_bytes")
    }
    contents |= {"resources": dict(found.resources)}
    if found.bootstrap_keys:
        contents |= {"token_hash": found.bootstrap_keys[0].removeprefix("/bootstrap/")}
    source = {
        "server_version": status.version,
        "kubernetes_version": VERSION if machine.flavor is Flavor.K3S else "",
        "node": machine.node,
        "cluster_id": f"{status.cluster_id:x}",
        "members": [
            {
                "name": m.name,
                "peer_urls": list(m.peer_urls),
                "client_urls": list(m.client_urls),
                "learner": m.is_learner,
            }
            for m in members
        ],
    }
    return FileSource(_backup(path, {**source, **changes.pop("source", {})}, {**contents, **changes}), path)


def _backup(path: Path, source: Mapping[str, Any], contents: Mapping[str, Any]) -> Backup:
    data = path.read_bytes()
    artifact = Artifact("snapshot", "etcd-snapshots/x", len(data), "", len(data), hashlib.sha256(data).hexdigest())
    return Backup(
        target=Target(TierKind.ETCD, "control-plane"),
        stamp="20261125-220000",
        cluster="homelab",
        state=State.COMPLETE,
        started_at=TAKEN,
        finished_at=TAKEN,
        point_in_time=TAKEN,
        artifacts=(artifact,),
        source=source,
        contents=contents,
    )


def foreign(source: FileSource) -> FileSource:
    """The same snapshot as one that k3s took by itself: nothing is known of it."""
    artifact = source.backup.artifact("snapshot")
    artifact = replace(artifact, plain_size_bytes=-1, plain_sha256="")
    nothing = {"source": {}, "contents": {}, "point_in_time": None}
    return replace(source, backup=replace(source.backup, state=State.FOREIGN, artifacts=(artifact,), **nothing))


def plan_of(machine: Machine, source: FileSource, **options: Any) -> Any:
    """The plan on this machine."""
    request = RestoreRequest(stamp=STAMP, now=NOW, options=options)
    return plan_restore(machine.plane, source.backup, request, machine.system)


def restore(machine: Machine, source: FileSource, journal: Any = None, **options: Any) -> Any:
    """Plan it and do it."""
    plan = plan_of(machine, source, **options)
    return Restore(machine.plane, plan, machine.system, journal or ScratchJournal(), NoProgress()).run(source)


def keys(machine: Machine) -> dict[bytes, bytes]:
    """All that Kubernetes has in the etcd of this machine."""
    with machine.ask_client() as client:
        return {item.key: item.value for item in client.range(b"/registry/")}


def save_source(source: FileSource, folder: Path) -> None:
    """For a process of its own."""
    folder.mkdir(exist_ok=True)
    shutil.copy2(source.path, folder / "snapshot")
    kept = {"source": dict(source.backup.source), "contents": dict(source.backup.contents)}
    (folder / "source.json").write_text(json.dumps(kept))


def load_source(folder: Path) -> FileSource:
    """What ``save_source`` saved."""
    found = json.loads((folder / "source.json").read_text())
    return FileSource(_backup(folder / "snapshot", found["source"], found["contents"]), folder / "snapshot")


def run_killed(machine: Machine, source: FileSource, at: str, when: str, journal: Path, verb: str = "run") -> int:
    """Restore in a process of its own, which is killed before or after it records step ``at``; its exit code."""
    folder = machine.root / "killed"
    save_source(source, folder)
    return killed_process(verb, str(machine.save()), str(folder), at, when, str(journal))


def killed_process(*words: str) -> int:
    """Run ``tests.tiers.etcd.restore.killed``; its exit code, negative for a signal."""
    command = [sys.executable, "-m", "tests.tiers.etcd.restore.killed", *words]
    return subprocess.run(command, cwd=HERE.parents[3], timeout=120).returncode


def _script(path: Path, command: str) -> None:
    path.write_text(f'#!/bin/sh\n{command} "$@"\n')
    path.chmod(0o755)
