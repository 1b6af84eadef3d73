"""etcd: a proven backup against the script that only copies, and how fast a snapshot is hashed offline."""

import json
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from backstay.cluster.localetcd.programs import find
from backstay.cluster.localetcd.server import EtcdServer
from backstay.core.units import format_size
from backstay.tiers.etcd.api.client import EtcdClient
from bench.arena import BACKSTAY_BUCKET, SCRIPT_BUCKET, Arena
from bench.figures import Rounds, as_json, disturbance, json_result, mib, rounds, seconds, times
from bench.measure import Run, spread
from bench.result import Ratio, Result

SIZES = {"120 MB": 120_000_000, "1 GB": 1_000_000_000}
BACKSTAY, SCRIPT, HASH = "backstay backup etcd", "etcdctl save, zip, aws s3 cp", "offline HashKV and structure"
COLUMNS = ("", "seconds", "MB/s", "stored", "peak RSS", "client CPU s")
TXN_PUTS = 120
QUOTA = str(8 << 30)  # the most that etcd's documentation suggests
CONFIG = """\
cluster: bench
stores:
  main: {{url: "s3://{bucket}", endpoint: "{endpoint}", credentials: "file:{credentials}"}}
etcd:
  flavor: etcd
  name: {name}
  node: bench
  endpoints: ["{etcd}"]
  spool: {spool}
  schedule: "0 2 * * *"
"""


def run(arena: Arena) -> Result:
    """Measure both sizes."""
    result = Result("etcd", "etcd into SeaweedFS: Backstay proves the snapshot, the script copies it", COLUMNS)
    for name, size in SIZES.items():
        with _store(arena, name, size) as store:
            ways: dict[str, Callable[[], Run]] = {
                BACKSTAY: partial(_backstay, arena, store),
                SCRIPT: partial(_script, arena, store),
                HASH: partial(_hash, arena, store),
            }
            found = rounds(arena, f"etcd {name}", ways)
            _add(result, name, found, store, _stored(arena, store, found))
    return result


@dataclass(frozen=True)
class _Store:
    """An etcd that is full, and where its snapshots are put."""

    server: EtcdServer
    folder: Path
    config: Path
    size_bytes: int

    @property
    def saved(self) -> Path:
        """The script's snapshot."""
        return self.folder / "snapshot.db"


@contextmanager
def _store(arena: Arena, name: str, size: int) -> Iterator[_Store]:
    arena.say(f"filling an etcd with {name}")
    folder = arena.folder / f"etcd-{size}"
    server = EtcdServer(folder / "etcd", program=find("etcd"), fsync=False, options={"quota-backend-bytes": QUOTA})
    with server, EtcdClient(server.endpoint) as client:
        _fill(client, size)
        config = folder / "backstay.yaml"
        config.write_text(
            CONFIG.format(
                bucket=BACKSTAY_BUCKET,
                endpoint=arena.s3_endpoint,
                credentials=arena.credentials,
                name=f"etcd-{size}",
                etcd=server.endpoint,
                spool=folder / "spool",
            )
        )
        yield _Store(server, folder, config, client.status().db_size_bytes)


def _fill(client: EtcdClient, size: int) -> None:
    """Pods of about 1 kB as JSON: two thirds of it alike in all, a third ids that nothing compresses."""
    chance = random.Random(size)
    number = 0
    while client.status().db_size_bytes < size:
        for _ in range(50):
            client.txn([_pod(number + offset, chance) for offset in range(TXN_PUTS)])
            number += TXN_PUTS


def _pod(number: int, chance: random.Random) -> tuple[bytes, bytes]:
    namespace, name = f"team-{number % 40}", f"app-{number:08d}-{chance.getrandbits(40):010x}"
    images = [f"registry.example.org/app@sha256:{chance.getrandbits(256):064x}" for _ in range(2)]
    labels = {"app.kubernetes.io/name": name[:12], "pod-template-hash": f"{chance.getrandbits(40):010x}"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "uid": f"{chance.getrandbits(128):032x}", "labels": labels},
        "spec": {
            "containers": [
                {"name": "main", "image": image, "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
                 "terminationMessagePath": "/dev/termination-log", "imagePullPolicy": "IfNotPresent"}
                for image in images
            ],
            "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "serviceAccountName": "default",
        },
        "status": {"phase": "Running", "podIP": f"10.42.{number % 250}.{number % 251}"},
    }  # fmt: skip
    return f"/registry/pods/{namespace}/{name}".encode(), json.dumps(pod, separators=(",", ":")).encode()


def _backstay(arena: Arena, store: _Store) -> Run:
    environment = {**arena.environment, "BACKSTAY_CONFIG": str(store.config)}
    return arena.run(arena.backstay("backup", "etcd", "--json", "--no-progress"), env=environment)


def _script(arena: Arena, store: _Store) -> Run:
    """Save, zip as k3s does (deflate at the usual level), send; what is in the way is removed before."""
    archive = store.folder / "snapshot.zip"
    for left in (store.saved, archive):
        left.unlink(missing_ok=True)
    save = [str(find("etcdctl")), "--endpoints", store.server.endpoint, "snapshot", "save", str(store.saved)]
    pack = ["zip", "-q", "-j", str(archive), str(store.saved)]
    send = arena.aws("s3", "cp", str(archive), f"s3://{SCRIPT_BUCKET}/{_key(store)}", "--only-show-errors")
    return arena.steps([[save], [pack], [send]], arena.script_environment)


def _hash(arena: Arena, store: _Store) -> Run:
    return arena.run([sys.executable, "-m", "bench.survey", str(store.saved)], env=arena.environment)


def _key(store: _Store) -> str:
    return f"{store.folder.name}.zip"


def _stored(arena: Arena, store: _Store, found: Rounds) -> dict[str, int]:
    with arena.bucket(SCRIPT_BUCKET) as bucket:
        script = bucket.head(_key(store)).size_bytes
    return {BACKSTAY: int(json_result(found[BACKSTAY][-1])["size_bytes"]), SCRIPT: script}


def _add(result: Result, name: str, found: Rounds, store: _Store, stored: dict[str, int]) -> None:
    size = store.size_bytes
    for way, runs in found.items():
        kept = format_size(stored[way]) if way in stored else "-"
        peak = mib(max(one.peak_bytes for one in runs))
        cpu = f"{sum(one.client_seconds for one in runs) / len(runs):.1f}"
        speed = f"{size / 1e6 / seconds(runs):.0f}"
        result.rows.append((f"{way}, {name}", spread([one.seconds for one in runs]), speed, kept, peak, cpu))
        result.figures[f"{way}, {name}"] = {"runs": [as_json(one) for one in runs]}
    save, pack, send = (sum(one.steps[step] for one in found[SCRIPT]) / len(found[SCRIPT]) for step in range(3))
    result.notes.append(f"{name}: the script saves in {save:.1f} s, packs in {pack:.1f} s and sends in {send:.1f} s.")
    result.notes += disturbance(found)
    own = found[BACKSTAY]
    result.ratios += [
        Ratio(f"etcd {name}: {SCRIPT}, to Backstay", f"{times(found[SCRIPT], own):.2f}", "above 1"),
        Ratio(f"etcd {name}: peak RSS of Backstay", mib(max(one.peak_bytes for one in own)), "at most 200 MiB"),
    ]
