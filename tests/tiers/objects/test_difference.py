"""What changed since: between two backups, and in the cluster."""

import json
from contextlib import contextmanager

import pytest

from backstay.core.errors import ClusterDenied
from backstay.tiers.objects.archive.spooled import spooled
from backstay.tiers.objects.difference import against_cluster, between
from backstay.tiers.objects.fields import field_changes
from backstay.tiers.objects.selection import EXCLUDE_LABEL
from backstay.tiers.objects.settings import Schedule, Selection
from tests.tiers.objects import fake_cluster as fakes
from tests.tiers.objects.restoring import SCHEDULE, Restoring, stored, tar_of

SECRET = stored("Secret", "s", "shop", data={"a": "b2xk"}, annotations={"note": "x"})


@contextmanager
def archive(tmp_path, *objects):
    with spooled(iter(tar_of(list(objects))), tmp_path) as found:
        yield found


def told(differences):
    return [(str(one.change), one.resource, one.namespace, one.name) for one in differences]


def test_between_two_backups(tmp_path):
    before = (stored("ConfigMap", "a", "shop", data={"x": "1"}), stored("ConfigMap", "b", "shop"))
    after = (stored("ConfigMap", "a", "shop", data={"x": "2"}), stored("ConfigMap", "c", "shop"), stored("Node", "n"))
    with archive(tmp_path, *before) as one, archive(tmp_path, *after) as other:
        found = list(between(one, other))
        assert not list(between(one, one))
    assert told(found) == [
        ("changed", "configmaps", "shop", "a"),
        ("removed", "configmaps", "shop", "b"),
        ("added", "configmaps", "shop", "c"),
    ]
    assert found[0].as_data()["fields"] == [{"path": "data.x", "before": "1", "after": "2"}]


def test_against_the_cluster(tmp_path):
    objects = [stored("Namespace", "shop"), SECRET, stored("ConfigMap", "a", "shop", data={"x": "1"})]
    restoring = Restoring(tmp_path, objects)
    restoring.run()
    with restoring.opened() as before:
        assert not list(against_cluster(SCHEDULE, restoring.world, before))
        restoring.cluster.put(fakes.SECRETS, "s", "shop", data={"a": "bmV3"}, annotations={"note": "y"})
        restoring.cluster.put(fakes.CONFIGMAPS, "new", "shop")
        restoring.cluster.put(fakes.CONFIGMAPS, "kube-root-ca.crt", "shop")
        restoring.cluster.delete(fakes.CONFIGMAPS, "a", "shop")
        found = list(against_cluster(SCHEDULE, restoring.world, before))
    assert told(found) == [
        ("removed", "configmaps", "shop", "a"),
        ("added", "configmaps", "shop", "new"),
        ("changed", "secrets", "shop", "s"),
    ]
    text = json.dumps([one.as_data() for one in found])
    assert "b2xk" not in text
    assert "bmV3" not in text
    assert {"path": "metadata.annotations.note", "before": "x", "after": "y"} in found[2].as_data()["fields"]


def test_a_kind_that_the_backup_has_none_of_is_looked_for(tmp_path):
    restoring = Restoring(tmp_path, [stored("Namespace", "shop"), stored("ConfigMap", "a", "shop")])
    restoring.run()
    cluster = restoring.cluster
    cluster.put(fakes.DEPLOYMENTS, "miner", "shop")
    cluster.put(fakes.EVENTS, "miner.1", "shop")
    cluster.put(fakes.NODES, "n")
    with restoring.opened() as before:
        found = list(against_cluster(SCHEDULE, restoring.world, before))
        assert told(found) == [("added", "deployments.apps", "shop", "miner")]
        cluster.fail("list", "deployments.apps", ClusterDenied("may not list deployments"))
        assert not list(against_cluster(SCHEDULE, restoring.world, before))
        cluster.fail("list", "configmaps", ClusterDenied("may not list configmaps"))
        with pytest.raises(ClusterDenied, match="configmaps"):
            list(against_cluster(SCHEDULE, restoring.world, before))
    other = Schedule("daily", Selection(exclude_resources=("deployments",)))
    cluster._faults.clear()
    with restoring.opened() as before:
        assert not list(against_cluster(other, restoring.world, before))


def test_what_no_backup_takes_is_not_added(tmp_path):
    restoring = Restoring(tmp_path, [stored("Namespace", "shop"), stored("ConfigMap", "a", "shop")])
    restoring.run()
    cluster = restoring.cluster
    cluster.put(fakes.CONFIGMAPS, "labelled", "shop", labels={EXCLUDE_LABEL: "true"})
    cluster.put(fakes.CONFIGMAPS, "going", "shop", deletionTimestamp="2026-11-26T12:00:00Z")
    cluster.put(fakes.NAMESPACES, "scratch", labels={EXCLUDE_LABEL: "true"})
    cluster.put(fakes.NAMESPACES, "gone", deletionTimestamp="2026-11-26T12:00:00Z")
    cluster.put(fakes.CONFIGMAPS, "b", "scratch")
    cluster.put(fakes.CONFIGMAPS, "b", "gone")
    with restoring.opened() as before:
        assert not list(against_cluster(SCHEDULE, restoring.world, before))


def paths(before, after):
    return [change.path for change in field_changes("pods", before, after)]


def test_fields_are_named_as_people_name_them():
    one = {"spec": {"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "x"}], "args": ["1", "2"]}}
    other = {"spec": {"containers": [{"name": "b", "image": "x"}, {"name": "a", "image": "y"}], "args": ["1"]}}
    assert paths(one, other) == ["spec.args", "spec.containers (order)", "spec.containers[a].image"]
    assert paths({"metadata": {"labels": {"a/b.c": "1"}}}, {"metadata": {"labels": {}}}) == ["metadata.labels[a/b.c]"]
    assert paths({"a": True}, {"a": 1}) == ["a"]


def test_a_secret_without_any_values_before_shows_nothing_either():
    after = {"data": {"a": "c2VjcmV0"}}
    assert "c2VjcmV0" not in str(field_changes("secrets", {}, after))
