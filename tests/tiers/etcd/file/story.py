"""A store with a history of every kind, and what its own server and tools say of it after each step."""

import random
import string
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.tiers.etcd.file.stock import Etcd, Kv, status


@dataclass(frozen=True)
class Taken:
    """A snapshot, and the truth about it."""

    path: Path
    revision: int
    hash_kv: int
    compact_revision: int
    status: dict[str, int]
    kvs: list[Kv]


def puts(etcd: Etcd) -> None:
    for number in range(8):
        etcd.put(f"/registry/configmaps/shop/cm-{number}", "x" * 700 * number)


def overwrites_and_deletes(etcd: Etcd) -> None:
    for number in range(4):
        etcd.put(f"/registry/configmaps/shop/cm-{number}", "again")
    etcd.delete("/registry/configmaps/shop/cm-1")
    etcd.delete("/registry/configmaps/shop/cm-7")
    etcd.put("/registry/configmaps/shop/cm-1", "born again")


def transactions(etcd: Etcd) -> None:
    etcd.txn("put /registry/pods/shop/a one", "put /registry/pods/shop/b two", "del /registry/configmaps/shop/cm-2")
    etcd.txn("del /registry/pods/shop/a", "del /registry/configmaps/shop/cm-3", "put /registry/pods/shop/c three")
    etcd.put("/registry/pods/shop/big", "y" * 60_000)


def leases(etcd: Etcd) -> None:
    lease = etcd.ctl("lease", "grant", "3600").split()[1]
    etcd.put("/registry/leases/kube-node-lease/n1", "held", f"--lease={lease}")


def kubernetes_names(etcd: Etcd) -> None:
    for key in (
        "minions/n1",
        "services/specs/shop/front",
        "services/endpoints/shop/front",
        "apps.example.com/widgets/shop/w1",
        "apps.example.com/widgets/shop/w2",
        "apiregistration.k8s.io/apiservices/v1.",
        "ranges/serviceips",
        "masterleases/192.0.2.7",
    ):
        etcd.put(f"/registry/{key}", "value")
    etcd.put("/bootstrap/2bb80d537b1d", "salt:data")
    etcd.put("/bootstrap/000000000000", "salt:old")
    etcd.delete("/bootstrap/000000000000")
    etcd.put("compact_rev_key", "1")


def compacted_midway(etcd: Etcd) -> None:
    etcd.compact(etcd.revision() - 9)


def compacted_at_a_tombstone(etcd: Etcd) -> None:
    etcd.put("/registry/secrets/shop/s1", "secret")
    etcd.delete("/registry/secrets/shop/s1")
    at = etcd.revision()
    etcd.put("/registry/secrets/shop/s2", "other")
    etcd.compact(at)


def more_after_the_compaction(etcd: Etcd) -> None:
    etcd.delete("/registry/pods/shop/b")
    etcd.put("/registry/secrets/shop/s1", "new again")
    etcd.put("/registry/pods/shop/c", "3")
    etcd.delete("/registry/configmaps/shop/cm-4")


def compacted_at_the_last_revision(etcd: Etcd) -> None:
    etcd.compact(etcd.revision())
    # The server gives the hash it stored while compacting until something is written.
    etcd.put("/registry/pods/shop/d", "4")


def compacted_in_the_background(etcd: Etcd) -> None:
    at_random(etcd, seed=1)
    etcd.compact(etcd.revision() - 3, physical=False)
    etcd.put("/registry/pods/shop/e", "5")


def defragmented(etcd: Etcd) -> None:
    etcd.ctl("defrag")


def at_random(etcd: Etcd, seed: int = 2) -> None:
    dice = random.Random(seed)
    for _ in range(30):
        keys = dice.sample(range(40), dice.randint(1, 12))
        operations = []
        for key in keys:
            name = f"/registry/events/shop/{key}"
            value = "".join(dice.choices(string.ascii_letters, k=dice.randint(0, 300)))
            operations.append(f"del {name}" if dice.random() < 0.3 else f"put {name} v{value}")
        etcd.txn(*operations)


def compacted_among_many(etcd: Etcd) -> None:
    etcd.compact(etcd.revision() - 12)


def with_user_and_alarm_buckets(etcd: Etcd) -> None:
    etcd.ctl("user", "add", "root:secret")
    etcd.ctl("role", "add", "reader")


def everything_deleted(etcd: Etcd) -> None:
    etcd.delete("--prefix", "")
    etcd.compact(etcd.revision() - 1)


def nothing_left(etcd: Etcd) -> None:
    etcd.compact(etcd.revision())


def begun_again(etcd: Etcd) -> None:
    etcd.put("/registry/pods/shop/a", "from nothing")


STEPS: dict[str, Callable[[Etcd], None]] = {
    step.__name__: step
    for step in (
        puts,
        overwrites_and_deletes,
        transactions,
        leases,
        kubernetes_names,
        compacted_midway,
        compacted_at_a_tombstone,
        more_after_the_compaction,
        compacted_at_the_last_revision,
        defragmented,
        compacted_in_the_background,
        at_random,
        compacted_among_many,
        with_user_and_alarm_buckets,
        everything_deleted,
        nothing_left,
        begun_again,
    )
}


def take(etcd: Etcd, path: Path) -> Taken:
    """A snapshot now. Nothing else writes, so that what the server says next is of the same revision."""
    etcd.snapshot(path)
    hash_kv, compact_revision = etcd.hash_kv()
    return Taken(path, etcd.revision(), hash_kv, compact_revision, status(path), etcd.kvs())
