"""What is said of a restored etcd that an API server reads: its lists held against the keys, with a stand-in for it."""

from types import SimpleNamespace

import pytest

from backstay.cluster.base import Discovery, Item, Resource
from backstay.core.errors import ClusterError, ClusterUnreachable, ToolMissing
from backstay.core.model import Severity
from backstay.tiers.etcd.served import _Reading, _take_out_encrypted, reader_for

LIST = frozenset({"list"})
KINDS = (
    Resource("", "v1", "configmaps", "ConfigMap", namespaced=True, verbs=LIST),
    Resource("", "v1", "nodes", "Node", namespaced=False, verbs=LIST),
    Resource("", "v1", "services", "Service", namespaced=True, verbs=LIST),
    Resource("", "v1", "events", "Event", namespaced=True, verbs=LIST),
    Resource("events.k8s.io", "v1", "events", "Event", namespaced=True, verbs=LIST),
    Resource("apps", "v1", "deployments", "Deployment", namespaced=True, verbs=LIST),
    Resource("example.com", "v1", "deployments", "Deployment", namespaced=True, verbs=LIST),
)
KEYS = (
    "configmaps/a/one", "configmaps/a/two", "minions/server-1", "services/specs/a/web", "services/endpoints/a/web",
    "events/a/x", "deployments/a/web", "example.com/deployments/a/mine", "podsecuritypolicy/old", "ranges/serviceips",
)  # fmt: skip
HERE = {
    "configmaps": 2, "nodes": 1, "services": 1, "events": 1, "deployments.apps": 1, "deployments.example.com": 1,
}  # fmt: skip


class Etcd:
    def __init__(self, values=None):
        self.values = values or dict.fromkeys((f"/registry/{key}".encode() for key in KEYS), b"k8s\0")

    def range(self, prefix, *, keys_only=False):
        found = [(key, value) for key, value in sorted(self.values.items()) if key.startswith(prefix)]
        return (SimpleNamespace(key=key, value=b"" if keys_only else value) for key, value in found)

    def delete(self, key):
        del self.values[key]


class Cluster:
    """Lists so many of each kind, or raises."""

    def __init__(self, **changes):
        self.numbers = HERE | {name.replace("_", "."): number for name, number in changes.items()}

    def discover(self):
        return Discovery(KINDS)

    def list(self, resource):
        number = self.numbers[resource.name]
        if isinstance(number, Exception):
            raise number
        if callable(number):
            number = number()
        return (Item(str(one), "", "", "", {}, deleting=False, json=b"{}") for one in range(number))


def read(cluster, *, strict=True, untold=None):
    reading = _Reading(cluster, Etcd(), "/registry", "v1.37.2", strict=strict, untold=untold or {})
    return [(finding.severity, finding.message) for finding in reading.findings()]


NOT_SERVED = "endpoints (not served by v1.37.2); podsecuritypolicies (not served by v1.37.2)"


def test_as_many_of_each_as_there_are_keys():
    """Types of one name in two groups are two; what the API server keeps for itself is no object."""
    assert read(Cluster()) == [
        (Severity.OK, "kube-apiserver v1.37.2 serves it: 7 objects of 6 kinds read, as many of each as there are keys"),
        (Severity.OK, f"not read through kube-apiserver: {NOT_SERVED}"),
    ]


def test_fewer_than_there_are_keys():
    (severity, words), *_ = read(Cluster(configmaps=1))
    assert severity is Severity.ERROR
    assert words == "kube-apiserver v1.37.2 shows other objects than there are keys: configmaps (1, 2 keys)"


def test_a_difference_of_a_moment_is_none():
    numbers = iter([3, 2])
    (severity, _), *_ = read(Cluster(configmaps=lambda: next(numbers)))
    assert severity is Severity.OK


@pytest.mark.parametrize(("strict", "severity"), [(True, Severity.ERROR), (False, Severity.WARNING)])
def test_what_cannot_be_read(strict, severity):
    found = read(Cluster(deployments_apps=ClusterError("no kind is registered")), strict=strict)
    words = "kube-apiserver v1.37.2 cannot read what is there: deployments (no kind is registered)"
    assert (severity, words) in found


def test_what_a_webhook_would_convert_is_not_counted_as_wrong():
    found = read(Cluster(deployments_example_com=ClusterError("conversion webhook for example.com/v1 failed")))
    assert {severity for severity, _ in found} == {Severity.OK}
    assert any("deployments.example.com (its versions are converted by a webhook)" in words for _, words in found)


def test_a_server_that_is_gone_is_no_finding():
    with pytest.raises(ClusterUnreachable):
        read(Cluster(configmaps=ClusterUnreachable("gone")))


def test_what_is_encrypted_is_taken_out_and_counted():
    sealed = b"k8s:enc:aescbc:v1:key1:\x01"
    etcd = Etcd({b"/registry/secrets/a/one": sealed, b"/registry/secrets/a/two": b"k8s\0", b"/other/x": sealed})
    assert _take_out_encrypted(etcd, "/registry") == {"secrets": "1 encrypted at rest"}
    assert set(etcd.values) == {b"/registry/secrets/a/two", b"/other/x"}


def backup(version="v1.37.1", resources=("namespaces",)):
    return SimpleNamespace(contents={"resources": dict.fromkeys(resources, 1)}, source={"kubernetes_version": version})


def program(folder, version="v1.37.2"):
    file = folder / "kube-apiserver"
    file.write_text(f"#!/bin/sh\necho Kubernetes {version}\n")
    file.chmod(0o755)
    return SimpleNamespace(kube_apiserver=str(file))


def test_which_one_reads_it(tmp_path):
    found = reader_for(program(tmp_path), backup())
    assert (found.program, found.version, found.why) == (tmp_path / "kube-apiserver", "v1.37.2", None)


def test_an_older_one_does_not(tmp_path):
    found = reader_for(program(tmp_path, "v1.36.9"), backup())
    assert found.program is None
    assert found.why.severity is Severity.WARNING


def test_an_etcd_of_no_cluster_needs_none(tmp_path):
    found = reader_for(program(tmp_path), backup(resources=["configmaps"]))
    assert (found.program, found.why) == (None, None)


def test_without_one_it_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = reader_for(SimpleNamespace(kube_apiserver=None), backup())
    assert found.why.severity is Severity.OK
    assert "drills.kube_apiserver names one" in found.why.message
    with pytest.raises(ToolMissing):
        reader_for(SimpleNamespace(kube_apiserver=str(tmp_path / "none")), backup())
