"""Merging, derived values, and what is allowed but worth a word."""

from datetime import timedelta

import pytest

from backstay.config.resolved import ResolvedEtcd
from backstay.config.rules import warnings
from backstay.config.secrets import SecretRef
from backstay.core.retention import KeepPolicy


def test_a_database_needs_nothing_but_its_name(configured):
    database = configured("postgres: {databases: {ham: }}").postgres_databases()["ham"]
    assert (database.namespace, database.database, database.host) == ("ham", "ham", "postgres.ham")
    assert (database.store, database.prefix) == ("main", "postgres-backups/ham")
    assert (database.schedule, database.rpo, database.rto, database.bin) == (None, None, None, None)
    assert database.keep == KeepPolicy()


def test_a_database_wins_over_the_tier_and_the_tier_over_the_default(configured):
    config = configured(
        """
postgres:
  port: 6432
  user: backup
  keep: {daily: 7, weekly: 4}
  compression: {algorithm: zstd}
  host: pg.{namespace}.svc
  rto: 10m
  databases:
    own: {port: 5433, keep: {count: 3}, prefix: "{namespace}/{name}", namespace: apps, rto: 1h, database: Own Data}
    plain: {}
slo: {rpo: 24h, rto: 30m}
"""
    )
    own, plain = config.postgres_databases().values()
    assert (own.port, own.user, own.host, own.prefix) == (5433, "backup", "pg.apps.svc", "apps/own")
    assert (own.keep, own.database, own.rto, own.rpo) == (
        KeepPolicy(count=3),
        "Own Data",
        timedelta(hours=1),
        timedelta(hours=24),
    )
    assert (plain.port, plain.host, plain.keep) == (6432, "pg.plain.svc", KeepPolicy(daily=7, weekly=4))
    assert (plain.compression, plain.level, plain.rto) == ("zstd", 3, timedelta(minutes=10))


def test_a_value_equal_to_the_default_still_wins_over_the_tier(configured):
    config = configured("postgres: {port: 6432, databases: {ham: {port: 5432}}}")
    assert config.postgres_databases()["ham"].port == 5432


def test_a_key_without_a_value_counts_as_left_out(configured):
    config = configured("postgres: {port: 6432, databases: {ham: {port: , keep: ~}}}\netcd:\nslo:\n")
    assert config.postgres_databases()["ham"].port == 6432
    assert config.etcd is None
    assert config.unacted() == []


@pytest.mark.parametrize(
    ("url", "bucket", "prefix", "path"),
    [
        ("s3://home", "home", "", ""),
        ("s3://home/", "home", "", ""),
        ("s3://home/a/b/", "home", "a/b", ""),
        ("s3://home/backstay", "home", "backstay", ""),
        ("file:///srv/my backups", "", "", "/srv/my backups"),
    ],
)
def test_store_urls(configured, url, bucket, prefix, path):
    store = configured(f'  other: {{url: "{url}"}}').stores["other"]
    assert (store.bucket, store.prefix, store.path) == (bucket, prefix, path)


def test_everything_a_store_can_have(configured):
    store = configured(
        """  full:
    url: s3://full
    endpoint: https://s3.example.com:9000
    path_style: false
    sse: aws:kms
    kms_key: alias/backups
    storage_class: STANDARD_IA
    tags: {owner: platform}
    object_lock: {mode: compliance, days: 7}
    bandwidth_limit: 20MB/s
"""
    ).stores["full"]
    assert (store.sse, store.kms_key, store.storage_class) == ("aws:kms", "alias/backups", "STANDARD_IA")
    assert (store.object_lock.mode, store.object_lock.days) == ("compliance", 7)
    assert store.bandwidth_limit == 20_000_000
    assert dict(store.tags) == {"owner": "platform"}
    assert store.path_style is False


def test_encryption(configured):
    key = "age1" + "q" * 58
    encryption = configured(
        f"encryption: {{recipients: [{key}, ssh-ed25519 {'A' * 68} me@home], identity: file:/k}}"
    ).encryption
    assert encryption.recipients == (key, f"ssh-ed25519 {'A' * 68} me@home")
    assert str(encryption.identity) == "file:/k"


def test_etcd_needs_no_key_at_all(configured):
    assert configured("").resolved_etcd() is None
    assert configured("etcd: {}").resolved_etcd() == ResolvedEtcd(
        flavor="auto", name="control-plane", schedule=None, timezone="UTC", keep=KeepPolicy(), store="main",
        prefix="etcd-snapshots", snapshot_name="backstay", compression="zip", endpoints=("https://127.0.0.1:2379",),
        ca_file=None, cert_file=None, key_file=None, data_dir=None, node=None, service=None, token=None,
        server_files=True, spool=None, bin=None, rpo=None, rto=None,
    )  # fmt: skip


def test_everything_etcd_can_have(configured):
    config = configured(
        """  other: {url: "file:///srv/backups"}
timezone: Europe/Berlin
slo: {rpo: 24h, rto: 30m}
etcd:
  flavor: rke2
  name: home
  schedule: "@daily"
  keep: {daily: 7, weekly: 4}
  store: other
  prefix: ""
  snapshot_name: etcd-mine.1
  compression: none
  endpoints: ["https://10.0.0.1:2379/", "https://[fd00::1]:2379", "http://localhost:2379", "https://etcd_1.home"]
  ca_file: /etc/etcd/ca.crt
  cert_file: /etc/etcd/client.crt
  key_file: /etc/etcd/client.key
  data_dir: /srv/rke2
  node: server-1.home
  service: rke2-server@1.service
  token: cmd:pass show rke2
  server_files: false
  spool: /srv/spool
  bin: /opt/bin
  rpo: 12h
  rto: 15m
  local_snapshots: {schedule: "0 */6 * * *", keep: {count: 5}}
"""
    )
    assert config.resolved_etcd() == ResolvedEtcd(
        flavor="rke2", name="home", schedule="@daily", timezone="Europe/Berlin", keep=KeepPolicy(daily=7, weekly=4),
        store="other", prefix="", snapshot_name="etcd-mine.1", compression="none",
        endpoints=(
            "https://10.0.0.1:2379", "https://[fd00::1]:2379", "http://localhost:2379", "https://etcd_1.home",
        ),
        ca_file="/etc/etcd/ca.crt", cert_file="/etc/etcd/client.crt", key_file="/etc/etcd/client.key",
        data_dir="/srv/rke2", node="server-1.home", service="rke2-server@1",
        token=SecretRef.parse("cmd:pass show rke2"), server_files=False, spool="/srv/spool", bin="/opt/bin",
        rpo=timedelta(hours=12), rto=timedelta(minutes=15),
    )  # fmt: skip
    assert config.etcd.local_snapshots.schedule == "0 */6 * * *"
    assert config.etcd.local_snapshots.keep.policy() == KeepPolicy(count=5)
    assert not [sentence for sentence in config.unacted() if sentence.startswith("etcd")]


@pytest.mark.parametrize("flavor", ["auto", "k3s", "rke2", "kubeadm", "etcd"])
@pytest.mark.parametrize("name", ["backstay", "b", "etcd-mine", "etcd-snapsho", "on-dema", "0", "a.b-c"])
def test_flavors_and_names_of_snapshots(configured, flavor, name):
    etcd = configured(f"etcd: {{flavor: {flavor}, snapshot_name: '{name}'}}").resolved_etcd()
    assert (etcd.flavor, etcd.snapshot_name) == (flavor, name)


def test_objectives_of_etcd_are_those_of_all_unless_it_has_its_own(configured):
    etcd = configured("slo: {rpo: 24h, rto: 30m}\netcd: {rto: 15m}").resolved_etcd()
    assert (etcd.rpo, etcd.rto) == (timedelta(hours=24), timedelta(minutes=15))


UNENCRYPTED = (
    "etcd: without `encryption.recipients` the servers' token, certificates and files are not backed up: they hold the "
    "keys of the cluster. Keep them somewhere else: without its token no snapshot of k3s opens"
)
KEPT = 'schedule: "@daily", keep: {days: 7}'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"etcd: {{{KEPT}}}", [UNENCRYPTED]),
        (f"etcd: {{{KEPT}, flavor: kubeadm}}", [UNENCRYPTED]),
        (f"etcd: {{{KEPT}, flavor: etcd}}", []),
        (f"etcd: {{{KEPT}, server_files: false}}", []),
        (f"encryption: {{recipients: [age1{'q' * 58}]}}\netcd: {{{KEPT}}}", []),
        (
            "etcd: {flavor: etcd, name: home}",
            [
                "etcd/home: without a `keep` rule every backup is kept for good",
                "etcd/home: without a `schedule` nothing can say when a backup is late",
            ],
        ),
        (
            "etcd: {flavor: etcd, keep: {days: 1}}\npostgres: {databases: {ham: {}}}",
            [
                "postgres/ham: without a `keep` rule every backup is kept for good",
                "postgres/ham and etcd/control-plane: without a `schedule` nothing can say when a backup is late",
            ],
        ),
    ],
)
def test_warnings_of_etcd(configured, text, expected):
    assert warnings(configured(text)) == expected


def test_it_is_frozen(configured):
    config = configured("")
    with pytest.raises(Exception, match="frozen"):
        config.cluster = "other"


def test_warnings(configured):
    config = configured(
        """  plain: {url: s3://plain, endpoint: "http://192.168.1.5:9000"}
  local: {url: s3://local, endpoint: "http://127.0.0.1:9000"}
postgres:
  databases:
    ham: {schedule: "@daily", keep: {days: 7}}
    dnd: {schedule: "0 3 * * MON-FRI"}
    wiki: {keep: {yearly: 1}}
"""
    )
    assert warnings(config) == [
        "postgres/dnd: without a `keep` rule every backup is kept for good",
        "postgres/wiki: without a `schedule` nothing can say when a backup is late",
        "stores.plain: the endpoint is plain http: whoever is on the way can read and change what is sent",
    ]
