"""The complete example loads in full, and says what its comments promise."""

from datetime import timedelta
from pathlib import Path

import pytest

from backstay.config.load import load
from backstay.config.rules import warnings
from backstay.core.retention import KeepPolicy

EXAMPLE = Path(__file__).parents[2] / "examples" / "homelab" / "backstay.yaml"

DATABASES = {  # name: namespace, schedule, store, prefix, apps
    "cardboard": ("cardboard", "0 3 * * *", "main", "postgres-backups/cardboard", ("deployment/cardboard",)),
    "openclaw-memory-db": ("open-webui", "0 3 * * *", "openclaw", "", ()),
    "ham": ("ham", "15 3 * * *", "main", "postgres-backups/ham", ()),
    "trade-bot": ("trade-bot", "15 3 * * *", "main", "postgres-backups/trade-bot", ()),
    "aja-recipes": ("aja-recipes", "20 3 * * *", "main", "postgres-backups/aja-recipes", ()),
    "dnd": ("dnd", "25 3 * * *", "main", "postgres-backups/dnd", ()),
    "wiki": ("wiki", "30 3 * * *", "main", "postgres-backups/wiki", ()),
    "jellyfin": ("media", "30 3 * * *", "main", "postgres-backups/jellyfin", ()),
    "digital-signage": ("digital-signage", "35 3 * * *", "main", "postgres-backups/digital-signage", ()),
    "openclaw-ops": ("openclaw-ops", "40 3 * * *", "main", "postgres-backups/openclaw-ops", ()),
    "openclaw-personal": ("openclaw-personal", "45 3 * * *", "main", "postgres-backups/openclaw-personal", ()),
    "media-profiler": ("media-profiler", "50 3 * * *", "main", "postgres-backups/media-profiler", ()),
    "media-controller": ("media", "0 4 * * *", "main", "postgres-backups/media-controller", ()),
    "authentik": ("authentik", "0 4 * * *", "main", "postgres-backups/authentik", ()),
    "polymarket": ("polymarket-lab", "5 4 * * *", "main", "postgres-backups/polymarket-lab", ()),
}


@pytest.fixture(scope="module")
def config():
    return load(EXAMPLE, {}).config


def test_every_database_resolves(config):
    resolved = config.postgres_databases()
    assert {
        name: (one.namespace, one.schedule, one.store, one.prefix, one.apps) for name, one in resolved.items()
    } == DATABASES
    assert list(resolved) == list(DATABASES)


def test_what_holds_for_all_databases(config):
    for name, database in config.postgres_databases().items():
        assert database.name == database.database == name
        assert database.host == f"postgres.{database.namespace}"
        assert (database.port, database.user, database.password) == (5432, "postgres", None)
        assert database.keep == KeepPolicy(days=7)
        assert (database.rpo, database.rto) == (timedelta(hours=24), timedelta(minutes=30))
        assert (database.format, database.compression, database.level) == ("directory", "gzip", 1)
        assert database.lock_timeout == timedelta(seconds=60)
        assert database.timezone == "UTC"


def test_stores(config):
    main, openclaw = config.stores["main"], config.stores["openclaw"]
    assert config.default_store == "main"
    assert (main.bucket, main.prefix, main.path) == ("k3s-homelab-backups-855878721457", "", "")
    assert (openclaw.bucket, openclaw.prefix) == ("zolty-homelab-backups", "openclaw-memory")
    assert str(main.credentials) == "secret:backstay/backup-s3-credentials"
    assert main.lifecycle[0].storage_class == "GLACIER_IR"


def test_the_other_tiers(config):
    etcd = config.resolved_etcd()
    assert (etcd.flavor, etcd.name, etcd.schedule, etcd.timezone) == ("k3s", "control-plane", "0 2 * * *", "UTC")
    assert (etcd.store, etcd.prefix, etcd.snapshot_name) == ("main", "etcd-snapshots", "backstay")
    assert (etcd.keep, etcd.rpo, etcd.rto) == (KeepPolicy(days=7), timedelta(hours=24), timedelta(minutes=30))
    assert config.etcd.local_snapshots.keep.policy() == KeepPolicy(count=5)
    assert config.volumes.longhorn.keep.policy() == KeepPolicy(count=7)
    assert {name: s.keep.policy().ttl for name, s in config.objects.schedules.items()} == {
        "k3s-daily-backup": timedelta(hours=720),
        "k3s-weekly-backup": timedelta(hours=8640),
        "k3s-monthly-backup": timedelta(hours=8760),
    }
    assert config.drills.max_age == timedelta(days=30)
    assert config.cost.bucket_quota == 80_000_000_000
    assert (config.slo.success_rate, config.slo.alert_latency) == (99, timedelta(minutes=5))


def test_it_says_what_is_not_acted_on_and_warns_of_what_is_not_encrypted(config):
    assert [sentence.partition(":")[0] for sentence in config.unacted()] == [
        "volumes",
        "external",
        "drills",
        "alerts",
        "slo",
        "cost",
    ]
    said = "volumes: read and checked, but not yet acted on (no volumes are backed up or watched)"
    assert config.unacted()[0] == said
    (warning,) = warnings(config)
    assert warning.startswith("etcd: without `encryption.recipients` the servers' token, certificates and files are")
