"""A stand-in for ``k3s`` and ``rke2``: only the part that keeps etcd, and that with the real etcd and etcdutl.

It runs no Kubernetes. What it does, and in which order, is what k3s does (pkg/cli/server/server.go, pkg/etcd/etcd.go,
pkg/cluster/bootstrap.go): refusals first, then the database renamed, the snapshot restored, the flag, etcd alone for a
moment, the token against the bootstrap data, the certificates written, the message. Its ports, its programs and where
it is to fail or to wait are in ``standin.json`` in the data folder; the version comes from the environment.

    k3s --version
    k3s server [--data-dir D] [--config C] [--cluster-reset [--cluster-reset-restore-path=P]] [--etcd-s3=false]
"""

import base64
import hashlib
import json
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

import yaml
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NAME = os.environ.get("STANDIN_NAME", "k3s")
BOOTSTRAP = "/bootstrap/"
STARTING = "starting kubernetes: preparing server: start managed database"


def main(words):
    if words == ["--version"]:
        print(f"{NAME} version {os.environ['STANDIN_VERSION']} (0123abcd)\ngo version go1.22.9")
        return 0
    if words[:1] != ["server"]:
        fatal(f"no such command: {words}")
    return Server(settings_of(words[1:])).run()


def settings_of(words):
    """Flags win over the file, that over the environment."""
    flags = {}
    while words:
        flag, equals, value = words.pop(0).partition("=")
        name = flag.lstrip("-")
        if not equals:
            value = words.pop(0) if words and not words[0].startswith("-") else "true"
        flags[name] = value
    prefix = f"{NAME.upper()}_"
    told = {n.removeprefix(prefix).lower().replace("_", "-"): v for n, v in os.environ.items() if n.startswith(prefix)}
    told = {"server" if name == "url" else name: value for name, value in told.items()}
    config = Path(told.get("config-file") or flags.get("config", f"/etc/rancher/{NAME}/config.yaml"))
    found = {}
    for path in [config, *sorted(config.with_name(f"{config.name}.d").glob("*.y*ml"))]:
        found |= (
            {name: text(value) for name, value in (yaml.safe_load(path.read_text()) or {}).items()}
            if path.exists()
            else {}
        )
    settings = {**told, **found, **flags}
    if "token-file" in settings:
        settings["token"] = Path(settings["token-file"]).read_text().strip()
    return settings


def text(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


def fatal(message):
    print(f'time="now" level=fatal msg="{message}"', file=sys.stderr, flush=True)
    raise SystemExit(1)


def info(message):
    print(f'time="now" level=info msg="{message}"', file=sys.stderr, flush=True)


class Server:
    def __init__(self, settings):
        self.settings = settings
        self.data = Path(settings["data-dir"])
        self.server, self.db = self.data / "server", self.data / "server/db"
        self.etcd, self.flag = self.db / "etcd", self.db / "reset-flag"
        self.told = json.loads((self.data / "standin.json").read_text())
        self.client, self.peer = (f"{self.scheme}://127.0.0.1:{self.told[port]}" for port in ("client", "peer"))

    @property
    def scheme(self):
        return "https" if self.told.get("tls") else "http"

    @property
    def node(self):
        return self.settings.get("node-name", self.told["node"])

    def run(self):
        if self.settings.get("cluster-reset") == "true":
            return self.reset()
        if self.told.get("fail") == "start":
            fatal("starting kubernetes: it was told to fail")
        self.flag.unlink(missing_ok=True)
        if (self.etcd / "member/wal").is_dir():
            self.etcd.chmod(0o700)
            self.become_etcd((self.etcd / "name").read_text())
        if self.settings.get("server"):
            self.join()
        name = self.new_name()
        if not os.fork():
            self.first_start()
            os._exit(0)
        return self.become_etcd(name, "--initial-cluster-state=new", f"--initial-cluster={name}={self.peer}")

    # the reset

    def reset(self):
        path = self.settings.get("cluster-reset-restore-path", "")
        if self.settings.get("server"):
            why = "remove server from configuration before resetting"
            fatal(f"cannot perform cluster-reset while server URL is set - {why}")
        if path and not self.settings.get("token") and not (self.server / "token").exists():
            fatal(f"{self.server}/token does not exist, please pass --token to complete the restoration")
        if not (self.etcd / "name").exists():
            self.new_name()
        if path:
            self.restore(path)
        elif self.flag.exists():
            fatal(
                "Managed etcd cluster membership was previously reset, please remove the cluster-reset flag and start "
                f"{NAME} normally. If you need to perform another cluster reset, you must first manually delete the "
                f"{self.flag} file"
            )
        name = self.new_name()
        self.flag.write_bytes(b"")
        self.stage("restored")
        self.alone(name)
        info(
            "Managed etcd cluster membership has been reset, restart without --cluster-reset flag now. Backup and "
            "delete ${datadir}/server/db on each peer etcd server and rejoin the nodes"
        )
        return 0

    def restore(self, path):
        if self.settings.get("etcd-s3") == "true":
            fatal(f"{STARTING}: The specified key does not exist: {path}")
        if not Path(path).exists():
            fatal(f"etcd: snapshot path does not exist: {path}")
        name = (self.etcd / "name").read_text()
        old = self.db / f"etcd-old-{int(time.time())}"
        self.stage("begun")
        self.etcd.rename(old)
        info(f"Pre-restore etcd database moved to {old}")
        self.stage("moved")
        words = [self.told["etcdutl"], "snapshot", "restore", path, f"--data-dir={self.etcd}", f"--name={name}"]
        words += [f"--initial-cluster={name}={self.peer}", f"--initial-advertise-peer-urls={self.peer}"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
        if done.returncode:
            fatal(f"{STARTING}: {(done.stderr + done.stdout).strip()[-400:]}")

    def alone(self, name):
        """etcd by itself: does the token open the bootstrap data, and what certificates are in it."""
        flags = ["--force-new-cluster", f"--initial-cluster={name}={self.peer}"]
        with (self.db / "standin-etcd.log").open("ab") as log:
            etcd = subprocess.Popen([*self.command(name), *flags], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self.healthy(etcd)
            self.ctl("put", f"{NAME}/apiaddresses", "")
            self.unpack()
        finally:
            etcd.terminate()
            etcd.wait(20)

    def unpack(self):
        """The certificates of the snapshot over those on the disk."""
        value = self.bootstrap().get(BOOTSTRAP + self.token_hash())
        if value is None:
            fatal("bootstrap data already found and encrypted with different token")
        tls = self.server / "tls"
        subprocess.run(["cp", "-a", tls, self.server / f"tls-{int(time.time())}"], check=True)
        for file, content in json.loads(opened(value, self.password())).items():
            (tls / file).write_bytes(base64.b64decode(content["Content"]))
        self.stage("unpacked")

    # joining

    def join(self):
        """Add this member as a learner, have another process promote it, become etcd."""
        name, server = self.new_name(), self.settings["server"]
        if not self.settings.get("token"):
            fatal(f"{NAME.upper()}_TOKEN is required to join a cluster")
        members = json.loads(self.ctl("member", "list", "-w=json", endpoint=server))["members"]
        urls = [(member.get("name", ""), url) for member in members for url in member["peerURLs"]]
        if any(other.rpartition("-")[0] == self.node for other, url in urls if url != self.peer):
            fatal("duplicate node name found, please use a unique name for this node")
        if self.peer not in [url for _, url in urls]:
            self.ctl("member", "add", name, f"--peer-urls={self.peer}", "--learner", endpoint=server)
            urls.append((name, self.peer))
        cluster = ",".join(f"{name if url == self.peer else other}={url}" for other, url in urls)
        if not os.fork():
            self.promote(server)
            os._exit(0)
        self.become_etcd(name, "--initial-cluster-state=existing", f"--initial-cluster={cluster}")

    def promote(self, server):
        for _ in range(200):
            members = json.loads(self.ctl("member", "list", "-w=json", "--hex", endpoint=server))["members"]
            own = [member["ID"] for member in members if self.peer in member["peerURLs"]]
            if own and self.try_ctl(
                "member", "promote", own[0] if isinstance(own[0], str) else f"{own[0]:x}", endpoint=server
            ):
                return
            time.sleep(0.1)

    # etcd

    def first_start(self):
        """A new cluster: a token, certificates, and both closed up in it."""
        self.healthy(None)
        tls = self.server / "tls"
        if not (self.server / "token").exists():
            (self.server / "token").write_text(
                f"K10{'0' * 64}::server:{self.settings.get('token', secrets.token_hex(16))}\n"
            )
        files = {
            path.name: {"Timestamp": "2026-01-01T00:00:00Z", "Content": base64.b64encode(path.read_bytes()).decode()}
            for path in tls.iterdir()
            if path.is_file()
        }
        self.ctl("put", BOOTSTRAP + self.token_hash(), said=closed(json.dumps(files).encode(), self.password()))

    def bootstrap(self):
        found = json.loads(self.ctl("get", BOOTSTRAP, "--prefix", "-w=json")).get("kvs", [])
        return {base64.b64decode(kv["key"]).decode(): base64.b64decode(kv["value"]) for kv in found}

    def new_name(self):
        self.etcd.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{self.node}-{secrets.token_hex(4)}"
        (self.etcd / "name").write_text(name)
        return name

    def command(self, name):
        urls = {"listen-client-urls": self.client, "advertise-client-urls": self.client, "listen-peer-urls": self.peer}
        flags = {"data-dir": self.etcd, "name": name, **urls, "initial-advertise-peer-urls": self.peer}
        flags |= {"log-level": "error", "logger": "zap", "heartbeat-interval": "50", "election-timeout": "250"}
        flags |= {"unsafe-no-fsync": "true", "strict-reconfig-check": "false"}  # else a third member waits for 5 s
        if tls := self.told.get("tls"):
            for side in ("", "peer-"):
                flags |= {
                    f"{side}trusted-ca-file": tls["ca"],
                    f"{side}cert-file": tls["cert"],
                    f"{side}key-file": tls["key"],
                }
                flags |= {f"{side}client-cert-auth": "true"}
        return [self.told["etcd"], *(f"--{flag}={value}" for flag, value in flags.items())]

    def become_etcd(self, name, *flags):
        sys.stderr.flush()
        command = self.command(name)
        os.execv(command[0], [*command, *flags])  # noqa: S606 - as the process that systemd knows

    def healthy(self, etcd):
        for _ in range(300):
            if self.try_ctl("endpoint", "health"):
                return
            if etcd is not None and etcd.poll() is not None:
                fatal(f"etcd ended: see {self.db}/standin-etcd.log")
            time.sleep(0.05)
        fatal("etcd is not healthy")

    def ctl(self, *words, endpoint=None, said=None):
        tls = self.told.get("tls")
        flags = [f"--cacert={tls['ca']}", f"--cert={tls['cert']}", f"--key={tls['key']}"] if tls else []
        command = [self.told["etcdctl"], f"--endpoints={endpoint or self.client}", *flags, *words]
        done = subprocess.run(command, env={"ETCDCTL_API": "3"}, input=said, capture_output=True, timeout=20)
        if done.returncode:
            raise OSError(done.stderr.decode())
        return done.stdout

    def try_ctl(self, *words, **more):
        try:
            self.ctl(*words, **more)
        except (OSError, subprocess.TimeoutExpired):
            return False
        return True

    def password(self):
        told = self.settings.get("token") or (self.server / "token").read_text()
        return told.strip().rpartition("::")[2].rpartition(":")[2]

    def token_hash(self):
        return hashlib.sha256(self.password().encode()).hexdigest()[:12]

    def stage(self, name):
        """Where it may be told to fail, or to wait for whoever looks."""
        (self.data / "standin-stage").write_text(name)
        if self.told.get("fail") == name:
            fatal(f"it was told to fail when {name}")
        if self.told.get("pause") == name:
            time.sleep(60)


def key_of(password, salt):
    return hashlib.pbkdf2_hmac("sha1", password.encode(), salt, 4096, 32)


def closed(plain, password):
    """As k3s, pkg/cluster/encrypt.go."""
    salt, nonce = secrets.token_hex(8).encode(), secrets.token_bytes(12)
    return salt + b":" + base64.b64encode(nonce + AESGCM(key_of(password, salt)).encrypt(nonce, plain, None))


def opened(value, password):
    salt, _, data = value.partition(b":")
    sealed = base64.b64decode(data)
    return AESGCM(key_of(password, salt)).decrypt(sealed[:12], sealed[12:], None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
