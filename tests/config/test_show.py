"""Effective values and where each comes from."""

from pathlib import Path

import pytest

from backstay.config.load import parse
from backstay.config.show import settings

TEXT = """cluster: ${NAME:-home}
stores:
  main:
    url: s3://home-backups
    credentials: env:BACKUP
  other: {url: "file://${ROOT}/${FOLDER}"}
postgres:
  port: 6432
  keep: {days: 7}
  password: secret:apps/postgres
  databases:
    ham:
      store: other
      keep: {count: 3}
      apps: [deployment/ham]
    dnd:
      schedule: "@daily"
slo: {rpo: 24h}
etcd:
  flavor: k3s
  token: file:/etc/token
  endpoints: ["https://10.0.0.1:2379/"]
drills: {max_age: 30d}
"""


@pytest.fixture(scope="module")
def shown():
    loaded = parse(TEXT, Path("backstay.yaml"), {"ROOT": "/srv", "FOLDER": "backups"})
    return {setting.key: (setting.value, setting.origin) for setting in settings(loaded)}


@pytest.mark.parametrize(
    ("key", "value", "origin"),
    [
        ("cluster", "home", "environment variable NAME, line 1"),
        ("timezone", "UTC", "default"),
        ("stores.main.url", "s3://home-backups", "line 4"),
        ("stores.main.credentials", "env:BACKUP", "line 5"),
        ("stores.main.storage_class", "STANDARD", "default"),
        ("stores.other.url", "file:///srv/backups", "environment variable ROOT and FOLDER, line 6"),
        ("postgres.port", 6432, "line 8"),
        ("postgres.databases.ham.port", 6432, "line 8 (postgres.port)"),
        ("postgres.databases.ham.password", "secret:apps/postgres", "line 10 (postgres.password)"),
        ("postgres.databases.ham.store", "other", "line 13"),
        ("postgres.databases.dnd.store", "main", "default"),
        ("postgres.databases.ham.keep.count", 3, "line 14"),
        ("postgres.databases.dnd.keep.days", 7, "line 9 (postgres.keep.days)"),
        ("postgres.databases.ham.apps", ["deployment/ham"], "line 15"),
        ("postgres.databases.dnd.schedule", "@daily", "line 17"),
        ("postgres.databases.dnd.rpo", "24h", "line 18 (slo.rpo)"),
        ("postgres.databases.dnd.prefix", "postgres-backups/dnd", "default"),
        ("postgres.databases.dnd.namespace", "dnd", "default"),
        ("postgres.databases.dnd.compression.level", 1, "default"),
        ("postgres.databases.dnd.lock_timeout", "1m", "default"),
        ("slo.rpo", "24h", "line 18"),
        ("etcd.flavor", "k3s", "line 20"),
        ("etcd.token", "file:/etc/token", "line 21"),
        ("etcd.endpoints", ["https://10.0.0.1:2379"], "line 22"),
        ("etcd.prefix", "etcd-snapshots", "default"),
        ("etcd.server_files", True, "default"),
        ("drills.max_age", "30d", "line 23"),
    ],
)
def test_a_value_and_its_origin(shown, key, value, origin):
    assert shown[key] == (value, origin)


def test_what_has_no_value_is_not_shown(shown):
    assert not {"etcd", "stores.main.region", "postgres.databases.ham.schedule", "postgres.databases.ham.rto"} & set(
        shown
    )
    assert "postgres.databases.ham.keep.days" not in shown


def test_a_secret_is_shown_as_its_reference(tmp_path):
    secret = tmp_path / "password"
    secret.write_text("hunter2")
    text = "cluster: a\nstores: {main: {url: s3://home}}\npostgres: {password: 'file:${FILE}', databases: {ham: }}"
    shown = settings(parse(text, Path("backstay.yaml"), {"FILE": str(secret)}))
    assert ("postgres.databases.ham.password", f"file:{secret}") in [(s.key, s.value) for s in shown]
    assert "hunter2" not in repr(shown)


def test_a_name_that_is_no_namespace_is_shown_as_it_is():
    text = "cluster: a\nstores: {main: {url: s3://home}}\npostgres: {databases: {My_DB: {}}}"
    shown = {s.key: s.value for s in settings(parse(text, Path("backstay.yaml"), {}))}
    assert shown["postgres.databases.My_DB.namespace"] == "My_DB"
