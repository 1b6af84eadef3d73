"""A stand-in for k3s on SQLite: only the part that keeps the database and the files that are in it too.

It runs no Kubernetes. What it does at its start is what k3s does (pkg/cluster/managed.go, bootstrap.go and storage.go;
kine, pkg/drivers/sqlite): etcd where there is one on the disk, else the token against the bootstrap data, the files on
the disk against those of the data, refused where they are newer, the database in WAL mode, VACUUM. Then it writes a
lease now and then, until SIGTERM. Where it is to fail is in ``standin.json`` in the data folder.

    k3s --version
    k3s server --data-dir D --config C
"""

import base64
import hashlib
import json
import os
import secrets
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import yaml

from tests.tiers.etcd.kine.kine import Kine, state
from tests.tiers.etcd.restore.standin_k3s import closed, opened

PATHS = {
    "ServerCA": "tls/server-ca.crt",
    "ServerCAKey": "tls/server-ca.key",
    "PasswdFile": "cred/passwd",
    "EncryptionConfig": "cred/encryption-config.json",
}
SKEW = 3
BEAT = 0.02


def main(words):
    if words == ["--version"]:
        print(f"k3s version {os.environ['STANDIN_VERSION']} (0123abcd)\ngo version go1.22.9")
        return
    flags = dict(zip(words[1::2], words[2::2], strict=True))
    Server(Path(flags["--data-dir"]), yaml.safe_load(Path(flags["--config"]).read_text()) or {}).run()


def fatal(message):
    print(f'time="now" level=fatal msg="{message}"', file=sys.stderr, flush=True)
    raise SystemExit(1)


class Server:
    def __init__(self, data, settings):
        self.server, self.settings = data / "server", settings
        told = data / "standin.json"
        self.told = json.loads(told.read_text()) if told.exists() else {}

    def run(self):
        if (self.server / "db/etcd/member").exists():
            fatal("it would run etcd")
        if self.told.get("fail"):
            fatal("it was told to fail")
        (self.server / "db").mkdir(mode=0o700, parents=True, exist_ok=True)
        path, running = self.server / "db/state.db", [True]
        if path.exists():
            self.reconcile(path)
        kine = Kine(path)
        signal.signal(signal.SIGTERM, lambda *_: running.clear())
        kine.database.execute("VACUUM")
        if not self.found(path):
            self.first_start(kine)
        while running:
            kine.put("/registry/leases/kube-node-lease/server-1", str(time.time()).encode())
            time.sleep(BEAT)
        if not self.told.get("dirty"):
            kine.close()
        os._exit(0)  # a dirty end leaves the log as a kill does

    def found(self, path):
        return {name: row[1] for name, row in state(path).items() if name.startswith("/bootstrap/")}

    def reconcile(self, path):
        """The token against the bootstrap data, that against the disk; systemd would not call it active before."""
        found = self.found(path)
        value = found.get(self.key())
        if value is None:
            return fatal("bootstrap data already found and encrypted with different token") if found else None
        files = json.loads(opened(value, self.password()))
        newer = [PATHS[name] for name, file in files.items() if self.is_newer(PATHS[name], file)]
        if newer:
            fatal(f"{', '.join(newer)} newer than datastore and could cause a cluster outage. Remove the file(s)")
        for name, file in files.items():
            path = self.server / PATHS[name]
            content = base64.b64decode(file["Content"])
            if not path.exists() or path.read_bytes() != content:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        return None

    def is_newer(self, name, file):
        path = self.server / name
        if not path.exists() or path.read_bytes() == base64.b64decode(file["Content"]):
            return False
        return int(path.stat().st_mtime) - int(datetime.fromisoformat(file["Timestamp"]).timestamp()) >= SKEW

    def first_start(self, kine):
        token = self.server / "token"
        if not token.exists():
            token.write_text(f"K10{'0' * 64}::server:{self.settings.get('token', secrets.token_hex(16))}\n")
        for name in PATHS.values():
            path = self.server / name
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"{name} {secrets.token_hex(8)}\n")
        self.save(kine)

    def save(self, kine):
        """What is on the disk into the database, as k3s does after each change of its own."""
        files = {name: self.file(path) for name, path in PATHS.items()}
        kine.put(self.key(), closed(json.dumps(files).encode(), self.password()))

    def file(self, name):
        path = self.server / name
        at = datetime.fromtimestamp(int(path.stat().st_mtime), UTC).isoformat()
        return {"Timestamp": at, "Content": base64.b64encode(path.read_bytes()).decode()}

    def password(self):
        token = self.server / "token"
        told = self.settings.get("token") or (token.read_text() if token.exists() else "")
        return told.strip().rpartition("::")[2].rpartition(":")[2]

    def key(self):
        return "/bootstrap/" + hashlib.sha256(self.password().encode()).hexdigest()[:12]


if __name__ == "__main__":
    main(sys.argv[1:])
